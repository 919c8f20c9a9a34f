"""Tests of the state machines and actors."""
