"""What an HTTP answer means: done, wait, refused, or not a homeserver's answer at all.

A homeserver's refusal is JSON with an `errcode`. HTML, an empty body or cut-off JSON comes from a proxy
in front of a homeserver that is gone, whatever the status says (fact 6).
"""

import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct

from matrix.errors import RequestRefused, Unreachable
from matrix.http.backend import HttpAnswer
from matrix.http.parsing import parse_answer, parse_json

DEFAULT_WAIT_S = 1.0
LONGEST_WAIT_S = 24 * 3600.0


class Answered(Struct, frozen=True):
    """It was done; `content` is what the body says."""

    content: Any


class Limited(Struct, frozen=True):
    """The homeserver asks for patience (429); nothing was done."""

    wait_s: float


class Unwell(Struct, frozen=True):
    """An internal error of the homeserver: its own trouble, or this request's poison (fact 11)."""

    refusal: RequestRefused


Verdict = Answered | Limited | Unwell | RequestRefused


def judge(answer: HttpAnswer, now: float, read: Callable[[bytes], Any] = parse_answer) -> Verdict:
    """Say what an answer means; `now` is our clock's time, for want of the server's own.

    `read` makes the content of what was done out of its body.

    Raises:
        Unreachable: it is not a homeserver's.
    """
    if 200 <= answer.status < 300:
        return Answered(read(answer.body) if answer.content is None else answer.content)
    error = _error_body(answer)
    if answer.status == 429:
        return Limited(_wait_s(answer, error or {}, now))
    if answer.status == 413:
        # Often a proxy's own limit, in HTML; it means the same.
        return RequestRefused(413, "M_TOO_LARGE", "the request is too large")
    if answer.status >= 500 and (error is not None or answer.status == 500):
        # 502 and 504 with an errcode are Synapse's words for another homeserver's silence.
        return Unwell(_refusal(answer.status, error or {}))
    if error is None:
        raise Unreachable("broken", f"HTTP {answer.status} that is not a homeserver's answer")
    return _refusal(answer.status, error)


def _error_body(answer: HttpAnswer) -> dict[str, Any] | None:
    try:
        error = parse_json(answer.body)
    except Unreachable:
        return None
    if isinstance(error, dict) and isinstance(error.get("errcode"), str):
        return error
    return None


def _refusal(status: int, error: dict[str, Any]) -> RequestRefused:
    reason = error.get("error")
    return RequestRefused(
        status,
        error.get("errcode", "M_UNKNOWN"),
        reason if isinstance(reason, str) else "",
        soft_logout=error.get("soft_logout") is True,
    )


def _wait_s(answer: HttpAnswer, error: dict[str, Any], now: float) -> float:
    """Return the longer of what header and body ask for (contract D8)."""
    asked = [_header_wait_s(answer, now), _body_wait_s(error)]
    named = [wait_s for wait_s in asked if wait_s is not None]
    return min(max(named), LONGEST_WAIT_S) if named else DEFAULT_WAIT_S


def _header_wait_s(answer: HttpAnswer, now: float) -> float | None:
    value = answer.headers.get("retry-after", "").strip()
    try:
        wait_s = float(value)
    except ValueError:
        until = _http_date(value)
        if until is None:
            return None
        # Against the server's own time, where it tells: our clocks need not agree.
        wait_s = until - (_http_date(answer.headers.get("date", "")) or now)
    return max(0.0, wait_s) if math.isfinite(wait_s) else None


def _body_wait_s(error: dict[str, Any]) -> float | None:
    value = error.get("retry_after_ms")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        wait_s = float(value) / 1000
    except OverflowError:
        return None
    return max(0.0, wait_s) if math.isfinite(wait_s) else None


def _http_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
