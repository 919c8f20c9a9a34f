"""Updates the chat context after an answer, and adds the sentences about it to the reply (contracts K7, K8)."""

from msgspec.structs import replace

from machines.events.agent import ContextOrder
from machines.events.internal import AgentDone
from machines.ids import EventId
from machines.room.chat_context import Memory, Question
from machines.room.step_draft import Case
from machines.turn.state import Turn

MAX_TOKENS = 2**53 - 1
"""The largest count that JSON keeps exactly."""


def remember(case: Case, turn: Turn, done: AgentDone) -> None:
    """Note the tokens, a save or a load, and a question."""
    memory = case.room.memory
    memory = replace(memory, tokens=min((memory.tokens or 0) + done.tokens_used, MAX_TOKENS))
    if turn.request.context is not None:
        memory = _context(memory, turn.request.context)
    if done.asks is not None:
        asks, now = done.asks, case.world.now
        question = Question(asks.id, asks.title, asks.description, now, asked_in=turn.turn_id)
        memory = replace(memory, question=question)
    case.room = replace(case.room, memory=memory)


def note_shown(case: Case, question: EventId, seq: int) -> None:
    """Note that the timeline shows the open question; `seq` is the inbox row of that event. The first one counts."""
    memory = case.room.memory
    asked = memory.question
    if asked is not None and asked.asked_in == question and not asked.shown:
        memory = replace(memory, question=replace(asked, shown=seq))
        case.room = replace(case.room, memory=memory)


def _context(memory: Memory, order: ContextOrder) -> Memory:
    if order.action == "load":
        return replace(memory, context_name=order.name)
    others = tuple(name for name in memory.saves if name != order.name)
    # An open list shows the saves as they were: its numbers would pick other saves now.
    return replace(memory, saves=(*others, order.name), context_name=order.name, picking=False)
