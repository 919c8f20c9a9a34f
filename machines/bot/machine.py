"""The bot's life: `login → initial_sync → reconcile → live → draining → stopped` (contract L1).

Before `live` no message is answered: the initial sync shows the rooms, reconciliation makes the local rows agree with
them, and only then the first waiting message is taken. After a soft logout the bot logs in again, from any state. A
request to stop drains from any state; an error that the daemon cannot handle ends in `failed`.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.fsm import Table

LifecycleState = Literal[
    "login", "initial_sync", "reconcile", "live", "draining", "stopped", "failed"
]


class BotState(Struct, frozen=True):
    """The bot's own row. `since` is seconds since the epoch."""

    state: LifecycleState = "login"
    since: float = 0.0
    reason: str = ""
    was_live: bool = False


class Started(Struct, frozen=True):
    """A new process began; it starts with `login`, whatever state the last one left."""


class LoggedIn(Struct, frozen=True):
    """The homeserver accepts the session."""


class SyncedOnce(Struct, frozen=True):
    """The initial sync is journalled."""


class Reconciled(Struct, frozen=True):
    """The local rows agree with the homeserver."""


class SoftLoggedOut(Struct, frozen=True):
    """The access token ended with `soft_logout` (contract L10)."""


class StopRequested(Struct, frozen=True):
    """SIGTERM or SIGINT (contract L8)."""


class Drained(Struct, frozen=True):
    """The current steps are finished and the outbox is flushed, or the time for it is over."""


class GaveUp(Struct, frozen=True):
    """The daemon cannot go on: refused credentials, an unusable database, a fault in this program."""


LifecycleEvent = (
    Started | LoggedIn | SyncedOnce | Reconciled | SoftLoggedOut | StopRequested | Drained | GaveUp
)


class BotMachine(StateMachine):
    """The declaration; `BOT` is what runs."""

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
    def was_live(data: BotState, trigger: LoggedIn) -> bool:
        """Reconciliation runs once per start: a renewed session goes straight back (contract L4)."""
        return data.was_live

    @staticmethod
    def begin(data: BotState, trigger: Started) -> tuple[BotState, tuple[()]]:
        """A new process has not been live yet."""
        return replace(data, was_live=False), ()

    @staticmethod
    def go_live(data: BotState, trigger: Reconciled) -> tuple[BotState, tuple[()]]:
        """From here on a new login needs no second reconciliation."""
        return replace(data, was_live=True), ()


_EARLY = "this step of the start has not begun yet"
_PAST = "this step of the start is over"
_OVER = "this process is ending"

BOT: Table[BotState] = Table(
    BotMachine,
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
            "login": "the login under way renews the session",
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
