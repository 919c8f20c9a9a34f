"""The lifecycle of the bot: `login → initial_sync → reconcile → live → draining → stopped` (contract L1).

No message is answered before `live`: the initial sync reads the rooms, and reconciliation makes the local rows agree
with them. After a soft logout the bot logs in again. A request to stop drains from any state of the start or from
`live`; an error that the daemon cannot handle ends in `failed`.
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
    """The row of the bot. `since` is seconds since the epoch."""

    state: LifecycleState = "login"
    since: float = 0.0
    reason: str = ""
    was_live: bool = False


class Started(Struct, frozen=True):
    """A new process began; it starts with `login` from any stored state."""


class LoggedIn(Struct, frozen=True):
    """The homeserver accepts the session."""


class SyncedOnce(Struct, frozen=True):
    """The initial sync is stored in the journal."""


class Reconciled(Struct, frozen=True):
    """The local rows agree with the homeserver."""


class SoftLoggedOut(Struct, frozen=True):
    """The access token ended with `soft_logout` (contract L10)."""


class StopRequested(Struct, frozen=True):
    """SIGTERM or SIGINT (contract L8)."""


class Drained(Struct, frozen=True):
    """The current steps are finished and the outbox is flushed, or the time limit is reached."""


class GaveUp(Struct, frozen=True):
    """The daemon cannot continue: refused credentials, an unusable database, a bug in this program."""


LifecycleEvent = (
    Started | LoggedIn | SyncedOnce | Reconciled | SoftLoggedOut | StopRequested | Drained | GaveUp
)


class BotMachine(StateMachine):
    """The declaration of the machine; `BOT` is the compiled table."""

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
        """The bot was live: reconciliation runs once per process, so a renewed session skips it (contract L4)."""
        return data.was_live

    @staticmethod
    def begin(data: BotState, trigger: Started) -> tuple[BotState, tuple[()]]:
        """Reset `was_live`."""
        return replace(data, was_live=False), ()

    @staticmethod
    def go_live(data: BotState, trigger: Reconciled) -> tuple[BotState, tuple[()]]:
        """Set `was_live`: a new login of this process needs no reconciliation."""
        return replace(data, was_live=True), ()


_NOT_STARTED = "this step of the start has not begun yet"
_FINISHED = "this step of the start is over"
_OVER = "this process is ending"
_ENDING = {"draining": _OVER, "stopped": _OVER, "failed": _OVER}

BOT: Table[BotState] = Table(
    BotMachine,
    refuses={
        "logged_in": {
            "initial_sync": _FINISHED,
            "reconcile": _FINISHED,
            "live": _FINISHED,
            **_ENDING,
        },
        "synced_once": {
            "login": _NOT_STARTED,
            "reconcile": _FINISHED,
            "live": _FINISHED,
            **_ENDING,
        },
        "reconciled": {
            "login": _NOT_STARTED,
            "initial_sync": _NOT_STARTED,
            "live": _FINISHED,
            **_ENDING,
        },
        "soft_logged_out": {
            "login": "the running login renews the session",
            "reconcile": "reconciliation finishes first; its requests wait for the new session",
            **_ENDING,
        },
        "stop_requested": _ENDING,
        "drained": {
            "login": _NOT_STARTED,
            "initial_sync": _NOT_STARTED,
            "reconcile": _NOT_STARTED,
            "live": _NOT_STARTED,
            "stopped": _OVER,
            "failed": _OVER,
        },
        "gave_up": {"stopped": _OVER, "failed": _OVER},
    },
)
