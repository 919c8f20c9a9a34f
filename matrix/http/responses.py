"""Classifies HTTP responses: success, rate limit, server error, refusal, or not a homeserver's response.

A homeserver's refusal is JSON with an `errcode`. HTML, an empty body or cut-off JSON comes from a proxy in front of a
homeserver that is down, whatever the status is (fact 6).
"""

import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct

from matrix.errors import RequestRefused, Unreachable
from matrix.http.backend import HttpResponse
from matrix.http.parsing import parse_json

DEFAULT_WAIT_S = 1.0
LONGEST_WAIT_S = 24 * 3600.0


class Success(Struct, frozen=True):
    """The request was carried out; `content` is the parsed body."""

    content: Any


class RateLimited(Struct, frozen=True):
    """The homeserver asks to wait (429); nothing was carried out."""

    wait_s: float


class ServerError(Struct, frozen=True):
    """An internal error: the homeserver's own fault, or a poison request (fact 11)."""

    refusal: RequestRefused


Response = Success | RateLimited | ServerError | RequestRefused


def classify(response: HttpResponse, now: float, parse: Callable[[bytes], Any]) -> Response:
    """Classify a response; `now` is our clock's time, used where the server sends no time of its own.

    `parse` turns the body of a success into its content.

    Raises:
        Unreachable: it does not come from a homeserver.
    """
    if 200 <= response.status < 300:
        return Success(parse(response.body) if response.content is None else response.content)
    error = _error_body(response)
    if response.status == 429:
        return RateLimited(_wait_s(response, error or {}, now))
    if response.status == 413:
        # Often a proxy's own limit, in HTML; it means the same.
        return RequestRefused(413, "M_TOO_LARGE", "the request is too large")
    if response.status >= 500 and (error is not None or response.status == 500):
        # Synapse answers 502 or 504 with an errcode when another homeserver does not answer it.
        return ServerError(_refusal(response.status, error or {}))
    if error is None:
        raise Unreachable("broken", _foreign(response.status))
    return _refusal(response.status, error)


def _foreign(status: int) -> str:
    """Describe an error page that is no homeserver's: of a proxy, or of another web server."""
    if status in (502, 503, 504):
        return f"HTTP {status} from a proxy, which does not reach the homeserver"
    return f"HTTP {status} that is not a homeserver's answer: another server may listen at this URL"


def _error_body(response: HttpResponse) -> dict[str, Any] | None:
    try:
        error = parse_json(response.body)
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


def _wait_s(response: HttpResponse, error: dict[str, Any], now: float) -> float:
    """Return the longer of the waits in header and body (contract D8)."""
    waits = (_header_wait_s(response, now), _body_wait_s(error))
    named = [wait_s for wait_s in waits if wait_s is not None and math.isfinite(wait_s)]
    return min(max(0.0, *named), LONGEST_WAIT_S) if named else DEFAULT_WAIT_S


def _header_wait_s(response: HttpResponse, now: float) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    try:
        return float(value)
    except ValueError:
        until = _http_date(value)
        if until is None:
            return None
        # Relative to the server's own time where it sends one: the two clocks may differ.
        return until - (_http_date(response.headers.get("date", "")) or now)


def _body_wait_s(error: dict[str, Any]) -> float | None:
    value = error.get("retry_after_ms")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) / 1000
    except OverflowError:
        return None


def _http_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
