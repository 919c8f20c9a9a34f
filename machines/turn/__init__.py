"""A turn: one message of a user and the one reply to it.

Start at `machine`, which has the states, then read `driver`, which runs the machine for a room's actor.
"""
