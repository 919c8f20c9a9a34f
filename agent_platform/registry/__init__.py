"""The configured agents, from the agents file or from one URL (contracts A2, A4).

Start reading at `agents.load_registry`.
"""
