"""A homeserver in memory, for the benchmarks, system tests and the simulation.

It has the part of the client-server API that a bot uses: no federation, no encryption, no power levels and no
disk. Where a bot can notice a difference, it follows Synapse: transaction ids, limited timelines, and forked rooms
whose syncs show a stale state.

- `rooms`: events, and rooms with their state
- `homeserver`: sessions, account data, rooms, and the log of all changes
- `sync`, `filters`: sync responses and pages of history
- `client_api`, `room_api`, `request`: the client-server API, without a network

Two adapters serve it: `http_server`, in a process of its own (`process`) with control endpoints (`bench`), and
`tests.simulation`, in the same process on its scheduler.
"""
