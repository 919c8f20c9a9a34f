"""Pure decisions, and the value types that all other packages share.

Nothing in this package awaits, reads a clock, uses randomness, logs or does I/O. A machine takes its state and one
event, and returns its new state and the effects to perform; all input is in the arguments. `fsm` compiles the declared
machines; `bot`, `room`, `turn` and `user` have one machine each. `events` has the values that cross the borders between
packages, so that `matrix`, `agent_platform` and `actors` do not import each other. Start at `fsm`, then `room.actor`.
"""
