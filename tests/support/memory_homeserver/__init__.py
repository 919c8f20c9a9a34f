"""A homeserver in memory, for benchmarks: what is measured against it is the bot.

It runs as a process of its own and speaks as much of the client-server API as a bot uses. There
is no federation, no encryption of its own, no power level and no disk: only rooms, one log of
everything that happened, and sync responses cut from it. `/_bench/` fills it with users, lets
them all speak at once and says what came back. Where it must be exact, it follows Synapse: a room
can be made to fork, and a sync then shows the state after its last event, which is not the current one.

- `world`: rooms, events, the log
- `forks`: events that were sent at the same time
- `syncing`: sync responses and pages of history
- `api`, `room_api`: the client-server API over HTTP
- `bench`: the control endpoints and the measurements
- `process`: starts all this as a process, for whoever measures
"""
