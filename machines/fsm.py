"""Compiles a declared state machine into a transition table.

A machine is declared with python-statemachine: its states, and each event with its transitions. That engine takes
about 100 µs per transition, longer than the rest of a message. So the declaration is read once, at import, and
`Table.step` runs the compiled table. A test proves the table equal to the engine for every state × event × guard.

Every state × event pair is declared: a transition, or a refusal with its reason (`refuses`). An illegal event raises
`IllegalEvent` and changes nothing. Guards and actions are static methods of the declaration:
`guard(data, trigger) -> bool`, `action(data, trigger) -> (data, effects)`. `data` is a frozen struct with a field
`state`; `trigger` is the event (the engine reserves the name `event`). A machine that needs the time, limits or
sentences gets a `context`, the third parameter of its guards and actions.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from statemachine import StateMachine

from machines.errors import IllegalEvent

D = TypeVar("D", bound=Any)
Guard = Callable[..., bool]
Action = Callable[..., tuple[Any, tuple[Any, ...]]]


class Transition(Struct, frozen=True):
    """One transition. Of several for one state and event, the first whose guard holds (or that has none) applies."""

    source: str
    event: str
    target: str
    guard: str | None
    action: str | None


class Step(Struct, Generic[D], frozen=True):
    """The result of one event: the new data, the effects in order, and the chosen transition."""

    data: D
    effects: tuple[Any, ...]
    transition: Transition

    @property
    def moved(self) -> bool:
        """Whether the state changed; only such a transition is stored (contract R2)."""
        return self.transition.source != self.transition.target


def event_name(event: type | object) -> str:
    """Return the name of an event class in its machine: `MessageArrived` is `message_arrived`."""
    cls = event if isinstance(event, type) else type(event)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def _with_state(data: Any, state: str) -> Any:
    return replace(data, state=state)


class Table(Generic[D]):
    """A compiled machine. It has no state of its own: one table serves all rows."""

    def __init__(
        self,
        machine: type[StateMachine],
        refuses: Mapping[str, Mapping[str, str]],
        with_state: Callable[[D, str], D] = _with_state,
    ) -> None:
        """Compile the declaration; `refuses` maps event → state → reason of the refusal.

        `with_state` sets the state of data that has no field `state`.
        """
        self.machine = machine
        self.with_state = with_state
        self.name = machine.__name__
        self.states = tuple(state.id for state in machine.states)
        self.transitions = tuple(self._read())
        self.events = tuple(dict.fromkeys(transition.event for transition in self.transitions))
        self.refuses = refuses
        self._run: dict[tuple[str, str], list[tuple[Transition, Guard | None, Action | None]]] = {}
        for transition in self.transitions:
            guard = getattr(machine, transition.guard) if transition.guard else None
            action = getattr(machine, transition.action) if transition.action else None
            self._run.setdefault((transition.source, transition.event), []).append(
                (transition, guard, action)
            )
        self._names: dict[type, str] = {}

    def _read(self) -> Iterator[Transition]:
        for state in self.machine.states:
            for transition in state.transitions:
                guards = [str(spec.func) for spec in transition.cond]
                actions = [str(spec.func) for spec in transition.on if not spec.is_convention]
                yield Transition(
                    source=state.id,
                    event=transition.event,
                    target=transition.target.id if transition.target is not None else state.id,
                    guard=guards[0] if guards else None,
                    action=actions[0] if actions else None,
                )

    def step(self, data: D, event: object, context: object = None) -> Step[D]:
        """Apply one event.

        Raises:
            IllegalEvent: the event is refused in this state; nothing was changed.
        """
        cls = type(event)
        name = self._names.get(cls)
        if name is None:
            name = self._names[cls] = event_name(cls)
        arguments = (event,) if context is None else (event, context)
        for transition, guard, action in self._run.get((data.state, name), ()):
            if guard is None or guard(data, *arguments):
                effects: tuple[Any, ...] = ()
                if action is not None:
                    data, effects = action(data, *arguments)
                if data.state != transition.target:
                    data = self.with_state(data, transition.target)
                return Step(data, effects, transition)
        why = self.refuses.get(name, {}).get(data.state, "no transition and no declared refusal")
        raise IllegalEvent(f"{self.name}: {name} is refused in state {data.state}: {why}")

    def accepts(self, state: str) -> tuple[str, ...]:
        """Return the events that the machine accepts in a state, in declared order (contract I2)."""
        return tuple(event for event in self.events if (state, event) in self._run)
