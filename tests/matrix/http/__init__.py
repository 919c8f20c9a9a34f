"""Tests of the HTTP side of the edge to the homeserver."""
