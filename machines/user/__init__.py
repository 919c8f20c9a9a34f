"""A user: the creation of their Space and chats, and their preferences.

Start at `machine` for the states, then at `actor`, which handles every event of a user.
"""
