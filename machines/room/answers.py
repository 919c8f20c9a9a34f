"""Updates the chat context after an answer, and adds the sentences about it to the reply (contracts K7, K8)."""

from msgspec.structs import replace

from machines.events.agent import ContextOrder
from machines.events.internal import AgentDone
from machines.ids import EventId
from machines.room.chat_context import ChatContext, Question
from machines.room.step_draft import StepDraft
from machines.turn.state import Turn

MAX_TOKENS = 2**53 - 1
"""The largest count that JSON keeps exactly."""


def remember(draft: StepDraft, turn: Turn, done: AgentDone) -> None:
    """Note the tokens, a save or a load, and a question."""
    chat_context = draft.room.chat_context
    chat_context = replace(
        chat_context, tokens=min((chat_context.tokens or 0) + done.tokens_used, MAX_TOKENS)
    )
    if turn.request.context is not None:
        chat_context = _context(chat_context, turn.request.context)
    if (asked := done.confirmation) is not None:
        now = draft.context.now
        question = Question(asked.id, asked.title, asked.description, now, asked_in=turn.turn_id)
        chat_context = replace(chat_context, question=question)
    draft.room = replace(draft.room, chat_context=chat_context)


def note_shown(draft: StepDraft, question: EventId, seq: int) -> None:
    """Note that the timeline shows the open question; `seq` is the inbox row of that event. The first one counts."""
    chat_context = draft.room.chat_context
    reply_to = chat_context.question
    if reply_to is not None and reply_to.asked_in == question and not reply_to.shown:
        chat_context = replace(chat_context, question=replace(reply_to, shown=seq))
        draft.room = replace(draft.room, chat_context=chat_context)


def _context(chat_context: ChatContext, order: ContextOrder) -> ChatContext:
    if order.action == "load":
        return replace(chat_context, context_name=order.name)
    others = tuple(name for name in chat_context.saves if name != order.name)
    # An open list shows the saves as they were: its numbers would pick other saves now.
    return replace(
        chat_context, saves=(*others, order.name), context_name=order.name, picking=False
    )
