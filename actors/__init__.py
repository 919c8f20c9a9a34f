"""The runtime: mailboxes, one crank that steps every ready actor, timers, and the performers.

An actor is a room or a user. It is a row, not an object: it is loaded when something happens to it and
forgotten when it rests. Decisions are `machines`' alone; this package keeps time, commits what was
decided, and only then has it performed through the ports (`ports`).
"""
