"""Long traffic on a real homeserver while the daemon is killed again and again: is anything lost? (contract D1)

`python -m tests.soak --kills 200` (`make soak KILLS=200`) starts Synapse, the daemon and an agent, lets several
people talk in twenty rooms, kills the daemon at random moments and the homeserver now and then, and afterwards
reads every room's history, which is the result.

- `soak_fixture`: the homeserver, the daemon, the agent, the people and their rooms
- `traffic`: the messages and the answers of the agent
- `kills`: when the daemon and the homeserver are killed
- `verdict`: what a room's history shows

Three more that are run by hand, and in part or for a shorter time by the test suite: `python -m tests.soak.outage`
(`make outage AWAY=60`) takes the homeserver away for a minute and counts what the daemon asks for meanwhile, `python
-m tests.soak.backlog` lets people write thousands of messages while the bot is down, `python -m tests.soak.failpoints`
kills it at each boundary of one conversation, before and after every durable write and request, one run after the
other.
"""
