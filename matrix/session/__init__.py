"""The bot's session on the homeserver: login, the session file, and the client of one-shot commands.

Start reading at `login`.
"""
