"""Tests of the sandbox, against the real thing."""
