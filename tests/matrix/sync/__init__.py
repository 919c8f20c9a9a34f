"""Tests of reading syncs and history."""
