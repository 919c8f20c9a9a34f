"""How many files this process may have open: each call to an agent is one, and the others must not go without."""

import resource

from actors.agent_calls import Limits

KEPT = 200
"""What the homeserver's connections, the database and the logs need."""


def calls_that_fit() -> int:
    """Raise the limit of open files as far as is wanted and allowed; return how many calls may be open at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = Limits().calls + KEPT
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return Limits().calls
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - KEPT)
