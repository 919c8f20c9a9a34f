"""The agents that are configured, from the agents file or from one URL (contracts A2, A4).

Start at `agents.load_registry`.
"""
