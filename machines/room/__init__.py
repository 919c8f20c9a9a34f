"""A room: its machine, its actor, and reconciliation with the homeserver's topology.

Start at `machine` for the states, then at `actor`, which handles every event of a room.
"""
