"""Carries out the orders of a user's actor, as the homeserver would."""

from typing import Any

from machines.events.effects import Enqueue
from machines.events.orders import CreateRoom, Done, LookUpName, NameFound, RoomCreated
from machines.ids import RoomId
from tests.machines.support import ROOM, SPACE, StepResult, UserScenario


def order_of(result: StepResult, kind: type) -> Enqueue:
    """Return the only order of a kind."""
    (send,) = [send for send in result.of(Enqueue) if isinstance(send.order, kind)]
    assert isinstance(send, Enqueue)
    return send


def outcome_of(order: Any) -> Any:
    """Return the outcome of a successful order; a chat's room is named after the chat."""
    match order:
        case LookUpName():
            return NameFound("Anna")
        case CreateRoom(space=True):
            return RoomCreated(SPACE)
        case CreateRoom(name=name):
            return RoomCreated(ROOM if name == "Chat 1" else RoomId(f"!{name}"))
        case _:
            return Done()


def complete_orders(scenario: UserScenario, result: StepResult) -> list[StepResult]:
    """Complete orders that report until none are left; returns every step."""
    steps = [result]
    while reporting := [send for send in steps[-1].of(Enqueue) if send.reports]:
        (send,) = reporting
        steps.append(scenario.order_done(send, outcome_of(send.order)))
    return steps
