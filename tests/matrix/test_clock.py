"""The runtime's clock: it passes, and nothing that is done to the machine's clock sets it (contract D16)."""

import time

import pytest

from matrix.clock import SystemClock


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_a_machine_s_clock_that_is_set_does_not_move_it(monkeypatch, jump_s):
    clock = SystemClock()
    before, real = clock.now(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    assert 0.0 <= clock.now() - before < 3600.0
