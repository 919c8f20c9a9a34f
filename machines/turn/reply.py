"""How a reply appears in the room: its parts, and when and how often they are edited (contracts D6, D7).

A reply is one message that grows by edits, or a series of such parts. The first text is gathered for a moment, so that
a short answer is one event without an edit. Then each edit waits longer than the one before: twenty edits last for
about seven minutes. A checksum of each part's text is kept, so that a retry with the same text sends no edit. While an
answer grows, its finished parts are not cut, compared or stored again, so that the cost of an answer is linear in its
length (`Finished`).
"""

import zlib
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from machines.events.effects import DropEdits, Effect, Enqueue
from machines.events.orders import RedactMessage, SendMessage
from machines.ids import EventId, RoomId, TxnId
from machines.turn.answer_text import AnswerText
from machines.turn.split import (
    CutPosition,
    close_fence,
    finished_parts,
    split,
)

GATHER_S = 0.2
EDIT_INTERVAL_S = 1.6
"""A little over the 1.5 s of contract D6: two requests may travel at different speeds."""
LONGEST_ORDER_WAIT_S = 2 * EDIT_INTERVAL_S
"""Maximum distance of an order's `not_before` from now: the edit before it may have to wait as well."""
EDIT_INTERVAL_GROWTH = 1.25
INTERMEDIATE_EDITS = 16
COMPLETING_EDITS = 19
"""An event may have 20 edits. Some are reserved for parts that a retry completes with another text, and the
twentieth for the end of the turn."""


class Part(Struct, frozen=True):
    """One event of a reply, named by its transaction id; `partial` until its last edit is on its way.

    `event_id` is set for a part that was found in history; the outbox has that of every other part.
    """

    txn_id: TxnId
    edits: int = 0
    shown: int = 0
    partial: bool = True
    event_id: EventId | None = None


class Reply(Struct, frozen=True):
    """What the room has been shown of one reply. `shown_at` is when the newest edit may go out.

    With `notice` it answers a command and is an `m.notice` (contract K1).
    """

    room_id: RoomId
    answers: EventId
    thread_root: EventId | None = None
    parts: tuple[Part, ...] = ()
    shown_at: float = 0.0
    notice: bool = False

    def next_show_at(self, first_text_at: float) -> float:
        """Return when the next text may be shown."""
        if not self.parts:
            return first_text_at + GATHER_S
        return self.shown_at + EDIT_INTERVAL_S * EDIT_INTERVAL_GROWTH ** self.parts[-1].edits


class Finished(Struct, frozen=True):
    """The beginning of a reply's text that is shown in parts which will not grow any more.

    `offset` counts its characters; `opening` is the fence line that the next part begins with.
    """

    parts: int = 0
    offset: int = 0
    opening: str = ""


NOTHING_FINISHED = Finished()


def reliable(finished: Finished, reply: Reply) -> Finished:
    """Return the finished parts, or none if one of them may have had no edit left for its final text."""
    if any(part.edits >= COMPLETING_EDITS for part in reply.parts[: finished.parts]):
        return NOTHING_FINISHED
    return finished


def checksum(text: str) -> int:
    """Return a number that differs for different texts of a part; never 0, which means nothing shown."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) or 1


def show_growing(
    reply: Reply, answer: AnswerText, status: str, at: float, finished: Finished
) -> tuple[Reply, Finished, tuple[Effect, ...]]:
    """Show an answer that still grows, with a status line below it.

    Only the text after the finished parts is read. The status line will be removed again, so it moves no cut.
    """
    text = answer.since(finished.offset)
    pieces, end = finished_parts(text, CutPosition(0, finished.opening))
    ahead = Finished(finished.parts + len(pieces), finished.offset + end.offset, end.opening)
    growing = "\n\n".join(filter(None, (text[end.offset :], status)))
    pieces += split(growing, CutPosition(0, end.opening))
    reply, effects = _show(reply, pieces, finished.parts, at, final=False)
    return reply, ahead, effects


def show_last(
    reply: Reply, text: str, at: float, finished: Finished, ending: str = ""
) -> tuple[Reply, tuple[Effect, ...]]:
    """Show a reply for the last time; `text` is what follows its finished parts.

    `ending` is a sentence of the bot: it is not part of a code block that the agent left open.
    """
    pieces, end = finished_parts(text, CutPosition(0, finished.opening))
    rest = text[end.offset :]
    if ending:
        rest = "\n\n".join(filter(None, (close_fence(rest, end.opening), ending)))
    pieces += split(rest, CutPosition(0, end.opening))
    return _show(reply, pieces, finished.parts, at, final=True)


def _show(
    reply: Reply, pieces: Sequence[str], behind: int, at: float, *, final: bool
) -> tuple[Reply, tuple[Effect, ...]]:
    """Send and edit so that the room shows `pieces`, the parts of the reply after the first `behind`.

    A part that another one follows is complete and gets its last edit here. The last edit of a reply keeps the
    distance to the edit before it, which may put it up to `EDIT_INTERVAL_S` after `at`. Parts that a retried, shorter
    answer no longer needs are redacted.
    """
    total = behind + len(pieces)
    edit_at = max(at, (reply.shown_at if reply.parts else at) + EDIT_INTERVAL_S)
    parts = list(reply.parts)
    looks_finished = not any(part.partial for part in parts)
    added: list[Effect] = []
    edited: list[Effect] = []
    for index, piece in enumerate(pieces, behind):
        complete = final or index < total - 1
        message = SendMessage(
            room_id=reply.room_id,
            body=piece,
            notice=reply.notice,
            answers=reply.answers,
            part=index + 1 if total > 1 or not complete else None,
            partial=not complete,
            thread_root=reply.thread_root,
        )
        if index == len(parts):
            part = Part(part_txn(reply.answers, index), 0, checksum(piece), not complete)
            if looks_finished and not added and index < total - 1:
                # Until its last part is sent, one part must be marked as partial (contract D12).
                added.append(Enqueue(replace(message, partial=True), part.txn_id, not_before=at))
                edited += _edit(message, part, edit_at)
                part = replace(part, edits=1)
            else:
                added.append(Enqueue(message, part.txn_id, not_before=at))
            parts.append(part)
        elif _wants_edit(parts[index], piece, complete=complete, final=final):
            edited += _edit(message, parts[index], edit_at)
            parts[index] = replace(
                parts[index],
                edits=parts[index].edits + 1,
                shown=checksum(piece),
                partial=not complete,
            )
    if final:
        edited += [_redact(reply.room_id, part) for part in parts[total:]]
        del parts[total:]
    shown_at = max(edit_at if edited else 0.0, at if added else 0.0, reply.shown_at)
    # New parts are sent first: a reply whose last part is missing must not look finished (contract D12).
    return replace(reply, parts=tuple(parts), shown_at=shown_at), (*added, *edited)


def part_txn(answers: EventId, index: int) -> TxnId:
    """Return the transaction id of a reply's part, counted from 0."""
    return TxnId(f"{answers}.{index + 1}")


def _wants_edit(part: Part, piece: str, *, complete: bool, final: bool) -> bool:
    if (part.shown, part.partial) == (checksum(piece), not complete):
        return False
    return final or part.edits < (COMPLETING_EDITS if complete else INTERMEDIATE_EDITS)


def _edit(message: SendMessage, part: Part, at: float) -> tuple[Effect, ...]:
    edit = replace(
        message, edits=part.txn_id, edits_event_id=part.event_id, droppable=message.partial
    )
    send = Enqueue(edit, TxnId(f"{part.txn_id}.e{part.edits + 1}"), not_before=at)
    return (DropEdits(part.txn_id), send) if part.edits else (send,)


def _redact(room_id: RoomId, part: Part) -> Effect:
    redaction = RedactMessage(room_id, part.txn_id, part.event_id)
    return Enqueue(redaction, TxnId(f"{part.txn_id}.redact"))
