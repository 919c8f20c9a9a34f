"""What the mock agent answers: one request and its conversation in, a plan of frames out; no I/O.

A message is echoed unless it is one of the phrases of `PLAYGROUND`, each of which shows one thing
that a real agent may do, its failures included.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent_platform.mock.sample_text import DEFAULT_CHARS, long_text
from machines.talk import (
    AgentBroke,
    AgentEnded,
    AgentRefused,
    AgentReported,
    AgentRequest,
    AgentSaid,
    AgentToolDone,
    AgentUsesTool,
    ContextOrder,
    Frame,
)

PLAYGROUND: Mapping[str, str] = {
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
"""The phrases to try, each with what the mock agent then does."""

MAX_SLOW_S = 600.0
PROGRESS_S = 5.0
MAX_KEPT = 100


@dataclass(frozen=True, slots=True)
class Pause:
    """The agent takes its time before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    """The agent says nothing more until it is given up."""


@dataclass(frozen=True, slots=True)
class WriteAndOffer:
    """The agent writes a file into its workspace and offers it."""

    path: str
    content: str


Step = Frame | Pause | Silence | WriteAndOffer
Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer; `first_try` takes its place the first time it is asked for."""

    steps: Steps
    first_try: Steps | None = None


@dataclass(slots=True)
class Conversation:
    """What the mock agent remembers of one `platform_chat_id`."""

    messages: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    """Saves by name, each with the number of messages at that time."""
    questions: dict[str, str | None] = field(default_factory=dict)
    """Confirmations by id, each with what is to be done; None once answered."""


def plan_answer(
    request: AgentRequest, conversation: Conversation, sizes: Mapping[str, int | None]
) -> Plan:
    """Return the answer to a message that was not seen before, and remember the message.

    `sizes` has the bytes of each attachment, None where the workspace does not have it.
    """
    conversation.messages += 1
    if request.confirmation:
        return _said(_confirmed(request, conversation))
    if request.context:
        return _context_order(request.context, conversation)
    if request.attachments:
        return _said(_attachments(request, sizes))
    word, _, rest = request.text.strip().partition(" ")
    phrase = _PHRASES.get(word.casefold())
    plan = phrase(request, conversation, rest.strip()) if phrase else None
    return plan or _said(_echo(request, conversation))


def _said(text: str, *before: Step) -> Plan:
    return Plan((*before, AgentSaid(text), AgentEnded(len(text.split()))))


def _echo(request: AgentRequest, conversation: Conversation) -> str:
    hello = "Hello! " if conversation.messages == 1 else ""
    if soul := _soul(request):
        hello = f"({soul}) {hello}"
    said = f"{hello}You said: {request.text}"
    return f"{said}\n\nThis is message {conversation.messages} of our conversation."


def _soul(request: AgentRequest) -> str:
    soul = request.settings.get("soul")
    return soul.strip() if isinstance(soul, str) else ""


def _switched_off(request: AgentRequest, group: str, name: str) -> bool:
    switches = request.settings.get(group)
    return isinstance(switches, Mapping) and switches.get(name) is False


def _confirmed(request: AgentRequest, conversation: Conversation) -> str:
    answer = request.confirmation
    if answer is None or answer.id not in conversation.questions:
        # The mock agent forgets when it is restarted; the user's open question does not.
        return "You answered a question that I no longer remember, so I did nothing."
    what = conversation.questions[answer.id]
    if what is None:
        return "You have answered that already; I did nothing more."
    conversation.questions[answer.id] = None
    if answer.accepted:
        return f"Thank you. I did it: {what}."
    return f"All right, I left it alone: {what}."


def _context_order(order: ContextOrder, conversation: Conversation) -> Plan:
    """Keep or bring back; what can't be done is refused, or the user would be told that it was."""
    if order.action == "save":
        if order.name not in conversation.kept and len(conversation.kept) >= MAX_KEPT:
            full = AgentRefused("CONTEXTS_FULL", f"The mock agent keeps {MAX_KEPT} already.")
            return Plan((full,))
        conversation.kept[order.name] = conversation.messages
        return _said(f"Kept as “{order.name}”, with {conversation.messages} messages.")
    if order.name not in conversation.kept:
        # After a restart of the bot, or in a cleared chat: both begin with an empty memory.
        unknown = AgentRefused("CONTEXT_UNKNOWN", "The mock agent keeps nothing of that name here.")
        return Plan((unknown,))
    conversation.messages = conversation.kept[order.name]
    return _said(f"We are back at “{order.name}”, with {conversation.messages} messages.")


def _attachments(request: AgentRequest, sizes: Mapping[str, int | None]) -> str:
    lines = [f"You said: {request.text}", "", "With it came:", ""]
    for path in request.attachments:
        size = sizes.get(path)
        lines.append(f"- `{path}` ({'not found' if size is None else f'{size} bytes'})")
    return "\n".join(lines)


def _long(_request: AgentRequest, _conversation: Conversation, rest: str) -> Plan | None:
    if not rest:
        return _said(long_text(DEFAULT_CHARS))
    return _said(long_text(int(rest))) if rest.isdecimal() and len(rest) <= 9 else None


def _confirm(request: AgentRequest, conversation: Conversation, rest: str) -> Plan:
    what = rest or "delete a file"
    if _switched_off(request, "safety", what):
        return _said(f"You want no question about that, so I did it: {what}.")
    question = f"confirm-{request.message_id}"
    while len(conversation.questions) >= MAX_KEPT:
        del conversation.questions[next(iter(conversation.questions))]
    conversation.questions[question] = what
    payload = {
        "kind": "confirmation",
        "id": question,
        "title": f"May I do this: {what}?",
        "description": "Nothing happens before you answer.",
    }
    return Plan((AgentReported(payload), AgentEnded(0)))


def _tool(request: AgentRequest, _conversation: Conversation, rest: str) -> Plan:
    name = rest or "web-search"
    if _switched_off(request, "skills", name):
        return _said(f"I would use {name}, but you switched it off.")
    return _said(
        f"I used {name}, and it worked.",
        AgentUsesTool(name),
        Pause(1.0),
        AgentReported({"kind": "progress", "text": "half way"}),
        Pause(1.0),
        AgentToolDone(),
    )


def _file(request: AgentRequest, conversation: Conversation, rest: str) -> Plan | None:
    if rest:
        return None
    number = conversation.messages
    digits = "".join(c for c in request.platform_chat_id if c.isascii() and c.isalnum())
    path = f"playground/hello-{digits}-{number}.txt"
    content = f"Hello from the mock agent.\nThis belongs to message {number}.\n"
    return _said("Here is a file for you.", WriteAndOffer(path, content))


def _context(request: AgentRequest, conversation: Conversation, rest: str) -> Plan | None:
    if rest:
        return None
    settings = json.dumps(dict(request.settings), ensure_ascii=False, indent=2, sort_keys=True)
    return _said(
        f"- agent: `{request.agent_id}`\n"
        f"- conversation: `{request.platform_chat_id}`\n"
        f"- messages: {conversation.messages}\n"
        f"- kept: {', '.join(conversation.kept) or 'nothing'}\n\n"
        f"Settings that differ from the defaults:\n\n```json\n{settings}\n```"
    )


def _slow(_request: AgentRequest, _conversation: Conversation, rest: str) -> Plan | None:
    if not rest.isdecimal() or len(rest) > 9:
        return None
    left = total = min(float(rest), MAX_SLOW_S)
    steps: list[Step] = []
    while left > 0:
        # A sign of life now and then: slow is not silent.
        text = f"{left:g} s to go"
        steps += [AgentReported({"kind": "progress", "text": text}), Pause(min(left, PROGRESS_S))]
        left -= PROGRESS_S
    return _said(f"That took me {total:g} s.", *steps)


def _busy(request: AgentRequest, conversation: Conversation, rest: str) -> Plan | None:
    if rest:
        return None
    refusal = AgentRefused("AGENT_BUSY", "Another client uses this conversation.")
    return Plan(_said(_echo(request, conversation)).steps, first_try=(refusal,))


def _break(request: AgentRequest, conversation: Conversation, rest: str) -> Plan | None:
    if rest:
        return None
    text = _echo(request, conversation)
    broken = (
        AgentSaid(text[: len(text) // 2]),
        AgentBroke("broken_off", "the mock agent broke off, as you asked"),
    )
    return Plan(_said(text).steps, first_try=broken)


def _fail(_request: AgentRequest, _conversation: Conversation, rest: str) -> Plan | None:
    refusal = AgentRefused("MOCK_FAILURE", "The mock agent failed, as you asked.")
    return None if rest else Plan((refusal,))


def _empty(_request: AgentRequest, _conversation: Conversation, rest: str) -> Plan | None:
    return None if rest else Plan((AgentEnded(0),))


def _silent(_request: AgentRequest, _conversation: Conversation, rest: str) -> Plan | None:
    return None if rest else Plan((Silence(),))


_PHRASES: Mapping[str, Callable[[AgentRequest, Conversation, str], Plan | None]] = {
    "long": _long,
    "confirm": _confirm,
    "tool": _tool,
    "file": _file,
    "context": _context,
    "whoami": _context,
    "slow": _slow,
    "busy": _busy,
    "break": _break,
    "fail": _fail,
    "empty": _empty,
    "silent": _silent,
}
