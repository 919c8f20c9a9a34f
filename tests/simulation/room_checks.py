"""Checks of the rooms when the bot is idle. Each names the number of its contract."""

import json
from collections import Counter
from collections.abc import Iterable

from machines.i18n import Catalog
from sandbox.room_event import ANSWERS
from tests.simulation.agents import SimulatedAgents
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Violation
from tests.simulation.step_checks import meant_for_bot
from tests.simulation.users import SentMessage, SimulatedUser
from tests.support.content_keys import BINDING, PART, PARTIAL
from tests.support.memory_homeserver.rooms import Event, Room


class RoomChecks:
    """Checks the rooms when the bot is idle."""

    def __init__(
        self,
        server: SimulatedHomeserver,
        sent_messages: list[SentMessage],
        users: Iterable[SimulatedUser],
        agents: SimulatedAgents,
        catalog: Catalog,
    ) -> None:
        self._server = server
        self._sent_messages = sent_messages
        self._users = users
        self._agents = agents
        self._catalog = catalog
        # Without the database the bot can't know that an unanswered `!new` has created its room already.
        self.may_repeat_commands = False

    def unanswered(self) -> list[str]:
        """Return the messages without a finished reply."""
        return [
            message.event.event_id
            for message in self._sent_messages
            if self._expects_reply(message) and not self._finished(self._replies(message))
        ]

    def check(self) -> None:
        """Check everything.

        Raises:
            Violation: the first one found.
        """
        for message in self._sent_messages:
            self._check_message(message)
        for room in self._server.rooms.values():
            self._check_order(room)
        for user in self._users:
            self._check_rooms(user)

    # -- one message -------------------------------------------------------------------------------

    def _expects_reply(self, message: SentMessage) -> bool:
        room = self._server.rooms[message.event.room_id]
        if message.kind not in ("text", "command") or room.is_encrypted:
            return False
        if message.deletion is not None:
            return False
        return meant_for_bot(room, message, self._server.bot) and not _was_interrupted(
            room, self._server.bot
        )

    def _check_message(self, message: SentMessage) -> None:
        replies, event_id = self._replies(message), message.event.event_id
        room = self._server.rooms[message.event.room_id]
        if message.deletion is not None:
            numbers = [reply.content.get(PART, 1) for reply in replies]
            if len(set(numbers)) < len(numbers):
                raise Violation(f"{event_id}, deleted, got parts {numbers} (D1, D17)")
            return
        if not self._expects_reply(message):
            changed = _was_interrupted(room, self._server.bot) or room.is_encrypted
            allowed = 1 if changed and _is_text_or_command(message) else 0
            if len(replies) > allowed:
                raise Violation(f"{event_id} ({message.kind} {message.body!r}) was answered (D5)")
            return
        if not replies:
            raise Violation(f"{event_id} {message.body!r} got no reply (D1)")
        contents = [_latest(room, reply) for reply in replies]
        if any(content.get(PARTIAL) for content in contents):
            raise Violation(f"the reply to {event_id} stays partial (D2)")
        parts = [content.get(PART) for content in contents]
        if parts not in ([None], list(range(1, len(parts) + 1))):
            raise Violation(
                f"{event_id} {message.body!r} got {len(parts)} replies, parts {parts} (D1)"
            )
        if self._became_command(message, contents):
            return
        is_chat = message.kind == "text" and room.creator == self._server.bot
        kinds = {content["msgtype"] for content in contents}
        if kinds != {"m.text" if is_chat else "m.notice"}:
            raise Violation(f"the reply to {event_id} {message.body!r} is {kinds} (D1, K1)")
        text = "".join(str(content["body"]) for content in contents)
        if is_chat and not self._is_whole(message, text):
            raise Violation(
                f"the reply to {event_id} is not what the agent answered: {text[:200]!r}"
            )

    def _became_command(self, message: SentMessage, contents: list[dict[str, object]]) -> bool:
        """Whether an edit made the message a command, and its reply says so (contract D17)."""
        edited = any(text.startswith("!") for _, text in message.edits)
        bodies = [content["body"] for content in contents]
        return edited and bodies == [self._catalog.command_as_new_message()]

    def _is_whole(self, message: SentMessage, text: str) -> bool:
        event_id, catalog = message.event.event_id, self._catalog
        complete = self._agents.answers.get(event_id, [])
        if _without_spaces(text) in {_without_spaces(answer) for answer in complete}:
            return True
        if "" in complete and text == catalog.empty_answer():
            return True
        return any(self._ends_with(event_id, text, end) for end in self._allowed_ends(message))

    def _allowed_ends(self, message: SentMessage) -> list[str]:
        """Return the texts that may replace an answer, or follow an incomplete one (D10, K9)."""
        event_id, catalog = message.event.event_id, self._catalog
        ends = [catalog.agent_error(code) for code in self._agents.refusals.get(event_id, ())]
        if self._agents.failures.get(event_id):
            kinds = ("unreachable", "silent", "protocol", "broken_off", "AGENT_BUSY")
            ends += [catalog.agent_gave_up(kind) for kind in kinds]
        room_id = message.event.room_id
        if any(
            (each.body, each.event.room_id) == ("!clear", room_id) for each in self._sent_messages
        ):
            ends += [catalog.stopped()]
        return ends

    def _ends_with(self, event_id: str, text: str, end: str) -> bool:
        if not text.endswith(end):
            return False
        beginning = _without_spaces(text.removesuffix(end))
        begun = self._agents.begun.get(event_id, [""])
        return any(_without_spaces(each).startswith(beginning) for each in begun)

    def _replies(self, message: SentMessage) -> list[Event]:
        room = self._server.rooms[message.event.room_id]
        return [
            event
            for event in room.events
            if event.type == "m.room.message"
            and event.sender == self._server.bot
            and not event.redacted
            and event.content.get(ANSWERS) == message.event.event_id
            and event.content.get("m.relates_to", {}).get("rel_type") != "m.replace"
        ]

    def _finished(self, replies: list[Event]) -> bool:
        rooms = self._server.rooms
        return bool(replies) and not any(
            _latest(rooms[reply.room_id], reply).get(PARTIAL) for reply in replies
        )

    # -- rooms -------------------------------------------------------------------------------------

    def _check_order(self, room: Room) -> None:
        if room.creator != self._server.bot:
            return
        last = 0
        for message in self._sent_messages:
            if message.event.room_id == room.room_id and message.kind == "text":
                replies = self._replies(message)
                if replies and replies[0].position < last:
                    raise Violation(f"{message.event.event_id} was answered before its turn (D1)")
                last = replies[0].position if replies else last

    def _check_rooms(self, user: SimulatedUser) -> None:
        """Check for one Space, a first chat, and one chat for each `!new`, all bound and with different contexts."""
        bot, created = self._server.bot, Counter[str]()
        contexts: Counter[str] = Counter()
        for room in self._server.rooms.values():
            if room.creator != bot or ("m.room.member", user.user_id) not in room.state:
                continue
            created["spaces" if room.is_space else "chats"] += 1
            entry = self._server.account_data.get((bot, room.room_id), {}).get(BINDING)
            binding = {} if entry is None else entry.content
            if binding.get("matrix_user_id") != user.user_id:
                raise Violation(f"{room.room_id} is bound as {json.dumps(binding)} (R4)")
            if not room.is_space:
                contexts[str(binding["platform_chat_id"])] += 1
        if max(contexts.values(), default=0) > 1:
            raise Violation(f"chats of {user.user_id} share a context: {contexts} (A5)")
        new_commands = [
            message
            for message in self._sent_messages
            if message.sender == user.user_id
            and message.body.startswith("!new")
            and self._expects_reply(message)
        ]
        if created["spaces"] != 1 or created["chats"] < 1 + len(new_commands):
            raise Violation(
                f"{user.user_id} asked for {len(new_commands)} more and has {created} (O3, K2)"
            )
        entries = [room for room in self._server.rooms.values() if room.creator == user.user_id]
        if self.may_repeat_commands:
            return
        if created["chats"] > 1 + len(new_commands) and not any(
            _was_interrupted(r, bot) or r.is_encrypted for r in entries
        ):
            raise Violation(
                f"{user.user_id} asked for {len(new_commands)} more and has {created} (O3, K2)"
            )


def _is_text_or_command(message: SentMessage) -> bool:
    return message.kind in ("text", "command")


def _was_interrupted(room: Room, bot: str) -> bool:
    """Whether the bot was removed from the room at some time."""
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


def _without_spaces(text: str) -> str:
    return "".join(text.split())
