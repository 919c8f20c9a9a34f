"""Tests of the edge to the homeserver."""
