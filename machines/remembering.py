"""What an ended answer leaves in a chat's memory, and what its reply says of that (contracts K7, K8)."""

from pathlib import PurePosixPath

from msgspec.structs import replace

from machines.case import Case
from machines.happenings import AgentDone
from machines.i18n import Catalog
from machines.ids import EventId
from machines.memory import Memory, Question
from machines.talk import ContextOrder
from machines.turn import Turn

MOST_TOKENS = 2**53 - 1
"""Beyond that a count could not be kept any more."""
NAME_CHARS = 200


def conclude(case: Case, turn: Turn, done: AgentDone) -> str:
    """Note the tokens, a save or load, and a question; return the whole text of the reply.

    The agent's own words are always there: it may have something to say about a save, or before a question.
    """
    catalog, memory = case.world.catalog, case.room.memory
    memory = replace(memory, tokens=min((memory.tokens or 0) + done.tokens_used, MOST_TOKENS))
    said = [done.text] if done.text.strip() else []
    if turn.request.context is not None:
        memory, outcome = _context(memory, turn.request.context, catalog)
        said.insert(0, outcome)
    said += [
        catalog.agent_file_failed(PurePosixPath(path).name[:NAME_CHARS]) for path in done.files
    ]
    if done.asks is not None:
        asks, now = done.asks, case.world.now
        question = Question(asks.id, asks.title, asks.description, now, asked_in=turn.turn_id)
        memory = replace(memory, question=question)
        said.append(catalog.confirmation_question(asks.title, asks.description))
    case.room = replace(case.room, memory=memory)
    return "\n\n".join(said) if said else catalog.empty_answer()


def note_shown(case: Case, question: EventId, seq: int) -> None:
    """Note that the timeline shows the open question; `seq` is the inbox row that told so. The first time counts."""
    memory = case.room.memory
    asked = memory.question
    if asked is not None and asked.asked_in == question and not asked.shown:
        memory = replace(memory, question=replace(asked, shown=seq))
        case.room = replace(case.room, memory=memory)


def _context(memory: Memory, order: ContextOrder, catalog: Catalog) -> tuple[Memory, str]:
    if order.action == "load":
        return replace(memory, context_name=order.name), catalog.load_picked(order.name)
    others = tuple(name for name in memory.saves if name != order.name)
    # A list that is open shows the saves as they were: its numbers would pick others now.
    memory = replace(memory, saves=(*others, order.name), context_name=order.name, picking=False)
    return memory, catalog.save_done(order.name)
