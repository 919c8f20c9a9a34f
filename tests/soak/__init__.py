"""Runs long traffic on a real homeserver, kills the daemon many times, and checks that nothing is lost (contract D1).

`python -m tests.soak --kills 200` (`make soak KILLS=200`) starts Synapse, the daemon and an agent, lets several
users write in twenty rooms, kills the daemon at random moments and sometimes the homeserver, and then checks the
history of every room.

- `soak_fixture`: the homeserver, the daemon, the agent, the users and their rooms
- `traffic`: the messages and the answers of the agent
- `kills`: when the daemon and the homeserver are killed
- `history_check`: the check of a room's history

Three more programs are run by hand; the test suite runs them in part or for a shorter time. `python -m
tests.soak.outage` (`make outage AWAY=60`) stops the homeserver for a minute and counts the daemon's requests meanwhile.
`python -m tests.soak.backlog` lets users write thousands of messages while the bot is down. `python -m
tests.soak.failpoints` kills the daemon before and after every durable write and request of one conversation.
"""
