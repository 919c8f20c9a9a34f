"""The bot's session on the homeserver.

Start reading at `login`. `file` stores the session; `one_shot` is the client for commands without the daemon.
"""
