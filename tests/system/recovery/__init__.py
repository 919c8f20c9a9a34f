"""Tests of recovery by restart, with local state that is old, damaged or lost.

They inspect the bot as its operator does, with `inspect-room`, the log and the database of a stopped bot, and the
homeserver with the bot's session.
"""
