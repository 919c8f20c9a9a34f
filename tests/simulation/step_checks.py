"""Checks of each commit, request and agent call as it happens. Each names the number of its contract."""

import sqlite3
from typing import Any

from machines.events.agent import AgentRequest
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Violation
from tests.simulation.process import Process
from tests.simulation.users import SentMessage
from tests.support.content_keys import PARTIAL
from tests.support.memory_homeserver.rooms import Event, Room
from tests.support.memory_homeserver.sync import position_of

_WAITS = "status = 'waiting'"
KNOWN_S = 3.0
"""A change that was stored so long before must be known when the turn of its message begins."""


class StepChecks:
    """Checks each commit, request and agent call as it happens.

    `blind` leaves out the checks of the bot's internals, so that a planted bug must be found by its effects.
    """

    def __init__(
        self, server: SimulatedHomeserver, sent_messages: list[SentMessage], *, blind: bool
    ) -> None:
        self._server = server
        self._sent_messages = sent_messages
        self._blind = blind
        self._kernel = server.kernel
        self._token = 0
        self._in_gaps: list[SentMessage] = []
        self._chat_of: dict[str, str] = {}
        self._tokens: list[tuple[float, int]] = [(0.0, 0)]
        self._begun: set[str] = set()
        self.raw: sqlite3.Connection | None = None
        self.process: Process | None = None

    def database(self, raw: sqlite3.Connection) -> None:
        """Check this database from here on."""
        self._token = 0 if self.raw is None else self._server.position
        self._in_gaps = []
        self._tokens = [(self._kernel.now, 0)]
        self.raw = raw

    def committed(self) -> None:
        """Check that the sync token is never ahead of the stored events (contract D3)."""
        if self._blind or self.raw is None:
            return
        row = self.raw.execute("SELECT sync_token FROM bot").fetchone()
        token = position_of(row[0]) if row[0] else 0
        self._check_turns(token)
        if token <= self._token and not self._in_gaps:
            return
        behind = [
            message
            for message in self._sent_messages
            if self._token < message.event.position <= token
        ]
        behind, self._in_gaps = self._in_gaps + behind, []
        self._token = max(token, self._token)
        gaps = dict(self.raw.execute("SELECT room_id, before FROM gaps").fetchall())
        for message in behind:
            room = self._server.rooms[message.event.room_id]
            if message.deletion is not None:
                continue
            if message.kind != "text" or not meant_for_bot(room, message, self._server.bot):
                continue
            known = self.raw.execute(
                "SELECT 1 FROM inbox WHERE event_id = ?", (message.event.event_id,)
            )
            if known.fetchone() is not None:
                continue
            before = gaps.get(room.room_id)
            if before is not None and message.event.position <= position_of(before):
                self._in_gaps.append(message)
            else:
                raise Violation(
                    f"the sync token is past {message.event.event_id}, which is not stored (D3)"
                )

    def _check_turns(self, token: int) -> None:
        """Check that a turn that begins has the newest text that was known for some time (contract D17)."""
        assert self.raw is not None
        now = self._kernel.now
        open_gaps = self.raw.execute("SELECT 1 FROM gaps").fetchone() is not None
        # While history is read, an edit may be stored after the token has passed it.
        self._tokens.append((now, 0 if open_gaps else token))
        recent = [known for at, known in self._tokens if at > now - KNOWN_S]
        while len(self._tokens) > 1 and self._tokens[1][0] <= now - KNOWN_S:
            self._tokens.pop(0)
        known = min((self._tokens[0][1], *recent))
        query = "SELECT turn_id, json_extract(payload, '$.request.text') FROM turns"
        for turn_id, text in self.raw.execute(query).fetchall():
            if turn_id in self._begun:
                continue
            self._begun.add(turn_id)
            for message in self._sent_messages:
                if message.event.event_id == turn_id and message.kind == "text":
                    self._check_text(message, text, known)

    def _check_text(self, message: SentMessage, text: str, known: int) -> None:
        if message.deletion is not None and message.deletion.position <= known:
            self._kernel.report_violation(f"{message.event.event_id} was deleted before (D17)")
        texts = [message.body, *(text for _, text in message.edits)]
        newest = sum(edit.position <= known for edit, _ in message.edits)
        if text not in texts[newest:]:
            self._kernel.report_violation(
                f"{message.event.event_id} began as {text!r}, after it was edited (D17)"
            )

    def request(self, path: list[str], method: str, body: dict[str, Any]) -> None:
        """Check that nothing is sent before its commit, or before reconciliation (contracts D1, L4)."""
        expected: tuple[str, str, str] | None = None
        match method, path:
            case "PUT", ["rooms", _, "send", _, txn_id] if not _is_intermediate_edit(body):
                expected = "send_message", "txn_id = ?", txn_id
            case "PUT", ["rooms", _, "redact", _, txn_id]:
                expected = "redact_message", "txn_id = ?", txn_id
            case "PUT", ["rooms", _, "state", "m.space.child", room_id]:
                expected = (
                    "link_child",
                    f"{_WAITS} AND json_extract(payload, '$.room_id') = ?",
                    room_id,
                )
            case "POST", ["createRoom"]:
                creation = body["creation_content"]
                nonce = creation["org.lambda.surfaces.nonce"]
                expected = (
                    "create_room",
                    f"{_WAITS} AND json_extract(payload, '$.nonce') = ?",
                    nonce,
                )
            case "POST", ["rooms", room_id, "join"]:
                expected = "join_room", "lane = ?", room_id
            case _:
                pass
        if method == "PUT" and path[0] == "rooms" and path[2] == "send" and "body" in body:
            self._check_plaintext(path)
        if expected is None:
            return None
        if self.process is not None and not self.process.reconciled:
            return self._kernel.report_violation(
                f"{'/'.join(path)} was sent before reconciliation (L4)"
            )
        if self._blind or self.raw is None:
            return None
        kind, condition, value = expected
        query = f"SELECT 1 FROM outbox WHERE kind = ? AND {condition}"
        if self.raw.execute(query, (kind, value)).fetchone() is None:
            self._kernel.report_violation(
                f"{'/'.join(path)} was sent, but no committed order says so (D1)"
            )
        return None

    def _check_plaintext(self, path: list[str]) -> None:
        """Check that a process knows of encryption from before its start, whatever its database has (contract L3)."""
        room = self._server.rooms[path[1]]
        encryption = room.state.get(("m.room.encryption", ""))
        # A bot outside of the room can neither see this nor write there.
        inside = room.membership(self._server.bot) == "join"
        if inside and encryption is not None and self._is_old(encryption):
            self._kernel.report_violation(
                f"{'/'.join(path)} is plaintext in an encrypted room (L3)"
            )

    def reported(self, remarks: list[dict[str, str]]) -> None:
        """Check that the report of a start names no chat that was linked before it (contracts C1, L3, L5)."""
        bot, rooms = self._server.bot, self._server.rooms
        if self._blind:
            return
        for room_id, reason in ((each["room_id"], each["reason"]) for each in remarks):
            links = [room.state.get(("m.space.child", room_id)) for room in rooms.values()]
            linked = any(
                link is not None and link.sender == bot and self._is_old(link) for link in links
            )
            if linked and rooms[room_id].membership(bot) == "join":
                self._kernel.report_violation(
                    f"{room_id} is linked, but was reported: {reason} (C1, L3)"
                )

    def _is_old(self, event: Event) -> bool:
        return self.process is not None and event.sent_at_ms < self.process.started_at * 1000

    def agent_called(self, request: AgentRequest) -> None:
        """Check that the turn of the message is stored, and that its context is of one chat only (contract A5)."""
        if self.process is not None and not self.process.reconciled:
            return self._kernel.report_violation("an agent was called before reconciliation (L4)")
        sent = [each for each in self._sent_messages if each.event.event_id == request.message_id]
        if not sent or sent[0].kind != "text" or request.text not in sent[0].texts:
            return self._kernel.report_violation(
                f"an agent was called with {request.text!r}, which nobody wrote (D5, K10)"
            )
        room_id = sent[0].event.room_id
        if self._chat_of.setdefault(request.platform_chat_id, room_id) != room_id:
            return self._kernel.report_violation(
                f"two chats share the context {request.platform_chat_id} (A5)"
            )
        if self._blind or self.raw is None:
            return None
        query = "SELECT 1 FROM turns WHERE turn_id = ? AND state IN ('asking', 'streaming')"
        if self.raw.execute(query, (request.message_id,)).fetchone() is None:
            return self._kernel.report_violation(
                f"an agent was called for {request.message_id} before the commit (D1)"
            )
        return None


def meant_for_bot(room: Room, message: SentMessage, bot: str) -> bool:
    """Whether the bot was in the room when this was written."""
    arrival = room.arrival(bot)
    return (
        arrival is not None and arrival < message.event.position and room.membership(bot) == "join"
    )


def _is_intermediate_edit(body: dict[str, Any]) -> bool:
    """Whether this is an intermediate edit; a newer commit may drop one that is being sent (D8)."""
    return bool(body.get("m.new_content", {}).get(PARTIAL))
