"""Every machine answers every event in every state, and the compiled table is the declared machine."""

from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest
from msgspec import Struct
from msgspec.structs import replace
from statemachine import State, StateMachine
from statemachine.exceptions import TransitionNotAllowed

from machines.errors import IllegalEvent
from machines.fsm import Table, event_name
from machines.room.machine import RoomMachineEvent
from machines.turn.machine import TurnEvent
from machines.turn.state import ENDED, TurnState
from tests.machines.samples import (
    BOT,
    MACHINES,
    MODULES,
    NO_EVENTS,
    ROOM,
    TURN,
    USER,
    Machine,
)

each_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)


def arrows_by_pair(table: Table) -> dict:
    pairs: dict = {}
    for transition in table.transitions:
        pairs.setdefault((transition.source, transition.event), []).append(transition)
    return pairs


# -- totality --------------------------------------------------------------------------------------


@each_machine
def test_every_state_and_event_is_an_arrow_or_a_declared_refusal(machine):
    transitions = arrows_by_pair(machine.table)
    refused = {
        (state, event) for event, states in machine.table.refuses.items() for state in states
    }
    every = {(state, event) for state in machine.table.states for event in machine.table.events}

    assert set(transitions) | refused == every
    assert set(transitions) & refused == set()


@each_machine
def test_every_refusal_says_why_in_a_sentence(machine):
    for event, states in machine.table.refuses.items():
        for state, why in states.items():
            assert len(why.split()) >= 3, (event, state)


@each_machine
def test_a_pair_that_has_guarded_arrows_ends_in_one_without_a_guard(machine):
    for pair, transitions in arrows_by_pair(machine.table).items():
        assert transitions[-1].guard is None, f"{pair} may find no arrow"
        assert all(transition.guard for transition in transitions[:-1]), (
            f"{pair} has arrows that are never taken"
        )


@each_machine
def test_every_state_can_be_reached_from_the_first(machine):
    first = next(state.id for state in machine.table.machine.states if state.initial)
    reached, new = set(), {first}
    while new:
        reached |= new
        new = {
            transition.target
            for transition in machine.table.transitions
            if transition.source in reached
        } - reached
    assert reached == set(machine.table.states)


def test_the_states_are_those_of_the_contract():
    assert BOT.table.states == (
        *("login", "initial_sync", "reconcile", "live", "draining", "stopped", "failed"),
    )
    assert ROOM.table.states == ("unregistered", "reconciling", "bound", "failed")


# -- names -----------------------------------------------------------------------------------------


@each_machine
def test_every_event_has_its_class_and_every_class_its_event(machine):
    module = MODULES[machine.name]
    events = {type(trigger) for trigger in machine.events}
    assert {event_name(cls) for cls in events} == set(machine.table.events), "each has a sample"
    declared = {
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Struct)
        and value.__module__ == module.__name__
    }
    assert {cls.__name__ for cls in declared - events} == NO_EVENTS[machine.name]


@pytest.mark.parametrize("machine", [BOT, ROOM, USER], ids=lambda machine: machine.name)
def test_the_states_of_a_row_are_those_of_its_machine(machine):
    assert get_args(get_type_hints(type(machine.rows[0]))["state"]) == machine.table.states


def test_the_types_of_the_turn_name_all_its_states_and_events():
    assert set(_flat(get_args(TurnState))) == set(TURN.table.states)
    assert set(ENDED) == {state.id for state in TURN.table.machine.final_states}
    assert set(get_args(TurnEvent)) == {type(trigger) for trigger in TURN.events}


def test_the_type_of_the_rooms_events_names_all_of_them():
    assert set(get_args(RoomMachineEvent)) == {type(trigger) for trigger in ROOM.events}


def _flat(literals: tuple) -> list[str]:
    """The names in a literal type, and in a union of them."""
    return [
        name for each in literals for name in ([each] if isinstance(each, str) else get_args(each))
    ]


@pytest.mark.parametrize(
    ("cls", "name"), [(type("Bare", (), {}), "bare"), (type("BotHasLeft", (), {}), "bot_has_left")]
)
def test_an_event_is_named_after_its_class(cls, name):
    assert event_name(cls) == name
    assert event_name(cls()) == name


def test_a_misspelt_guard_or_action_is_found_when_the_table_is_compiled():
    class Misspelt(StateMachine):
        shut = State(initial=True)
        ajar = State()
        opened = shut.to(ajar, on="creek") | ajar.to.itself(internal=True)

        @staticmethod
        def creak(data, trigger):
            return data, ()

    with pytest.raises(AttributeError, match="creek"):
        Table(Misspelt, refuses={})


# -- steps -----------------------------------------------------------------------------------------


@each_machine
def test_an_illegal_event_raises_with_its_reason_and_changes_nothing(machine):
    tried = 0
    for row, trigger in machine.cases():
        why = machine.table.refuses.get(event_name(trigger), {}).get(row.state)
        if why is None:
            continue
        before = replace(row)
        with pytest.raises(IllegalEvent) as refusal:
            machine.table.step(row, trigger, machine.context)
        assert str(refusal.value).endswith(why)
        assert row.state in str(refusal.value)
        assert row == before
        tried += 1
    assert tried


@each_machine
def test_a_legal_event_leaves_the_row_it_was_given_as_it_was(machine):
    for row, trigger in machine.cases():
        if event_name(trigger) in machine.table.accepts(row.state):
            before = replace(row)
            step = machine.table.step(row, trigger, machine.context)
            assert row == before
            assert step.data.state == step.transition.target
            assert step.moved == (step.transition.source != step.transition.target)


@each_machine
def test_both_outcomes_of_every_guard_are_tried(machine):
    for transition in machine.table.transitions:
        if transition.guard:
            taken = {
                machine.table.step(row, trigger, machine.context).transition == transition
                for row, trigger in machine.cases()
                if (row.state, event_name(trigger)) == (transition.source, transition.event)
            }
            assert taken == {True, False}, transition


@each_machine
def test_every_arrow_is_taken_by_some_sample(machine):
    taken = {
        machine.table.step(row, trigger, machine.context).transition
        for row, trigger in machine.cases()
        if event_name(trigger) in machine.table.accepts(row.state)
    }
    assert taken == set(machine.table.transitions)


def test_an_event_that_the_machine_does_not_know_is_illegal_everywhere():
    class Unheard(Struct, frozen=True):
        at: float = 0.0

    for machine in MACHINES:
        for state in machine.table.states:
            with pytest.raises(IllegalEvent, match="unheard is refused"):
                machine.table.step(
                    machine.table.with_state(machine.rows[0], state), Unheard(), machine.context
                )


@each_machine
def test_what_a_state_accepts_is_what_is_not_refused_there(machine):
    for state in machine.table.states:
        refused = {event for event, states in machine.table.refuses.items() if state in states}
        assert set(machine.table.accepts(state)) == set(machine.table.events) - refused


# -- the table and the engine ----------------------------------------------------------------------


class Untouched:
    """What the engine says of an event that it refuses."""


def by_the_engine(machine: Machine, row, trigger):
    """Take one step with python-statemachine itself: state afterwards, data and effects."""
    model = SimpleNamespace(state=row.state)
    engine = machine.table.machine(model=model)
    try:
        acted = engine.send(event_name(trigger), data=row, trigger=trigger, context=machine.context)
    except TransitionNotAllowed:
        assert model.state == row.state
        return Untouched
    data, effects = acted if acted is not None else (row, ())
    return machine.table.with_state(data, model.state), effects


def by_the_table(machine: Machine, row, trigger):
    try:
        step = machine.table.step(row, trigger, machine.context)
    except IllegalEvent:
        return Untouched
    return step.data, step.effects


@each_machine
def test_the_table_is_the_engine_on_every_state_event_and_guard(machine):
    for row, trigger in machine.cases():
        assert by_the_table(machine, row, trigger) == by_the_engine(machine, row, trigger), (
            row,
            trigger,
        )


def test_the_comparison_covers_refusals_and_guards():
    outcomes = [by_the_engine(TURN, row, trigger) for row, trigger in TURN.cases()]
    assert Untouched in outcomes
    ends = {outcome[0].state for outcome in outcomes if outcome is not Untouched}
    assert ends == {"queued", "asking", "waiting_for_call", "streaming", "waiting_to_retry"} | {
        "answered",
        "failed",
        "stopped",
    }
