"""Tests of the runtime, with fakes in place of its ports."""
