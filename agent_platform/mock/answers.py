"""Composes the mock agent's answers, without I/O: a request and its context in, steps out.

A message is echoed unless it begins with a phrase of `MOCK_PHRASES`. Each phrase shows one thing that a real agent may
do, failures included.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent_platform.mock.sample_text import DEFAULT_CHARS, long_text
from agent_platform.mock.texts import ENGLISH, Texts, texts_for
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
MAX_QUOTED_CHARS = 200
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
    texts: Texts = ENGLISH
    """The sentences in the language of the current message."""


def compose_answer(
    request: AgentRequest,
    context: MockContext,
    sizes: Mapping[str, int | None],
    locale: str = "en",
) -> Answer:
    """Return the answer to a new message, and update the context.

    `sizes` has the size of each attachment in bytes, None where the workspace does not have it. `locale` is the
    configured language.
    """
    context.texts = texts_for(request.settings, locale)
    context.messages += 1
    if request.confirmation:
        return _text_answer(_confirmation_text(request.confirmation, context))
    if request.context:
        return _context_answer(request.context, context)
    if request.attachments:
        return _text_answer(_attachments_text(request, context.texts, sizes))
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
    texts = context.texts
    hello = texts("hello") if context.messages == 1 else ""
    soul = request.settings.get("soul")
    if isinstance(soul, str) and soul.strip():
        hello = f"({soul.strip()}) {hello}"
    echo = f"{hello}{texts('echo', text=request.text)}"
    if request.quoted:
        quoted = " ".join(request.quoted.text.split())[:MAX_QUOTED_CHARS]
        echo = f"{echo}\n\n{texts('quoted', text=quoted)}"
    return f"{echo}\n\n{texts('counted', count=context.messages)}"


def _switched_off(request: AgentRequest, group: str, name: str) -> bool:
    switches = request.settings.get(group)
    return isinstance(switches, Mapping) and switches.get(name) is False


def _confirmation_text(answer: ConfirmationAnswer, context: MockContext) -> str:
    if answer.id not in context.questions:
        # A restart loses the questions of the mock agent, but not the open question in the bot's database.
        return context.texts("question_unknown")
    what = context.questions[answer.id]
    if what is None:
        return context.texts("question_answered")
    context.questions[answer.id] = None
    return context.texts("accepted" if answer.accepted else "declined", what=what)


def _context_answer(request: ContextRequest, context: MockContext) -> Answer:
    """Save or load a context; a failure is an `ERROR` frame, so that the bot does not report success."""
    if request.action == "save":
        if request.name not in context.saves and len(context.saves) >= MAX_SAVED:
            full = AgentError("CONTEXTS_FULL", f"The mock agent keeps {MAX_SAVED} already.")
            return Answer((full,))
        context.saves[request.name] = context.messages
        return _text_answer(context.texts("saved", name=request.name, count=context.messages))
    if request.name not in context.saves:
        # After a restart of the bot, or in a cleared chat, there are no saves.
        unknown = AgentError("CONTEXT_UNKNOWN", "The mock agent keeps nothing of that name here.")
        return Answer((unknown,))
    context.messages = context.saves[request.name]
    return _text_answer(context.texts("loaded", name=request.name, count=context.messages))


def _attachments_text(request: AgentRequest, texts: Texts, sizes: Mapping[str, int | None]) -> str:
    lines = [texts("echo", text=request.text), "", texts("attached"), ""]
    for path in request.attachments:
        size = sizes.get(path)
        found = texts("not_found") if size is None else texts("bytes", size=size)
        lines.append(f"- `{path}` ({found})")
    return "\n".join(lines)


def _long(_request: AgentRequest, context: MockContext, argument: str) -> Answer | None:
    chars = argument or str(DEFAULT_CHARS)
    if not chars.isdecimal() or len(chars) > 9:
        return None
    return _text_answer(long_text(int(chars), context.texts.locale))


def _confirm(request: AgentRequest, context: MockContext, argument: str) -> Answer:
    texts = context.texts
    what = argument or texts("what")
    if _switched_off(request, "safety", what):
        return _text_answer(texts("unasked", what=what))
    question = f"confirm-{request.message_id}"
    while len(context.questions) >= MAX_SAVED:
        del context.questions[next(iter(context.questions))]
    context.questions[question] = what
    payload = {
        "kind": "confirmation",
        "id": question,
        "title": texts("question", what=what),
        "description": texts("question_details"),
    }
    return Answer((AgentCustomUpdate(payload), AgentEnd(0)))


def _tool(request: AgentRequest, context: MockContext, argument: str) -> Answer:
    name = argument or "web-search"
    if _switched_off(request, "skills", name):
        return _text_answer(context.texts("tool_off", name=name))
    return _text_answer(
        context.texts("tool_used", name=name),
        AgentToolCall(name),
        Pause(1.0),
        AgentCustomUpdate({"kind": "progress", "text": context.texts("half_way")}),
        Pause(1.0),
        AgentToolResult(),
    )


def _file(request: AgentRequest, context: MockContext) -> Answer:
    number = context.messages
    digits = "".join(c for c in request.platform_chat_id if c.isascii() and c.isalnum())
    path = f"playground/hello-{digits}-{number}.txt"
    content = f"Hello from the mock agent.\nThis belongs to message {number}.\n"
    return _text_answer(context.texts("file"), CreateFile(path, content))


def _context(request: AgentRequest, context: MockContext) -> Answer:
    settings = json.dumps(dict(request.settings), ensure_ascii=False, indent=2, sort_keys=True)
    page = context.texts(
        "context",
        agent=request.agent_id,
        conversation=request.platform_chat_id,
        count=context.messages,
        kept=", ".join(context.saves) or context.texts("nothing"),
    )
    return _text_answer(f"{page}\n\n```json\n{settings}\n```")


def _slow(_request: AgentRequest, context: MockContext, argument: str) -> Answer | None:
    if not argument.isdecimal() or len(argument) > 9:
        return None
    left = total = min(float(argument), MAX_SLOW_S)
    steps: list[Step] = []
    while left > 0:
        # Progress frames prevent that the request times out.
        text = context.texts("seconds_left", seconds=f"{left:g}")
        steps.append(AgentCustomUpdate({"kind": "progress", "text": text}))
        steps.append(Pause(min(left, PROGRESS_INTERVAL_S)))
        left -= PROGRESS_INTERVAL_S
    return _text_answer(context.texts("slow", seconds=f"{total:g}"), *steps)


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
