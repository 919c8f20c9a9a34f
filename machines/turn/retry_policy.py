"""Retry policy: when a turn calls its agent again (contract D10), and when it must end (contract E13)."""

import zlib

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0
LONGEST_SPREAD_WAIT_S = LONGEST_WAIT_S * 1.25
"""The longest wait that `retry_at` returns."""


def retry_at(turn_id: str, attempt: int, now: float) -> float:
    """Return the time of the next attempt: exponential backoff with ±25 % jitter.

    The jitter prevents many calls at the same time. It is a function of turn and attempt instead of a random number, so
    that a step can be repeated.
    """
    wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** max(0, attempt - 1))
    spread = zlib.crc32(f"{turn_id}/{attempt}".encode("utf-8", "surrogatepass")) / 0xFFFFFFFF
    return now + float(wait_s) * (0.75 + spread / 2)


def ends_at(begun_at: float, now: float, max_turn_s: float) -> float:
    """Return when a resumed turn must end; times are seconds since the epoch.

    The limit counts from the beginning of the turn. It counts from now if the beginning is in the future (the clock was
    set back), or if the end is past already (the process was down, or the clock was set forward; contract D16).
    """
    end = min(begun_at, now) + max_turn_s
    return end if end > now else now + max_turn_s
