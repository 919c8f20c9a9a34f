"""The runtime's clock is not affected by changes of the system time (contract D16)."""

import time

import pytest

from matrix.clock import SystemClock


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_setting_the_system_time_does_not_move_the_clock(monkeypatch, jump_s):
    clock = SystemClock()
    before, real = clock.now(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    assert 0.0 <= clock.now() - before < 3600.0
