"""What happens to a turn: the events of its machine (`machines/turn.py`). Times are seconds since the epoch."""

from msgspec import Struct

from machines.draft import AnswerText


class TurnBegan(Struct, frozen=True):
    """Its turn has come; the agent may be tried until `gives_up_at`, and answer until `ends_at`."""

    at: float
    gives_up_at: float
    ends_at: float


class ProcessRestarted(Struct, frozen=True):
    """The connection to the agent is gone with the old process; time away does not count as tried."""

    at: float
    gives_up_at: float
    ends_at: float


class CallAwaited(Struct, frozen=True):
    """Too many calls are open: the agent is asked when one of them ends."""

    at: float


class CallOpened(Struct, frozen=True):
    """A call that had to wait has begun."""

    at: float


class TextGrew(Struct, frozen=True):
    """The agent has said more; `heard` is the whole answer so far, `status` what it is doing."""

    at: float
    heard: AnswerText
    status: str = ""


class ShowDue(Struct, frozen=True):
    """It is time to show what has come since the last edit."""

    at: float


class AnswerEnded(Struct, frozen=True):
    """The agent finished; `text` is what the reply shall say."""

    at: float
    text: str


class AgentFailed(Struct, frozen=True):
    """This try brought no answer: again at `retry_at`, or `last_words` if that is too late.

    Here and below, `last_words` come behind what was said.
    """

    at: float
    retry_at: float
    kind: str
    fault: str
    last_words: str


class AgentDeclined(Struct, frozen=True):
    """The agent will not answer this message, or what it sent can't be shown."""

    at: float
    fault: str
    last_words: str


class RetryDue(Struct, frozen=True):
    """The wait is over."""

    at: float


class PatienceEnded(Struct, frozen=True):
    """A later try has brought nothing by `gives_up_at`, or one that waits has had no call."""

    at: float
    fault: str
    last_words: str


class LimitReached(Struct, frozen=True):
    """The answer is as long as it may be, or its time is over (contract E13)."""

    at: float
    fault: str
    last_words: str


class UserStopped(Struct, frozen=True):
    """The user wants no more of it; `last_words` mark what was said as stopped (contract K9)."""

    at: float
    last_words: str


class RoomLost(Struct, frozen=True):
    """The turn's room is not bound any more, and could not be restored in time (contract C8)."""

    at: float
    fault: str
    last_words: str
