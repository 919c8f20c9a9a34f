"""What must hold at every step, and what when the bot is idle. Each check names the contract number."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any

from machines.events.agent import AgentRequest
from machines.i18n import Catalog
from sandbox.room_event import ANSWERS
from tests.simulation.agents import AgentModel
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Violation
from tests.simulation.process import Process
from tests.simulation.users import SentMessage, SimulatedUser
from tests.support.content_keys import BINDING, PART, PARTIAL
from tests.support.memory_homeserver.rooms import Event, Room
from tests.support.memory_homeserver.sync import position_of

_WAITS = "status = 'waiting'"


class Watch:
    """Checks each commit, request and question as it happens.

    `blind` leaves out the checks of the bot's internals: a planted bug is to be found by its effects.
    """

    def __init__(
        self, server: SimulatedHomeserver, said: list[SentMessage], *, blind: bool
    ) -> None:
        self._server = server
        self._said = said
        self._blind = blind
        self._kernel = server.kernel
        self._token = 0
        self._in_gaps: list[SentMessage] = []
        self._chat_of: dict[str, str] = {}
        self.raw: sqlite3.Connection | None = None
        self.process: Process | None = None

    def database(self, raw: sqlite3.Connection) -> None:
        """Check this database from here on."""
        self._token = 0 if self.raw is None else self._server.position
        self._in_gaps = []
        self.raw = raw

    def committed(self) -> None:
        """The token never runs ahead of what is stored (contract D3)."""
        if self._blind or self.raw is None:
            return
        row = self.raw.execute("SELECT sync_token FROM bot").fetchone()
        token = position_of(row[0]) if row[0] else 0
        if token <= self._token and not self._in_gaps:
            return
        behind = [said for said in self._said if self._token < said.event.position <= token]
        behind, self._in_gaps = self._in_gaps + behind, []
        self._token = max(token, self._token)
        gaps = dict(self.raw.execute("SELECT room_id, before FROM gaps").fetchall())
        for said in behind:
            room = self._server.rooms[said.event.room_id]
            if said.kind != "text" or not _meant_for_bot(room, said, self._server.bot):
                continue
            known = self.raw.execute(
                "SELECT 1 FROM inbox WHERE event_id = ?", (said.event.event_id,)
            )
            if known.fetchone() is not None:
                continue
            before = gaps.get(room.room_id)
            if before is not None and said.event.position <= position_of(before):
                self._in_gaps.append(said)
            else:
                raise Violation(
                    f"the sync token is past {said.event.event_id}, which is not stored (D3)"
                )

    def request(self, path: list[str], method: str, body: dict[str, Any]) -> None:
        """Nothing is sent before its commit, or before reconciliation (contracts D1, L4)."""
        wanted: tuple[str, str, str] | None = None
        match method, path:
            case "PUT", ["rooms", _, "send", _, txn_id] if not _is_passing(body):
                wanted = "send_message", "txn_id = ?", txn_id
            case "PUT", ["rooms", _, "redact", _, txn_id]:
                wanted = "redact_message", "txn_id = ?", txn_id
            case "PUT", ["rooms", _, "state", "m.space.child", room_id]:
                wanted = (
                    "link_child",
                    f"{_WAITS} AND json_extract(payload, '$.room_id') = ?",
                    room_id,
                )
            case "POST", ["createRoom"]:
                creation = body["creation_content"]
                nonce = creation["org.lambda.surfaces.nonce"]
                wanted = "create_room", f"{_WAITS} AND json_extract(payload, '$.nonce') = ?", nonce
            case "POST", ["rooms", room_id, "join"]:
                wanted = "join_room", "lane = ?", room_id
            case _:
                pass
        if method == "PUT" and path[0] == "rooms" and path[2] == "send" and "body" in body:
            self._may_be_plaintext(path)
        if wanted is None:
            return None
        if self.process is not None and not self.process.reconciled:
            return self._kernel.accuse(f"{'/'.join(path)} was sent before reconciliation (L4)")
        if self._blind or self.raw is None:
            return None
        kind, condition, value = wanted
        query = f"SELECT 1 FROM outbox WHERE kind = ? AND {condition}"
        if self.raw.execute(query, (kind, value)).fetchone() is None:
            self._kernel.accuse(f"{'/'.join(path)} was sent, but no committed order says so (D1)")
        return None

    def _may_be_plaintext(self, path: list[str]) -> None:
        """What was encrypted before a process began is known to it, whatever its database says (contract L3)."""
        room = self._server.rooms[path[1]]
        encryption = room.state.get(("m.room.encryption", ""))
        # From outside of a room it can't be seen, and nothing written.
        inside = room.membership(self._server.bot) == "join"
        if inside and encryption is not None and self._is_old(encryption):
            self._kernel.accuse(f"{'/'.join(path)} is plaintext in an encrypted room (L3)")

    def reported(self, remarks: list[dict[str, str]]) -> None:
        """No chat is in the report of a start that was linked as it must be before it (contracts C1, L3, L5)."""
        bot, rooms = self._server.bot, self._server.rooms
        if self._blind:
            return
        for room_id, reason in ((each["room_id"], each["reason"]) for each in remarks):
            links = [room.state.get(("m.space.child", room_id)) for room in rooms.values()]
            linked = any(
                link is not None and link.sender == bot and self._is_old(link) for link in links
            )
            if linked and rooms[room_id].membership(bot) == "join":
                self._kernel.accuse(f"{room_id} is well, and was reported: {reason} (C1, L3)")

    def _is_old(self, event: Event) -> bool:
        return self.process is not None and event.sent_at_ms < self.process.started_at * 1000

    def reply_to(self, request: AgentRequest) -> None:
        """An agent gets a message whose turn is stored, of one chat in one context (contract A5)."""
        if self.process is not None and not self.process.reconciled:
            return self._kernel.accuse("an agent was asked before reconciliation (L4)")
        said = [each for each in self._said if each.event.event_id == request.message_id]
        if not said or (said[0].kind, said[0].body) != ("text", request.text):
            return self._kernel.accuse(
                f"an agent was asked {request.text!r}, which nobody wrote (D5, K10)"
            )
        room_id = said[0].event.room_id
        if self._chat_of.setdefault(request.platform_chat_id, room_id) != room_id:
            return self._kernel.accuse(
                f"two chats share the context {request.platform_chat_id} (A5)"
            )
        if self._blind or self.raw is None:
            return None
        query = "SELECT 1 FROM turns WHERE turn_id = ? AND state IN ('asking', 'streaming')"
        if self.raw.execute(query, (request.message_id,)).fetchone() is None:
            return self._kernel.accuse(
                f"an agent was asked about {request.message_id} before the commit (D1)"
            )
        return None


class Judge:
    """Checks the rooms when the bot is idle."""

    def __init__(
        self,
        server: SimulatedHomeserver,
        said: list[SentMessage],
        people: Iterable[SimulatedUser],
        agents: AgentModel,
        catalog: Catalog,
    ) -> None:
        self._server = server
        self._said = said
        self._people = people
        self._agents = agents
        self._catalog = catalog
        # With the database gone nothing says that an unanswered `!new` had made its room already.
        self.may_repeat_commands = False

    def unanswered(self) -> list[str]:
        """Return the messages that still wait for their reply, or for its end."""
        return [
            said.event.event_id
            for said in self._said
            if self._deserves_one(said) and not self._finished(self._replies(said))
        ]

    def judge(self) -> None:
        """Raise the first violation found."""
        for said in self._said:
            self._judge_message(said)
        for room in self._server.rooms.values():
            self._judge_order(room)
        for person in self._people:
            self._judge_rooms(person)

    # -- one message -------------------------------------------------------------------------------

    def _deserves_one(self, said: SentMessage) -> bool:
        room = self._server.rooms[said.event.room_id]
        if said.kind not in ("text", "command") or room.is_encrypted:
            return False
        return _meant_for_bot(room, said, self._server.bot) and not _was_interrupted(
            room, self._server.bot
        )

    def _judge_message(self, said: SentMessage) -> None:
        replies, event_id = self._replies(said), said.event.event_id
        room = self._server.rooms[said.event.room_id]
        if not self._deserves_one(said):
            changed = _was_interrupted(room, self._server.bot) or room.is_encrypted
            allowed = 1 if changed and _counts(said) else 0
            if len(replies) > allowed:
                raise Violation(f"{event_id} ({said.kind} {said.body!r}) was answered (D5)")
            return
        if not replies:
            raise Violation(f"{event_id} {said.body!r} got no reply (D1)")
        contents = [_latest(room, reply) for reply in replies]
        if any(content.get(PARTIAL) for content in contents):
            raise Violation(f"the reply to {event_id} stays partial (D2)")
        parts = [content.get(PART) for content in contents]
        if parts not in ([None], list(range(1, len(parts) + 1))):
            raise Violation(
                f"{event_id} {said.body!r} got {len(parts)} replies, parts {parts} (D1)"
            )
        is_chat = said.kind == "text" and room.creator == self._server.bot
        kinds = {content["msgtype"] for content in contents}
        if kinds != {"m.text" if is_chat else "m.notice"}:
            raise Violation(f"the reply to {event_id} {said.body!r} is {kinds} (D1, K1)")
        text = "".join(str(content["body"]) for content in contents)
        if is_chat and not self._is_whole(said, text):
            raise Violation(f"the reply to {event_id} is not what the agent said: {text[:200]!r}")

    def _is_whole(self, said: SentMessage, text: str) -> bool:
        event_id, catalog = said.event.event_id, self._catalog
        given = self._agents.answers.get(event_id, [])
        if _squeezed(text) in {_squeezed(answer) for answer in given}:
            return True
        if "" in given and text == catalog.empty_answer():
            return True
        return any(self._ends_so(event_id, text, end) for end in self._honest_ends(said))

    def _honest_ends(self, said: SentMessage) -> list[str]:
        """Return what may stand in place of an answer, or behind what there was of it (D10, K9)."""
        event_id, catalog = said.event.event_id, self._catalog
        ends = [catalog.agent_error(code) for code in self._agents.refusals.get(event_id, ())]
        if self._agents.troubles.get(event_id):
            kinds = ("unreachable", "silent", "protocol", "broken_off", "AGENT_BUSY")
            ends += [catalog.agent_gave_up(kind) for kind in kinds]
        room_id = said.event.room_id
        if any((each.body, each.event.room_id) == ("!clear", room_id) for each in self._said):
            ends += [catalog.stopped(), catalog.stopped_nothing()]
        return ends

    def _ends_so(self, event_id: str, text: str, end: str) -> bool:
        if not text.endswith(end):
            return False
        said = _squeezed(text.removesuffix(end))
        begun = self._agents.begun.get(event_id, [""])
        return any(_squeezed(each).startswith(said) for each in begun)

    def _replies(self, said: SentMessage) -> list[Event]:
        room = self._server.rooms[said.event.room_id]
        return [
            event
            for event in room.events
            if event.type == "m.room.message"
            and event.sender == self._server.bot
            and not event.redacted
            and event.content.get(ANSWERS) == said.event.event_id
            and event.content.get("m.relates_to", {}).get("rel_type") != "m.replace"
        ]

    def _finished(self, replies: list[Event]) -> bool:
        rooms = self._server.rooms
        return bool(replies) and not any(
            _latest(rooms[reply.room_id], reply).get(PARTIAL) for reply in replies
        )

    # -- rooms -------------------------------------------------------------------------------------

    def _judge_order(self, room: Room) -> None:
        if room.creator != self._server.bot:
            return
        last = 0
        for said in self._said:
            if said.event.room_id == room.room_id and said.kind == "text":
                replies = self._replies(said)
                if replies and replies[0].position < last:
                    raise Violation(f"{said.event.event_id} was answered before its turn (D1)")
                last = replies[0].position if replies else last

    def _judge_rooms(self, person: SimulatedUser) -> None:
        """One Space, one first chat, one chat for each `!new`, all bound and of different contexts."""
        bot, made = self._server.bot, Counter[str]()
        contexts: Counter[str] = Counter()
        for room in self._server.rooms.values():
            if room.creator != bot or ("m.room.member", person.user_id) not in room.state:
                continue
            made["spaces" if room.is_space else "chats"] += 1
            entry = self._server.account_data.get((bot, room.room_id), {}).get(BINDING)
            binding = {} if entry is None else entry.content
            if binding.get("matrix_user_id") != person.user_id:
                raise Violation(f"{room.room_id} is bound as {json.dumps(binding)} (R4)")
            if not room.is_space:
                contexts[str(binding["platform_chat_id"])] += 1
        if max(contexts.values(), default=0) > 1:
            raise Violation(f"chats of {person.user_id} share a context: {contexts} (A5)")
        asked_for = [
            said
            for said in self._said
            if said.sender == person.user_id
            and said.body.startswith("!new")
            and self._deserves_one(said)
        ]
        if made["spaces"] != 1 or made["chats"] < 1 + len(asked_for):
            raise Violation(
                f"{person.user_id} asked for {len(asked_for)} more and has {made} (O3, K2)"
            )
        entries = [room for room in self._server.rooms.values() if room.creator == person.user_id]
        if self.may_repeat_commands:
            return
        if made["chats"] > 1 + len(asked_for) and not any(
            _was_interrupted(r, bot) or r.is_encrypted for r in entries
        ):
            raise Violation(
                f"{person.user_id} asked for {len(asked_for)} more and has {made} (O3, K2)"
            )


def _is_passing(body: dict[str, Any]) -> bool:
    """Whether this is an intermediate edit: one on its way may be dropped by a newer commit (D8)."""
    return bool(body.get("m.new_content", {}).get(PARTIAL))


def _counts(said: SentMessage) -> bool:
    return said.kind in ("text", "command")


def _meant_for_bot(room: Room, said: SentMessage, bot: str) -> bool:
    """Whether the bot was in the room when this was written."""
    arrival = room.arrival(bot)
    return arrival is not None and arrival < said.event.position and room.membership(bot) == "join"


def _was_interrupted(room: Room, bot: str) -> bool:
    """Whether the bot was put out of the room at some time."""
    return any(
        event.state_key == bot and event.content.get("membership") == "leave"
        for event in room.events
    )


def _latest(room: Room, event: Event) -> dict[str, object]:
    """Return an event's content after its last edit."""
    content = dict(event.content)
    for later in room.events:
        relation = later.content.get("m.relates_to", {})
        edits = relation.get("rel_type") == "m.replace" and not later.redacted
        if edits and (relation["event_id"], later.sender) == (event.event_id, event.sender):
            content = dict(later.content["m.new_content"])
    return content


def _squeezed(text: str) -> str:
    return "".join(text.split())
