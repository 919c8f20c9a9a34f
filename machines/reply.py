"""How a reply appears in the room: its parts, and when and how often they are edited (contract D6, D7).

A reply is one message that grows by edits, or a series of such parts. The first text is gathered for a
moment, so that a short answer is one event and no edit; then each edit waits longer than the one before, which
makes twenty of them last for about seven minutes. What was shown of a part is remembered as a checksum: a text that
came out the same after a retry is not edited again.
"""

import zlib
from dataclasses import dataclass

from machines.effects import DropEdits, Effect, Send
from machines.ids import EventId, RoomId, TxnId
from machines.orders import RedactMessage, SendMessage
from machines.splitting import split

GATHER_S = 0.2
EDIT_INTERVAL_S = 1.6
"""A little over the 1.5 s of contract D6: two requests may travel at different speeds."""
EDIT_INTERVAL_GROWTH = 1.25
INTERMEDIATE_EDITS = 16
"""Of the 20 edits that an event may have, the rest is kept for last edits, one after each retry."""


@dataclass(frozen=True, slots=True)
class Part:
    """One event of a reply, named by its transaction id; `partial` until its last edit is on its way."""

    txn_id: TxnId
    edits: int = 0
    shown: int = 0
    partial: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """What the room has been shown of one reply. `shown_at` is when the newest edit may go out."""

    room_id: RoomId
    answers: EventId
    thread_root: EventId | None = None
    parts: tuple[Part, ...] = ()
    shown_at: float = 0.0

    def next_show_at(self, first_text_at: float) -> float:
        """Return when the text that has come since may be shown."""
        if not self.parts:
            return first_text_at + GATHER_S
        return self.shown_at + EDIT_INTERVAL_S * EDIT_INTERVAL_GROWTH ** self.parts[-1].edits


def checksum(text: str) -> int:
    """Return what tells one text of a part from another; never 0, which stands for nothing shown."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) or 1


def show(reply: Reply, text: str, at: float, *, final: bool) -> tuple[Reply, tuple[Effect, ...]]:
    """Bring the room up to `text`; with `final` for the last time.

    A part that has another behind it is complete and gets its last edit here. The last edit of a
    reply keeps the distance to the edit before it, which may put it up to `EDIT_INTERVAL_S` after
    `at`. Parts that a retried, shorter answer no longer needs are taken back.
    """
    pieces = split(text)
    edit_at = max(at, reply.shown_at + EDIT_INTERVAL_S) if reply.parts else at
    parts = list(reply.parts)
    effects: list[Effect] = []
    edited = False
    for index, piece in enumerate(pieces):
        complete = final or index < len(pieces) - 1
        shown = checksum(piece)
        message = SendMessage(
            room_id=reply.room_id,
            body=piece,
            answers=reply.answers,
            part=index + 1 if len(pieces) > 1 or not complete else None,
            partial=not complete,
            thread_root=reply.thread_root,
        )
        if index == len(parts):
            part = Part(TxnId(f"{reply.answers}.{index + 1}"), 0, shown, not complete)
            parts.append(part)
            effects.append(Send(message, part.txn_id, not_before=edit_at if edited else at))
            continue
        part = parts[index]
        if (part.shown, part.partial) == (shown, not complete):
            continue
        if not complete and part.edits >= INTERMEDIATE_EDITS:
            continue
        parts[index] = Part(part.txn_id, part.edits + 1, shown, not complete)
        edit = _edit(message, part, droppable=not complete)
        effects += [DropEdits(part.txn_id)] if part.edits else []
        effects.append(Send(edit, _edit_txn(part), not_before=edit_at))
        edited = True
    if final:
        for part in parts[len(pieces) :]:
            redaction = RedactMessage(reply.room_id, part.txn_id)
            effects.append(Send(redaction, TxnId(f"{part.txn_id}.redact")))
        del parts[len(pieces) :]
    shown_at = (edit_at if edited else at) if effects else reply.shown_at
    return Reply(reply.room_id, reply.answers, reply.thread_root, tuple(parts), shown_at), tuple(
        effects
    )


def _edit_txn(part: Part) -> TxnId:
    return TxnId(f"{part.txn_id}.e{part.edits + 1}")


def _edit(message: SendMessage, part: Part, *, droppable: bool) -> SendMessage:
    return SendMessage(
        room_id=message.room_id,
        body=message.body,
        answers=message.answers,
        part=message.part,
        partial=message.partial,
        thread_root=message.thread_root,
        edits=part.txn_id,
        droppable=droppable,
    )
