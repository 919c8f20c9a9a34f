"""A turn: one message of a user and the one reply to it.

Start at `machine` for the states, then at `driver`, which runs the machine for a room's actor.
"""
