"""Calls to agents leave enough open files for the database and the homeserver."""

import resource

import pytest

from actors.agent_calls import Limits
from cli.file_limit import RESERVED, raise_file_limit

WANTED = Limits().calls + RESERVED
UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "after", "calls"),
    [
        ((1024, UNLIMITED), (WANTED, UNLIMITED), Limits().calls),
        ((1024, 500_000), (WANTED, 500_000), Limits().calls),
        ((1024, 1024), (1024, 1024), 1024 - RESERVED),
        ((64, 64), (64, 64), 1),
        ((500_000, 500_000), None, Limits().calls),
        ((UNLIMITED, UNLIMITED), None, Limits().calls),
    ],
)
def test_the_limit_is_raised_as_far_as_wanted_and_the_calls_fit_below_it(
    monkeypatch, before, after, calls
):
    changed = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: before)
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: changed.append(limits))
    assert raise_file_limit() == calls
    assert changed == ([] if after is None else [after])
