"""How long a turn waits before it asks an agent again (contract D10), and how long it may go on (contract E13)."""

import zlib

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0
LONGEST_SPREAD_WAIT_S = LONGEST_WAIT_S * 1.25
"""What `retry_at` may add to the time at most."""


def retry_at(turn_id: str, tries: int, now: float) -> float:
    """Return when to try again: doubling waits, spread by ±25 % so that many turns don't come at once.

    The spread is a function of turn and try, not of chance, so that a step can be repeated.
    """
    wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** max(0, tries - 1))
    spread = zlib.crc32(f"{turn_id}/{tries}".encode("utf-8", "surrogatepass")) / 0xFFFFFFFF
    return now + float(wait_s) * (0.75 + spread / 2)


def ends_at(begun_at: float, now: float, max_turn_s: float) -> float:
    """Return when a turn that is taken up again has to end; times are seconds since the epoch.

    It is counted from when the turn began. Where that is to come the clock was set back, and where the time is over
    already nobody was there to end it, or the clock was set forward: then it is counted from now (contract D16).
    """
    end = min(begun_at, now) + max_turn_s
    return end if end > now else now + max_turn_s
