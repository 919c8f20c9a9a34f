"""Composes the mock agent's answers, without I/O: a request and its context in, steps out.

A message is echoed unless it begins with a phrase of `MOCK_PHRASES`. Each phrase shows one thing that a real agent may
do, failures included.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent_platform.mock.sample_text import DEFAULT_CHARS, long_text
from machines.events.agent import (
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFailure,
    AgentRequest,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    ConfirmationAnswer,
    ContextRequest,
    Frame,
)

MOCK_PHRASES: Mapping[str, str] = {
    "long": "streams a long formatted text (`long 20000`: that many characters)",
    "confirm <what>": "asks for your confirmation before it does something",
    "tool": "uses a tool (`tool <skill>`: that one, unless you switched it off)",
    "file": "sends you a file",
    "context": "shows which conversation this is and the settings that it was sent",
    "slow <seconds>": "takes its time",
    "busy": "is busy once, then answers",
    "break": "breaks off once in mid-answer, then answers",
    "fail": "refuses to answer",
    "empty": "ends without a word",
    "silent": "never answers",
}
"""The phrases that the mock agent knows, each with what it does."""

MAX_SLOW_S = 600.0
PROGRESS_INTERVAL_S = 5.0
MAX_SAVED = 100
"""Maximum number of saved contexts, and of questions, in each chat."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    """Send nothing more until the request times out."""


@dataclass(frozen=True, slots=True)
class CreateFile:
    """Write a file into the workspace and send it to the user."""

    path: str
    content: str


Step = Frame | Pause | Silence | CreateFile
Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The steps of an answer; the first attempt performs `first_attempt` instead, where there is one."""

    steps: Steps
    first_attempt: Steps | None = None


@dataclass(slots=True)
class MockContext:
    """The state of one `platform_chat_id` in the mock agent."""

    messages: int = 0
    saves: dict[str, int] = field(default_factory=dict)
    """The saves by name, each with the number of messages at that time."""
    questions: dict[str, str | None] = field(default_factory=dict)
    """The confirmations by id, each with the action to confirm; None once answered."""


def compose_answer(
    request: AgentRequest, context: MockContext, sizes: Mapping[str, int | None]
) -> Answer:
    """Return the answer to a new message, and update the context.

    `sizes` has the size of each attachment in bytes, None where the workspace does not have it.
    """
    context.messages += 1
    if request.confirmation:
        return _text_answer(_confirmation_text(request.confirmation, context))
    if request.context:
        return _context_answer(request.context, context)
    if request.attachments:
        return _text_answer(_attachments_text(request, sizes))
    name, _, argument = request.text.strip().partition(" ")
    answer = None
    if with_argument := _PHRASES_WITH_ARGUMENT.get(name.casefold()):
        answer = with_argument(request, context, argument.strip())
    elif not argument and (phrase := _PHRASES.get(name.casefold())):
        answer = phrase(request, context)
    return answer or _text_answer(_echo_text(request, context))


def _text_answer(text: str, *before: Step) -> Answer:
    return Answer((*before, AgentTextChunk(text), AgentEnd(len(text.split()))))


def _echo_text(request: AgentRequest, context: MockContext) -> str:
    hello = "Hello! " if context.messages == 1 else ""
    soul = request.settings.get("soul")
    if isinstance(soul, str) and soul.strip():
        hello = f"({soul.strip()}) {hello}"
    echo = f"{hello}You said: {request.text}"
    return f"{echo}\n\nThis is message {context.messages} of our conversation."


def _switched_off(request: AgentRequest, group: str, name: str) -> bool:
    switches = request.settings.get(group)
    return isinstance(switches, Mapping) and switches.get(name) is False


def _confirmation_text(answer: ConfirmationAnswer, context: MockContext) -> str:
    if answer.id not in context.questions:
        # A restart loses the questions of the mock agent, but not the open question in the bot's database.
        return "You answered a question that I no longer remember, so I did nothing."
    what = context.questions[answer.id]
    if what is None:
        return "You have answered that already; I did nothing more."
    context.questions[answer.id] = None
    if answer.accepted:
        return f"Thank you. I did it: {what}."
    return f"All right, I left it alone: {what}."


def _context_answer(request: ContextRequest, context: MockContext) -> Answer:
    """Save or load a context; a failure is an `ERROR` frame, so that the bot does not report success."""
    if request.action == "save":
        if request.name not in context.saves and len(context.saves) >= MAX_SAVED:
            full = AgentError("CONTEXTS_FULL", f"The mock agent keeps {MAX_SAVED} already.")
            return Answer((full,))
        context.saves[request.name] = context.messages
        return _text_answer(f"Kept as “{request.name}”, with {context.messages} messages.")
    if request.name not in context.saves:
        # After a restart of the bot, or in a cleared chat, there are no saves.
        unknown = AgentError("CONTEXT_UNKNOWN", "The mock agent keeps nothing of that name here.")
        return Answer((unknown,))
    context.messages = context.saves[request.name]
    return _text_answer(f"We are back at “{request.name}”, with {context.messages} messages.")


def _attachments_text(request: AgentRequest, sizes: Mapping[str, int | None]) -> str:
    lines = [f"You said: {request.text}", "", "With it came:", ""]
    for path in request.attachments:
        size = sizes.get(path)
        lines.append(f"- `{path}` ({'not found' if size is None else f'{size} bytes'})")
    return "\n".join(lines)


def _long(_request: AgentRequest, _context: MockContext, argument: str) -> Answer | None:
    chars = argument or str(DEFAULT_CHARS)
    if not chars.isdecimal() or len(chars) > 9:
        return None
    return _text_answer(long_text(int(chars)))


def _confirm(request: AgentRequest, context: MockContext, argument: str) -> Answer:
    what = argument or "delete a file"
    if _switched_off(request, "safety", what):
        return _text_answer(f"You want no question about that, so I did it: {what}.")
    question = f"confirm-{request.message_id}"
    while len(context.questions) >= MAX_SAVED:
        del context.questions[next(iter(context.questions))]
    context.questions[question] = what
    payload = {
        "kind": "confirmation",
        "id": question,
        "title": f"May I do this: {what}?",
        "description": "Nothing happens before you answer.",
    }
    return Answer((AgentCustomUpdate(payload), AgentEnd(0)))


def _tool(request: AgentRequest, _context: MockContext, argument: str) -> Answer:
    name = argument or "web-search"
    if _switched_off(request, "skills", name):
        return _text_answer(f"I would use {name}, but you switched it off.")
    return _text_answer(
        f"I used {name}, and it worked.",
        AgentToolCall(name),
        Pause(1.0),
        AgentCustomUpdate({"kind": "progress", "text": "half way"}),
        Pause(1.0),
        AgentToolResult(),
    )


def _file(request: AgentRequest, context: MockContext) -> Answer:
    number = context.messages
    digits = "".join(c for c in request.platform_chat_id if c.isascii() and c.isalnum())
    path = f"playground/hello-{digits}-{number}.txt"
    content = f"Hello from the mock agent.\nThis belongs to message {number}.\n"
    return _text_answer("Here is a file for you.", CreateFile(path, content))


def _context(request: AgentRequest, context: MockContext) -> Answer:
    settings = json.dumps(dict(request.settings), ensure_ascii=False, indent=2, sort_keys=True)
    return _text_answer(
        f"- agent: `{request.agent_id}`\n"
        f"- conversation: `{request.platform_chat_id}`\n"
        f"- messages: {context.messages}\n"
        f"- kept: {', '.join(context.saves) or 'nothing'}\n\n"
        f"Settings that differ from the defaults:\n\n```json\n{settings}\n```"
    )


def _slow(_request: AgentRequest, _context: MockContext, argument: str) -> Answer | None:
    if not argument.isdecimal() or len(argument) > 9:
        return None
    left = total = min(float(argument), MAX_SLOW_S)
    steps: list[Step] = []
    while left > 0:
        # Progress frames prevent that the request times out.
        steps.append(AgentCustomUpdate({"kind": "progress", "text": f"{left:g} s to go"}))
        steps.append(Pause(min(left, PROGRESS_INTERVAL_S)))
        left -= PROGRESS_INTERVAL_S
    return _text_answer(f"That took me {total:g} s.", *steps)


def _busy(request: AgentRequest, context: MockContext) -> Answer:
    refusal = AgentError("AGENT_BUSY", "Another client uses this conversation.")
    return Answer(_text_answer(_echo_text(request, context)).steps, first_attempt=(refusal,))


def _break(request: AgentRequest, context: MockContext) -> Answer:
    text = _echo_text(request, context)
    broken = (
        AgentTextChunk(text[: len(text) // 2]),
        AgentFailure("broken_off", "the mock agent broke off, as you asked"),
    )
    return Answer(_text_answer(text).steps, first_attempt=broken)


def _fail(_request: AgentRequest, _context: MockContext) -> Answer:
    return Answer((AgentError("MOCK_FAILURE", "The mock agent failed, as you asked."),))


_PHRASES: Mapping[str, Callable[[AgentRequest, MockContext], Answer]] = {
    "file": _file,
    "context": _context,
    "whoami": _context,
    "busy": _busy,
    "break": _break,
    "fail": _fail,
    "empty": lambda _request, _context: Answer((AgentEnd(0),)),
    "silent": lambda _request, _context: Answer((Silence(),)),
}
_PHRASES_WITH_ARGUMENT: Mapping[str, Callable[[AgentRequest, MockContext, str], Answer | None]] = {
    "long": _long,
    "confirm": _confirm,
    "tool": _tool,
    "slow": _slow,
}
