"""Limits how often events that outsiders cause are logged: a stranger or a broken room can't flood the log.

After `LINES` lines of one event within `WINDOW_S` further ones are left out. The next line of that event in a later
window has their number in the field `left_out`.
"""

import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

LINES = 100
WINDOW_S = 60.0
LIMITED = frozenset(
    {
        "actor_fault",
        "event_quarantined",
        "event_refused",
        "gap_refused",
        "gap_unreadable",
        "history_refused",
        "invite_rejected",
        "messages_set_aside",
        "order_refused",
        "request_not_allowed",
    }
)


@dataclass(slots=True)
class _Window:
    began_at: float
    lines: int = 0
    left_out: int = 0


class LogLimiter:
    """A processor of structlog; `now` returns seconds of a monotonic clock."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._windows: dict[str, _Window] = {}

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the event, or raise `DropEvent`."""
        name = event["event"]
        if name not in LIMITED:
            return event
        now = self._now()
        window = self._windows.setdefault(name, _Window(now))
        left_out = 0
        if now - window.began_at >= WINDOW_S:
            left_out = window.left_out
            window = self._windows[name] = _Window(now)
        if window.lines >= LINES:
            window.left_out += 1
            raise structlog.DropEvent
        window.lines += 1
        return {**event, "left_out": left_out} if left_out else event
