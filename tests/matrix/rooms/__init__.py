"""Tests of reading and changing rooms."""
