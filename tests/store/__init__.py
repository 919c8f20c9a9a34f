"""Tests of the journal and the cache, on real SQLite."""
