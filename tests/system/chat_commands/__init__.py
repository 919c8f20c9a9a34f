"""Everything a person can do in a chat: commands, agents, settings, contexts, questions, in two languages.

Driven through the Matrix API, the agents' WebSockets, signals and log lines; what the bot says is compared with the
catalogue of the language it is to speak.
"""
