"""The simulated users: they invite the bot, accept its invitations, and write whether it runs or not."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.simulation.forks import Forks
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Kernel
from tests.support.memory_homeserver.rooms import AccountData, Event, Room

Kind = Literal["text", "command", "notice", "edit"]


@dataclass(slots=True)
class SentMessage:
    """One message of a user."""

    event: Event
    body: str
    kind: Kind
    sender: str
    edits: list[tuple[Event, str]] = field(default_factory=list)
    """The edits of it, with their texts."""
    deletion: Event | None = None

    @property
    def texts(self) -> set[str]:
        """What it may be answered as."""
        edited = {text for _, text in self.edits if not text.startswith("!")}
        return {self.body, *edited}


class SimulatedUser:
    """One user with an entry room, who writes in all their rooms."""

    def __init__(
        self,
        kernel: Kernel,
        server: SimulatedHomeserver,
        user_id: str,
        sent_messages: list[SentMessage],
        changes: random.Random | None = None,
    ) -> None:
        self._kernel = kernel
        self._server = server
        self.user_id = user_id
        self.sent_messages = sent_messages
        self.entry: Room | None = None
        self._changes = changes
        self.renamed: dict[str, tuple[str, str]] = {}
        self._numbers = 0
        server.listeners.append(self._on_entry)

    # -- entry rooms and invitations -----------------------------------------------------------------------------

    def invite_the_bot(self) -> None:
        """Create a room, perhaps write into it, and invite the bot."""
        room = self.entry = self._server.create_room(self.user_id, {"name": "hello"})
        for _ in range(self._kernel.rng.choice((0, 1, 3))):
            self.write(room)
        self._server.set_membership(room, self.user_id, self._server.bot, "invite")
        self._kernel.log(f"{self.user_id} invites the bot to {room.room_id}")

    def invite_again(self) -> None:
        """Invite the bot to another room, or remove it from the first and invite it again."""
        bot, room = self._server.bot, self.entry
        if room is not None and self._kernel.likely(0.5):
            if room.membership(bot) == "join":
                self._server.set_membership(room, self.user_id, bot, "leave")
                self._kernel.log(f"{self.user_id} removes the bot from {room.room_id}")
            if room.membership(bot) == "leave":
                self._kernel.after(
                    self._kernel.rng.uniform(0.1, 10.0),
                    self._server.set_membership,
                    room,
                    self.user_id,
                    bot,
                    "invite",
                )
            return
        again = self._server.create_room(self.user_id, {"name": "hello again"})
        self._server.set_membership(again, self.user_id, bot, "invite")
        self._kernel.log(f"{self.user_id} invites the bot to {again.room_id} too")

    def _on_entry(self, event: Event | AccountData) -> None:
        """Accept an invitation of the bot after a while."""
        if isinstance(event, AccountData):
            return
        if (event.type, event.state_key) == ("m.room.member", self.user_id) and (
            event.content["membership"] == "invite"
        ):
            self._kernel.after(self._kernel.rng.choice((0.01, 0.5, 5.0)), self._accept, event)
        elif self._server.forks is not None and event.sender == self._server.bot:
            self._do_at_once(event, self._server.forks)

    def _accept(self, event: Event, *, at_once: bool = False) -> None:
        room = self._server.rooms[event.room_id]
        if room.membership(self.user_id) == "invite":
            content = {"membership": "join"}
            self._server.send(
                room, self.user_id, "m.room.member", content, self.user_id, at_once=at_once
            )

    def _do_at_once(self, event: Event, forks: Forks) -> None:
        """Act at the same time as the bot: join where it links a chat, or change the entry room."""
        room = self._server.rooms[event.room_id]
        if event.type == "m.space.child" and forks.likely():
            happens: Callable[[Event], None] = self._join_or_change_name
        elif room is self.entry and event.state_key is None and forks.likely(0.1):
            happens = self._encrypt
        elif room is self.entry and event.type == "m.room.member" and forks.likely(0.5):
            happens = self._rename_room
        else:
            return
        # Not within this call, because other listeners do not have the event yet.
        self._kernel.after(forks.rng.choice((0.0, 0.001, 0.05)), happens, event)

    def _join_or_change_name(self, event: Event) -> None:
        room = self._server.rooms[event.room_id]
        if room.membership(self.user_id) != "join":
            self._accept(event, at_once=True)
            return
        self._numbers += 1
        content = {"membership": "join", "displayname": f"Name {self._numbers}"}
        self._server.send(room, self.user_id, "m.room.member", content, self.user_id, at_once=True)

    def _rename_room(self, event: Event) -> None:
        self._numbers += 1
        room, content = self._server.rooms[event.room_id], {"name": f"hello {self._numbers}"}
        self._server.send(room, self.user_id, "m.room.name", content, "", at_once=True)

    def _encrypt(self, event: Event) -> None:
        """Turn on encryption from one device, and send a reaction from another at the same time."""
        room, content = self._server.rooms[event.room_id], {"algorithm": "m.megolm.v1.aes-sha2"}
        self._server.send(room, self.user_id, "m.room.encryption", content, "")
        relation = {"rel_type": "m.annotation", "event_id": event.event_id, "key": "!"}
        self._server.send(
            room, self.user_id, "m.reaction", {"m.relates_to": relation}, at_once=True
        )
        self._kernel.log(f"{self.user_id} encrypts {room.room_id}")

    # -- messages -----------------------------------------------------------------------------------

    @property
    def chats(self) -> list[Room]:
        """Return the chats that the user has joined."""
        return [
            room
            for room in self._server.rooms.values()
            if room.creator == self._server.bot
            and not room.is_space
            and room.membership(self.user_id) == "join"
        ]

    def write_somewhere(self) -> None:
        """Write into one of the chats, or into the entry room."""
        rng, rooms = self._kernel.rng, self.chats
        if self.entry is not None and (not rooms or rng.random() < 0.1):
            # A plaintext message in an encrypted room gets no answer.
            rooms = [] if self.entry.is_encrypted else [self.entry]
        if not rooms:
            return
        room = rng.choice(rooms)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            self.write(room)

    def ask(self, room_id: str) -> None:
        """Write a question in a chat, if the user has joined it."""
        if any(room.room_id == room_id for room in self.chats):
            self._numbers += 1
            room = self._server.rooms[room_id]
            self.send(room, f"question {self.user_id[1:4]}{self._numbers}", "text")

    def write(self, room: Room) -> None:
        """Send one message of a random kind."""
        rng = self._kernel.rng
        self._numbers += 1
        number = f"{self.user_id[1:4]}{self._numbers}"
        if rng.random() > 0.2:
            self.send(room, f"question {number}", "text")
            return
        match rng.choice(("new", "clear", "rename", "chats", "help", "unknown", "notice", "edit")):
            case "rename":
                name = f"name {number}"
                self.send(room, f"!rename {name}", "command")
            case "notice":
                self.send(room, f"notice {number}", "notice")
            case "edit":
                self.send(room, f"!clear {number}", "edit")
            case "new":
                self.send(room, f"!new chat {number}", "command")
            case word:
                self.send(room, f"!{word}", "command")

    def send(self, room: Room, body: str, kind: Kind) -> SentMessage:
        """Send one message and record it."""
        content: dict[str, Any] = {
            "msgtype": "m.notice" if kind == "notice" else "m.text",
            "body": body,
        }
        if kind == "edit":
            relation = {"rel_type": "m.replace", "event_id": room.events[-1].event_id}
            content |= {"m.relates_to": relation, "m.new_content": dict(content)}
        event = self._server.send(room, self.user_id, "m.room.message", content)
        self._kernel.log(f"{self.user_id} in {room.room_id}: {event.event_id} {body!r} ({kind})")
        if kind == "edit":
            target = room.events[-2].event_id
            for each in self.sent_messages:
                if each.event.event_id == target and each.sender == self.user_id:
                    each.edits.append((event, body))
        message = SentMessage(event, body, kind, self.user_id)
        self.sent_messages.append(message)
        self._plan_changes(message)
        return message

    # -- edits and deletions ------------------------------------------------------------------------

    def _plan_changes(self, message: SentMessage) -> None:
        """Sometimes plan to edit or delete a message soon."""
        rng = self._changes
        if rng is None or message.kind != "text" or message.body.startswith("last"):
            return
        if rng.random() < 0.25:
            for _ in range(rng.choice((1, 1, 2))):
                after_s = rng.choice((0.0, 0.1, 1.0, 5.0, 20.0))
                self._kernel.after(after_s, self._change, message, rng)

    def _change(self, message: SentMessage, rng: random.Random) -> None:
        room = self._server.rooms[message.event.room_id]
        if message.deletion is not None or room.is_encrypted:
            return
        event_id = message.event.event_id
        if rng.random() < 0.3:
            message.deletion = self._server.redact(room, self.user_id, event_id)
            self._kernel.log(f"{self.user_id} deletes {event_id}")
            return
        self._numbers += 1
        text = "!clear" if rng.random() < 0.2 else f"edited {self.user_id[1:4]}{self._numbers}"
        content = {
            "msgtype": "m.text",
            "body": f"* {text}",
            "m.new_content": {"msgtype": "m.text", "body": text},
            "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
        }
        edit = self._server.send(room, self.user_id, "m.room.message", content)
        message.edits.append((edit, text))
        self._kernel.log(f"{self.user_id} edits {event_id} to {text!r}: {edit.event_id}")
