"""Everything a user can do in a chat: commands, agents, settings, contexts, questions, in two languages.

The tests use the Matrix API, the agents' WebSockets, signals and log lines, and compare the bot's messages with the
catalog of its language.
"""
