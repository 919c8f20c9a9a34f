"""The bot's life: `login → initial_sync → reconcile → live → draining → stopped` (contract L1).

Before `live` nobody is answered: the initial sync shows the world, reconciliation makes the local rows
agree with it, and only then the first waiting message is taken. A session that ended softly is renewed
from wherever the bot is; a request to stop drains from anywhere; what cannot go on has `failed`.
"""

from msgspec import Struct
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.table import Table


class Life(Struct, frozen=True):
    """The bot's own row. `since` is seconds since the epoch."""

    state: str = "login"
    since: float = 0.0
    reason: str = ""
    was_live: bool = False


class Started(Struct, frozen=True):
    """A new process began; whatever the last one left behind, it starts with `login`."""

    at: float
    reason: str = "started"


class LoggedIn(Struct, frozen=True):
    """The homeserver accepts the session."""

    at: float
    reason: str


class SyncedOnce(Struct, frozen=True):
    """The initial sync is journalled."""

    at: float
    reason: str


class Reconciled(Struct, frozen=True):
    """The local rows agree with the homeserver."""

    at: float
    reason: str


class SoftLoggedOut(Struct, frozen=True):
    """The access token ended with `soft_logout` (contract L10)."""

    at: float
    reason: str


class StopRequested(Struct, frozen=True):
    """SIGTERM or SIGINT (contract L8)."""

    at: float
    reason: str


class Drained(Struct, frozen=True):
    """Steps in hand are finished and sends are flushed, or the time for it is over."""

    at: float
    reason: str


class GaveUp(Struct, frozen=True):
    """Something that the daemon cannot mend: refused credentials, an unusable database, a fault."""

    at: float
    reason: str


class BotLifecycle(StateMachine):
    """The declaration; `LIFECYCLE` is what runs."""

    login = State(initial=True)
    initial_sync = State()
    reconcile = State()
    live = State()
    draining = State()
    stopped = State()
    failed = State()

    started = (
        login.to.itself(internal=True, on="begin")
        | initial_sync.to(login, on="begin")
        | reconcile.to(login, on="begin")
        | live.to(login, on="begin")
        | draining.to(login, on="begin")
        | stopped.to(login, on="begin")
        | failed.to(login, on="begin")
    )
    logged_in = login.to(live, cond="was_live") | login.to(initial_sync)
    synced_once = initial_sync.to(reconcile)
    reconciled = reconcile.to(live, on="go_live")
    soft_logged_out = initial_sync.to(login) | live.to(login)
    stop_requested = (
        login.to(draining) | initial_sync.to(draining) | reconcile.to(draining) | live.to(draining)
    )
    drained = draining.to(stopped)
    gave_up = (
        login.to(failed)
        | initial_sync.to(failed)
        | reconcile.to(failed)
        | live.to(failed)
        | draining.to(failed)
    )

    @staticmethod
    def was_live(data: Life, fact: LoggedIn) -> bool:
        """Reconciliation runs once per start: a renewed session goes straight back (contract L4)."""
        return data.was_live

    @staticmethod
    def begin(data: Life, fact: Started) -> tuple[Life, tuple[()]]:
        """A new process has not been live yet."""
        return replace(data, was_live=False), ()

    @staticmethod
    def go_live(data: Life, fact: Reconciled) -> tuple[Life, tuple[()]]:
        """From here on a new login needs no second reconciliation."""
        return replace(data, was_live=True), ()


_EARLY = "nothing of the kind is under way yet"
_PAST = "that is behind us in this start"
_OVER = "this process is ending"

LIFECYCLE: Table[Life] = Table(
    BotLifecycle,
    refuses={
        "logged_in": {
            "initial_sync": _PAST,
            "reconcile": _PAST,
            "live": _PAST,
            "draining": _OVER,
            "stopped": _OVER,
            "failed": _OVER,
        },
        "synced_once": {
            "login": _EARLY,
            "reconcile": _PAST,
            "live": _PAST,
            "draining": _OVER,
            "stopped": _OVER,
            "failed": _OVER,
        },
        "reconciled": {
            "login": _EARLY,
            "initial_sync": _EARLY,
            "live": _PAST,
            "draining": _OVER,
            "stopped": _OVER,
            "failed": _OVER,
        },
        "soft_logged_out": {
            "login": "the login in hand renews the session",
            "reconcile": "reconciliation finishes first; its requests wait for the new session",
            "draining": _OVER,
            "stopped": _OVER,
            "failed": _OVER,
        },
        "stop_requested": {"draining": _OVER, "stopped": _OVER, "failed": _OVER},
        "drained": {
            "login": _EARLY,
            "initial_sync": _EARLY,
            "reconcile": _EARLY,
            "live": _EARLY,
            "stopped": _OVER,
            "failed": _OVER,
        },
        "gave_up": {"stopped": _OVER, "failed": _OVER},
    },
)
