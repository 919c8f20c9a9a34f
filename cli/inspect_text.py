"""The text that `inspect-room` prints: a page about one room, or one line for each room.

Plain text if stdout is not a terminal. Untrusted text (names, reasons) has its control characters escaped and is never
read as markup.
"""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from cli.terminal import aligned, counted, escape_controls
from machines.room.binding import Binding, OwnerMembership
from machines.room.machine import ROOM
from machines.room.state import MIN_REPAIR_INTERVAL_S
from machines.turn.state import Turn
from store.inspection import BotSnapshot, Failure, RoomSnapshot
from store.records import FailedTurn, TransitionRecord

if TYPE_CHECKING:
    from cli.inspect_server import Comparison  # it loads a Matrix library

_COLOURS = {
    "bound": "green",
    "live": "green",
    "failed": "red",
    "unregistered": "bright_black",
    "stopped": "bright_black",
}
_OTHER_COLOUR = "yellow"
_FATES = {
    "set_aside": "set aside",
    "refused": "refused by the server",
    "quarantined": "quarantined",
}
_LABEL_WIDTH = 16


class _Console(Console):
    """A console that raises an error when stdout is closed; Rich would end the process as a failure."""

    def on_broken_pipe(self) -> None:
        """Raise the error that Rich has caught."""
        raise BrokenPipeError


class Page:
    """Writes the page to stdout, line by line."""

    def __init__(self) -> None:
        self._console = _Console(highlight=False)
        self._now = time.time()

    def room(self, snapshot: RoomSnapshot, running: bool) -> None:
        """Show one room."""
        room = snapshot.room
        self._line(Text(escape_controls(room.name) or "(no name)", "bold"), f"  {room.room_id}")
        self._line(self._state(room.state), *self._since(room.since), f" — {room.reason}")
        if room.state == "failed":
            self._line(
                "A message starts another repair, at the earliest ",
                *self._moment(room.last_repair_at + MIN_REPAIR_INTERVAL_S),
            )
        if not running:
            self._line(
                Text("No daemon runs: this is the state that the last one left.", "bright_black")
            )
        self._heading("Binding")
        for name, value in _binding(room.binding, room.owner_membership, room.encrypted):
            self._row(name, value)
        self._heading("Waiting")
        self._row("inbox", str(snapshot.inbox_pending))
        self._row("outbox", str(snapshot.outbox_pending))
        self._failures(snapshot.failures, snapshot.failures_total)
        self._heading("Turn in progress")
        self._turn(snapshot.turn, snapshot.reply_events)
        self._failed_turns(snapshot.failed_turns)
        self._heading("Last transitions")
        self._timeline(snapshot.transitions)
        if snapshot.report:
            self._heading("Last report of a repair")
            self._line("  ", json.dumps(snapshot.report, ensure_ascii=False))
        self._heading("Would accept now")
        self._line("  ", ", ".join(ROOM.accepts(room.state)))

    def rooms(self, bot: BotSnapshot, rooms: Sequence[RoomSnapshot], running: bool) -> None:
        """Show the bot, and every room on one line."""
        bot_state = bot.bot.bot_state
        device = f"  device {bot.bot.device_id}" if bot.bot.device_id else ""
        self._line(Text(bot.bot.user_id or "(never logged in)", "bold"), device)
        self._line(
            self._state(bot_state.state), *self._since(bot_state.since), f" — {bot_state.reason}"
        )
        daemon = "a daemon holds the database" if running else "no daemon runs"
        self._line(
            f"{daemon}; {counted(bot.rooms, 'room')}, {counted(bot.users, 'user')},"
            f" {counted(bot.turns, 'turn')} in progress,"
            f" {bot.inbox_pending} waiting in inboxes, {bot.outbox_pending} in the outbox"
        )
        self._failures(bot.failures, bot.failures_total)
        self._line()
        for state, *others in aligned([_columns(snapshot) for snapshot in rooms]):
            colour = _COLOURS.get(state.rstrip(), _OTHER_COLOUR)
            self._line(Text(state, colour), "  ", "  ".join(others).rstrip())
        if not rooms:
            self._line("No room is known yet.")

    def server(self, comparison: "Comparison") -> None:
        """Show the room as it is on the homeserver now, and the differences from the row."""
        snapshot = comparison.snapshot
        self._heading("On the homeserver now")
        self._row(
            "membership", snapshot.membership or f"unknown — {snapshot.refusal or 'no member'}"
        )
        if snapshot.refusal is None:
            self._row("created by", snapshot.created_by or "–")
            if snapshot.owner_membership is not None:
                self._row("owner", snapshot.owner_membership)
            if snapshot.child_link is not None:
                link = snapshot.child_link
                via = ", ".join(link.via) or "no server: the link is invalid"
                self._row("Space link", f"set by {link.sender}, via {via}")
        self._row("binding", "stored" if snapshot.binding is not None else "none")
        if not comparison.differences:
            self._row("differences", "none")
        for each in comparison.differences:
            self._row(
                "difference", f"{each.field}: here {each.local!r}, on the server {each.server!r}"
            )

    # -- parts -------------------------------------------------------------------------------------

    def _turn(self, turn: Turn | None, reply_events: tuple[str, ...]) -> None:
        if turn is None:
            self._line("  none")
            return
        self._row("message", turn.turn_id)
        self._row("state", turn.state)
        self._row("tries", str(turn.attempt))
        self._row("begun", *self._moment(turn.begun_at))
        if turn.state == "waiting_to_retry":
            self._row("next try", *self._moment(turn.retry_at))
        self._row("gives up", *self._moment(turn.gives_up_at))
        if turn.failure_reason:
            self._row("last fault", turn.failure_reason)
        self._row("reply so far", ", ".join(reply_events) or "nothing shown yet")

    def _failures(self, last: tuple[Failure, ...], total: int) -> None:
        if not total:
            return
        shown = f", the last {len(last)}" if len(last) < total else ""
        self._row("failures", f"{total}{shown}:")
        for item in last:
            event = f" {item.event_id}" if item.event_id else ""
            failure = f"{_FATES[item.fate]}: {item.kind}{event} — {item.reason}"
            self._line("    ", *self._moment(item.at), "  ", failure)

    def _failed_turns(self, failed_turns: tuple[FailedTurn, ...]) -> None:
        if not failed_turns:
            return
        self._heading("Last failed turns")
        for each in failed_turns:
            fault = f"{each.turn_id}  agent {each.agent_id}  {each.kind} — {each.reason}"
            self._line("  ", *self._moment(each.at), "  ", fault)

    def _timeline(self, transitions: tuple[TransitionRecord, ...]) -> None:
        if not transitions:
            self._line("  none yet")
        rows = [(f"{each.source} → {each.target}", each.event, each.reason) for each in transitions]
        for each, (change, *cause) in zip(transitions, aligned(rows), strict=True):
            colour = _COLOURS.get(each.target, _OTHER_COLOUR)
            at = Text(_clock(each.at), "bright_black")
            self._line("  ", at, "  ", Text(change, colour), "  ", "  ".join(cause))

    def _state(self, state: str) -> Text:
        return Text(f"● {state}", f"bold {_COLOURS.get(state, _OTHER_COLOUR)}")

    def _since(self, at: float) -> tuple[str | Text, ...]:
        return (" since ", *self._moment(at)) if at else (" since the beginning",)

    def _moment(self, at: float) -> tuple[str | Text, ...]:
        return _clock(at), Text(f" ({_ago(self._now - at)})", "bright_black")

    def _heading(self, title: str) -> None:
        self._line()
        self._line(Text(title, "bold"))

    def _row(self, name: str, *value: str | Text) -> None:
        self._line("  ", Text(name.ljust(_LABEL_WIDTH), "bright_black"), *value)

    def _line(self, *parts: str | Text) -> None:
        texts = (part if isinstance(part, Text) else Text(escape_controls(part)) for part in parts)
        self._console.print(Text.assemble(*texts), soft_wrap=True)


_OWNER_NOTES: dict[OwnerMembership, str] = {
    "join": "",
    "invite": "invited, not accepted yet",
    "leave": "left",
    "declined": "declined the invitation",
}
"""What the text says of an owner who is not in the room."""


def _binding(
    binding: Binding | None, owner_membership: OwnerMembership, encrypted: bool
) -> Iterator[tuple[str, str]]:
    if binding is None:
        yield "none", "this room has no binding"
        return
    yield "type", binding.room_type
    note = _OWNER_NOTES[owner_membership]
    if owner_membership == "leave":
        note = "has left the room"
    absence = f" ({note})" if note else ""
    role = "invited by" if binding.room_type == "entry" else "owner"
    yield role, f"{binding.matrix_user_id}{absence}"
    if binding.room_type == "chat":
        yield "chat", binding.chat_id or "–"
        yield "agent", binding.agent_id or "–"
        yield "agent context", binding.platform_chat_id or "–"
        yield "Space", binding.space_id or "–"
        yield "archived", "yes" if binding.archived else "no"
    yield "encrypted", "yes" if encrypted else "no"


def _columns(snapshot: RoomSnapshot) -> tuple[str, ...]:
    room, binding = snapshot.room, snapshot.room.binding
    notes = [
        f"inbox {snapshot.inbox_pending}" if snapshot.inbox_pending else "",
        f"outbox {snapshot.outbox_pending}" if snapshot.outbox_pending else "",
        f"turn {snapshot.turn.state}" if snapshot.turn is not None else "",
        f"failures {snapshot.failures_total}" if snapshot.failures_total else "",
        "archived" if binding and binding.archived else "",
        f"owner {note}" if (note := _OWNER_NOTES[room.owner_membership]) else "",
    ]
    return (
        room.state,
        binding.room_type if binding else "–",
        (binding.chat_id if binding else None) or "–",
        room.room_id,
        binding.matrix_user_id if binding else "–",
        escape_controls(room.name),
        ", ".join(note for note in notes if note),
    )


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _ago(seconds: float) -> str:
    """Return a duration in its largest useful unit; a time in the future is `in …`."""
    amount = abs(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if amount >= 2 * size:
            text = f"{int(amount / size)} {unit}"
            break
    else:
        text = f"{int(amount)} s"
    return f"{text} ago" if seconds >= 0 else f"in {text}"
