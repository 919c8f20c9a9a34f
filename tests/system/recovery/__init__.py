"""Tests of recovery by restart: local state old, damaged or gone, and the homeserver's state.

They look at the bot as its operator does, through `inspect-room`, the log and the database of a stopped bot, and
at the homeserver through the bot's own session.
"""
