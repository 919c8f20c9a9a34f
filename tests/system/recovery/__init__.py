"""Tests of restart as the way back: local state old, damaged or gone, against what the homeserver shows.

They look at the bot as its operator does, through `inspect-room`, the log and the database of a stopped bot, and
at the homeserver through the bot's own session.
"""
