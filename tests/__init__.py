"""Tests mirror the packages; `tests.system` drives the whole program as a process."""
