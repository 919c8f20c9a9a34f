"""The runtime: actor cells, the dispatcher that runs every ready actor, timers, outbox and agent calls.

An actor is a room or a user. It is stored as rows: a cell is loaded when an event arrives and passivated when the
actor is idle. `machines` makes all decisions. This package reads the time, commits each decision, and only then
performs it through the ports (`ports`). Start at `bot`, then read `dispatcher`.
"""
