"""Tests that the documentation is true of the code."""
