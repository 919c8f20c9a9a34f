"""Transitions a second: the compiled table beside the engine it was read from, and beside bare dispatch.

The work is one room's round: a message comes, the topology is confirmed, the bot is removed. All three ways
call the same actions, so that the difference is dispatch alone.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from machines.binding import Binding
from machines.ids import AgentId, RoomId, UserId
from machines.room import ROOM, MessageCame, RemovedFromRoom, Room, RoomMachine, TopologyConfirmed
from machines.table import event_name
from tests.bench.figures import Beside, Figure

TITLE = "Machines"
_ROUNDS = 30_000
_ENGINE_ROUNDS = 1_000

_BINDING = Binding("chat", UserId("@ann:localhost"), "C1", "1", AgentId("default"))
_FACTS: tuple[Any, ...] = (
    MessageCame(100.0),
    TopologyConfirmed(_BINDING, "Chat 1", encrypted=False, store=False, report={}),
    RemovedFromRoom("kicked"),
)
_START = Room(RoomId("!room"))


def measure() -> Iterator[Figure]:
    """Run the same transitions in three ways."""
    ours = _rate(_by_table, _ROUNDS)
    beside = (
        Beside("python-statemachine's engine", _rate(_by_engine, _ENGINE_ROUNDS)),
        Beside("a bare dict of functions (floor)", _rate(_by_dict, _ROUNDS)),
    )
    yield Figure("transitions of the compiled table", ours, "/s", beside)


def _rate(run: Callable[[int], Room], rounds: int) -> float:
    run(rounds // 10)
    began = time.perf_counter()
    end = run(rounds)
    seconds = time.perf_counter() - began
    assert end.state == "unregistered"
    assert end.binding == _BINDING
    return rounds * len(_FACTS) / seconds


def _by_table(rounds: int) -> Room:
    room = _START
    for _ in range(rounds):
        for fact in _FACTS:
            room = ROOM.step(room, fact).data
    return room


def _by_engine(rounds: int) -> Room:
    names = [event_name(fact) for fact in _FACTS]
    machine = RoomMachine()
    room = _START
    for _ in range(rounds):
        for name, fact in zip(names, _FACTS, strict=True):
            room, _effects = machine.send(name, data=room, fact=fact)
            room = replace(room, state=machine.current_state_value)
    return room


def _by_dict(rounds: int) -> Room:
    dispatch: dict[tuple[str, type], tuple[str, Callable[[Any, Any], Any]]] = {
        ("unregistered", MessageCame): ("reconciling", RoomMachine.repair),
        ("reconciling", TopologyConfirmed): ("bound", RoomMachine.bind),
        ("bound", RemovedFromRoom): ("unregistered", RoomMachine.let_go),
    }
    room = _START
    for _ in range(rounds):
        for fact in _FACTS:
            target, action = dispatch[room.state, type(fact)]
            room, _effects = action(room, fact)
            room = replace(room, state=target)
    return room
