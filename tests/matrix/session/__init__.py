"""Tests of login and the session file."""
