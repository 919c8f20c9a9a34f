"""Tests of the product from outside, with a real daemon, a real homeserver, users, and an agent on loopback.

They use what an operator, a user and an agent see: exit codes and log lines, the Matrix API, the agent's WebSocket.
"""
