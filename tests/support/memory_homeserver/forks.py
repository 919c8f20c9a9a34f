"""Rooms whose history is not one chain of events (design fact 19).

Two events that are sent at the same time follow the same event: the room has two ends until the next event, which
follows both. The current state has what either side set. What Synapse takes for a room's state in a sync is that after
the last event, and it lacks the other side.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.memory_homeserver.world import Event, Room


@dataclass(slots=True)
class Forks:
    """What of a room's history is not one chain of events.

    `unseen` is where the state after the last event differs from the current one: what stood there before, or None.
    It is empty again once an event has followed both ends. `roots` has, for each event that did not follow the one
    before it, the first event of the other side. `joined` are the state events that were unseen up to the event at
    that position.
    """

    unseen: dict[tuple[str, str], "Event | None"] = field(default_factory=dict)
    roots: dict[str, "Event"] = field(default_factory=dict)
    joined: list[tuple[int, "tuple[Event, ...]"]] = field(default_factory=list)
    newest: int = -1
    """The position of the last event that made a fork or ended one."""


@dataclass(slots=True)
class Fork:
    """A fork to come: the room's next state event, and what `sender` sends next after it, follow the same event."""

    sender: str
    root: "Event | None" = None


def place(room: "Room", event: "Event") -> None:
    """Let an event follow the ends of its room, or what the first event of a fork follows."""
    fork = room.fork
    if fork is not None and fork.root is not None and fork.sender == event.sender:
        room.fork = None
        _split(room, event, fork.root)
        return
    if fork is not None and fork.root is None and event.state_key is not None:
        fork.root = event
    forks = room.forks
    if forks is not None and forks.unseen:
        missed = tuple(room.state[key] for key in forks.unseen)
        forks.joined.append((event.position, missed))
        forks.unseen, forks.newest = {}, event.position


def _split(room: "Room", event: "Event", root: "Event") -> None:
    """Let an event follow what `root` follows: it does not see the state that was set from there on."""
    forks = room.forks = room.forks or Forks()
    root = forks.roots.get(root.event_id, root)
    before: dict[tuple[str, str], Event] = {}
    for earlier in room.timeline:
        if earlier.position >= root.position:
            break
        if earlier.state_key is not None:
            before[earlier.type, earlier.state_key] = earlier
    unseen = {key: before.get(key) for key, now in room.state.items() if now is not before.get(key)}
    if event.state_key is not None:
        unseen.pop((event.type, event.state_key), None)
    forks.unseen, forks.newest = unseen, event.position
    forks.roots[event.event_id] = root
