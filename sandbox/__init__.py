"""A homeserver and people on loopback, for the demo, the system tests and the benchmarks.

Nothing here is part of a bot in service. What the sandbox starts, it also ends, and what it
writes stays in a directory of its own.
"""
