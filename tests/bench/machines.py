"""Transitions a second of the compiled table, compared with the engine it is built from and with bare dispatch.

One round of a room is a message, a confirmed topology, and the removal of the bot. All three call the same actions,
so that only dispatch differs.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agent_platform import single_agent
from machines.access import Access
from machines.context import StepContext
from machines.events.internal import TopologyConfirmed
from machines.events.matrix import BotRemoved
from machines.fsm import event_name
from machines.i18n import catalog_for
from machines.ids import AgentId, RoomId, UserId
from machines.room.binding import Binding
from machines.room.machine import ROOM, RoomMachine, UserWrote
from machines.room.state import Room
from tests.bench.figures import Comparison, Figure

TITLE = "Machines"
_ROUNDS = 30_000
_ENGINE_ROUNDS = 1_000

_BINDING = Binding("chat", UserId("@ann:localhost"), "C1", "1", AgentId("default"))
_EVENTS: tuple[Any, ...] = (
    UserWrote(),
    TopologyConfirmed(_BINDING, "Chat 1", encrypted=False, backfill=False),
    BotRemoved(RoomId("!room"), None, None, "kicked"),
)
_START = Room(RoomId("!room"))
_CONTEXT = StepContext(
    now=100.0,
    catalog=catalog_for("en", "Lambda"),
    access=Access(UserId("@lambda:localhost")),
    agents=single_agent(None, Path("/agents"), "Agent"),
    next_platform_chat_id="1",
)


def measure() -> Iterator[Figure]:
    """Run the same transitions in three ways."""
    ours = _rate(_by_table, _ROUNDS)
    beside = (
        Comparison("python-statemachine's engine", _rate(_by_engine, _ENGINE_ROUNDS)),
        Comparison("a bare dict of functions (floor)", _rate(_by_dict, _ROUNDS)),
    )
    yield Figure("transitions of the compiled table", ours, "/s", beside)


def _rate(run: Callable[[int], Room], rounds: int) -> float:
    run(rounds // 10)
    began = time.perf_counter()
    end = run(rounds)
    seconds = time.perf_counter() - began
    assert end.state == "unregistered"
    assert end.binding == _BINDING
    return rounds * len(_EVENTS) / seconds


def _by_table(rounds: int) -> Room:
    room = _START
    for _ in range(rounds):
        for event in _EVENTS:
            room = ROOM.step(room, event, _CONTEXT).data
    return room


def _by_engine(rounds: int) -> Room:
    names = [event_name(event) for event in _EVENTS]
    machine = RoomMachine()
    room = _START
    for _ in range(rounds):
        for name, event in zip(names, _EVENTS, strict=True):
            room, _effects = machine.send(name, data=room, trigger=event, context=_CONTEXT)
            room = replace(room, state=machine.current_state_value)
    return room


def _by_dict(rounds: int) -> Room:
    dispatch: dict[tuple[str, type], tuple[str, Callable[[Any, Any, Any], Any]]] = {
        ("unregistered", UserWrote): ("reconciling", RoomMachine.repair_at_once),
        ("reconciling", TopologyConfirmed): ("bound", RoomMachine.bind),
        ("bound", BotRemoved): ("unregistered", RoomMachine.leave),
    }
    room = _START
    for _ in range(rounds):
        for event in _EVENTS:
            target, action = dispatch[room.state, type(event)]
            room, _effects = action(room, event, _CONTEXT)
            room = replace(room, state=target)
    return room
