"""Raises the limit of open files: calls to agents must leave enough for the homeserver, the database and the logs."""

import resource

from actors.agent_calls import Limits

RESERVED = 200
"""Open files for everything except calls to agents."""


def raise_file_limit() -> int:
    """Raise the soft limit as far as needed and allowed; return how many calls may be open at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = Limits().calls + RESERVED
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return Limits().calls
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - RESERVED)
