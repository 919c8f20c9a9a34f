"""A reply in the room: its parts, and when and how often they are edited (contracts D6, D7).

A reply is one message that grows by edits, or a series of such parts. The first text is delayed by
`FIRST_TEXT_DELAY_S`, so that a short answer is one event without an edit. Each edit waits longer than the one before;
twenty edits last about seven minutes. Before its first text a reply may show a quiet line, which the text replaces. The
checksum of each part's text is stored, so that a retry with the same text sends no edit. While an answer grows, its
finished parts are not split, compared or stored again (`Finished`), so the cost of an answer is linear in its length.
"""

import zlib
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from machines.events.effects import DropEdits, Effect, Enqueue
from machines.events.orders import RedactMessage, SendMessage
from machines.ids import EventId, RoomId, TxnId
from machines.turn.answer_text import AnswerText
from machines.turn.growing import settled
from machines.turn.split import CutPosition, close_fence, finished_parts, split

FIRST_TEXT_DELAY_S = 0.75
"""An answer that is whole within 0.7 s is one event; the first text of another one shows within a second."""
EDIT_INTERVAL_S = 1.6
"""Slightly more than the 1.5 s of contract D6, because the latency of requests varies."""
LONGEST_ORDER_WAIT_S = 2 * EDIT_INTERVAL_S
"""The longest delay of an order by its `not_before`: the edit before it may be delayed as well."""
EDIT_INTERVAL_GROWTH = 1.25
INTERMEDIATE_EDITS = 16
COMPLETING_EDITS = 19
"""An event may have 20 edits: three are reserved for parts that a retry completes with another text, and the last one
for the end of the turn."""
QUIET_EDITS = 5
"""Maximum number of edits of the quiet line; the others are for the answer."""


class Part(Struct, frozen=True):
    """One event of a reply, identified by its transaction id; `partial` until its last edit is ordered.

    `shown` is the checksum of its text. `event_id` is set for a part that was found in the history; the outbox knows
    the event ids of the others.
    """

    txn_id: TxnId
    edits: int = 0
    shown: int = 0
    partial: bool = True
    event_id: EventId | None = None


class Reply(Struct, frozen=True):
    """The parts of one reply. `shown_at` is the earliest time of its newest edit.

    A `notice` answers a command and is an `m.notice` (contract K1). `quiet` identifies the quiet line while the room
    shows nothing else of this reply.
    """

    room_id: RoomId
    answers: EventId
    thread_root: EventId | None = None
    parts: tuple[Part, ...] = ()
    shown_at: float = 0.0
    notice: bool = False
    quiet: str = ""

    @property
    def shows_text(self) -> bool:
        """Whether the room shows a part of the answer."""
        return bool(self.parts) and not self.quiet

    def next_show_at(self, first_text_at: float) -> float:
        """Return when the next text may be sent; the interval of edits is counted from the first one."""
        return self.next_edit_at() if self.shows_text else first_text_at + FIRST_TEXT_DELAY_S

    def next_edit_at(self) -> float:
        """Return when the event that the room shows may be edited again."""
        edits = self.parts[-1].edits if self.parts else 0
        return self.shown_at + EDIT_INTERVAL_S * EDIT_INTERVAL_GROWTH**edits


class Finished(Struct, frozen=True):
    """The beginning of a reply's text whose parts will not change any more.

    `parts` is their number, `offset` the number of characters, and `opening` the fence line of the next part.
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
    """Return a checksum of a part's text. It is never 0, which stands for an unknown text."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) or 1


def show_growing(
    reply: Reply, answer: AnswerText, status: str, at: float, finished: Finished
) -> tuple[Reply, Finished, tuple[Effect, ...]]:
    """Send or edit the parts of an answer that still grows, with a status line below it.

    Only the text after the finished parts is read. An end that is not clear yet is held back (`settled`). The status
    line will be removed again, so it does not affect where the text is split.
    """
    text = answer.since(finished.offset)
    pieces, end = finished_parts(text, CutPosition(0, finished.opening))
    finished_now = Finished(finished.parts + len(pieces), finished.offset + end.offset, end.opening)
    growing = settled(text[end.offset :], end.opening)
    if status:
        growing = "\n\n".join(filter(None, (close_fence(growing, end.opening), status)))
    pieces += split(growing, CutPosition(0, end.opening))
    if not pieces:
        return reply, finished_now, ()
    reply, effects = _show(reply, pieces, finished.parts, at, final=False)
    return reply, finished_now, effects


def show_quiet(reply: Reply, line: str, quiet: str, at: float) -> tuple[Reply, tuple[Effect, ...]]:
    """Send or edit the quiet line of a reply that has no text yet; `quiet` identifies it (contract D6)."""
    return _show(reply, (line,), 0, at, final=False, quiet=quiet)


def show_last(
    reply: Reply, text: str, at: float, finished: Finished, ending: str = ""
) -> tuple[Reply, tuple[Effect, ...]]:
    """Send or edit the final parts of a reply; `text` follows its finished parts.

    `ending` is a sentence of the bot; a code block that the agent left open is closed before it.
    """
    pieces, end = finished_parts(text, CutPosition(0, finished.opening))
    rest = text[end.offset :]
    if ending:
        rest = "\n\n".join(filter(None, (close_fence(rest, end.opening), ending)))
    pieces += split(rest, CutPosition(0, end.opening))
    return _show(reply, pieces, finished.parts, at, final=True)


def _show(
    reply: Reply, pieces: Sequence[str], skipped: int, at: float, *, final: bool, quiet: str = ""
) -> tuple[Reply, tuple[Effect, ...]]:
    """Send and edit messages so that the room shows `pieces`, the parts of the reply after the first `skipped`.

    A part with a successor is complete and gets its last edit here. The last edit of a reply keeps its distance to the
    edit before it, and is delayed by up to `EDIT_INTERVAL_S`. A text that replaces the quiet line is not delayed. If a
    retried answer is shorter, the parts that are left over are redacted.
    """
    total = skipped + len(pieces)
    last_text_at = reply.shown_at if reply.parts else at
    edit_at = at if reply.quiet else max(at, last_text_at + EDIT_INTERVAL_S)
    parts = list(reply.parts)
    is_complete = not any(part.partial for part in parts)
    added: list[Effect] = []
    edited: list[Effect] = []
    for index, piece in enumerate(pieces, skipped):
        complete = final or index < total - 1
        message = SendMessage(
            room_id=reply.room_id,
            body=piece,
            notice=reply.notice,
            answers=reply.answers,
            part=index + 1 if total > 1 or not complete else None,
            partial=not complete,
            thread_root=reply.thread_root,
            quiet=bool(quiet),
        )
        if index == len(parts):
            part = Part(part_txn(reply.answers, index), 0, checksum(piece), not complete)
            if is_complete and not added and index < total - 1:
                # One part stays marked as partial until the last part is sent (contract D12).
                added.append(Enqueue(replace(message, partial=True), part.txn_id, not_before=at))
                edited += _edit(message, part, edit_at)
                part = replace(part, edits=1)
            else:
                added.append(Enqueue(message, part.txn_id, not_before=at))
            parts.append(part)
        elif _needs_edit(parts[index], piece, complete=complete, final=final):
            edited += _edit(message, parts[index], edit_at)
            parts[index] = replace(
                parts[index],
                edits=parts[index].edits + 1,
                shown=checksum(piece),
                partial=not complete,
            )
    if final:
        for part in parts[total:]:
            redaction = RedactMessage(reply.room_id, part.txn_id, part.event_id)
            edited.append(Enqueue(redaction, TxnId(f"{part.txn_id}.redact")))
        del parts[total:]
    shown_at = max(edit_at if edited else 0.0, at if added else 0.0, reply.shown_at)
    # New parts are sent first: without its last part a reply must not appear complete (contract D12).
    reply = replace(reply, parts=tuple(parts), shown_at=shown_at, quiet=quiet)
    return reply, (*added, *edited)


def part_txn(answers: EventId, index: int) -> TxnId:
    """Return the transaction id of a part; `index` counts from 0."""
    return TxnId(f"{answers}.{index + 1}")


def _needs_edit(part: Part, piece: str, *, complete: bool, final: bool) -> bool:
    if (part.shown, part.partial) == (checksum(piece), not complete):
        return False
    return final or part.edits < (COMPLETING_EDITS if complete else INTERMEDIATE_EDITS)


def _edit(message: SendMessage, part: Part, at: float) -> tuple[Effect, ...]:
    edit = replace(
        message, edits=part.txn_id, edits_event_id=part.event_id, droppable=message.partial
    )
    send = Enqueue(edit, TxnId(f"{part.txn_id}.e{part.edits + 1}"), not_before=at)
    return (DropEdits(part.txn_id), send) if part.edits else (send,)
