"""Everything that `surfaces-bot demo` starts and uses on loopback: Synapse, the daemon, and a user's client.

It ships in the wheel, so it has nothing that only tests use: that is in `tests/support/`. The sandbox ends all that it
starts, and writes only into a directory of its own. Start reading at `synapse` and `user_client`.
"""
