"""The data of a turn: its stored row, and the current attempt, which exists only in memory.

The text of an attempt is not stored. After a restart the agent is called again with the same `message_id`, and the
reply in the room continues from the stored `Reply`.
"""

from typing import Final, Literal, assert_never

from msgspec import Struct, field

from machines.events.agent import AgentRequest
from machines.ids import EventId, UserId
from machines.turn.answer_text import AnswerText
from machines.turn.reply import NOTHING_FINISHED, Finished, Reply

EndedState = Literal["answered", "failed", "stopped"]
TurnState = (
    Literal["queued", "asking", "waiting_for_call", "streaming", "waiting_to_retry"] | EndedState
)
ENDED: Final[tuple[EndedState, ...]] = ("answered", "failed", "stopped")


class Turn(Struct, frozen=True):
    """The stored row of a turn. Times are seconds since the epoch; 0 means not set.

    `attempt` is the number of the newest attempt. `gives_up_at` ends the retries (`AGENT_RETRY_S`), `ends_at` the whole
    turn (`AGENT_MAX_TURN_S`). `failure_kind` and `failure_reason` describe the last failed attempt. The room shows the
    finished parts `shown_finished` and the text `shown` after them, whichever attempt they came from. `user_id` is the
    author of the message. `note` is a sentence of the bot below the answer.
    """

    turn_id: EventId
    request: AgentRequest
    reply: Reply
    user_id: UserId = UserId("")
    state: TurnState = "queued"
    attempt: int = field(default=0, name="tries")
    begun_at: float = 0.0
    gives_up_at: float = 0.0
    ends_at: float = 0.0
    retry_at: float = 0.0
    failure_reason: str = field(default="", name="fault")
    failure_kind: str = field(default="", name="trouble")
    shown: str = ""
    shown_finished: Finished = field(default=NOTHING_FINISHED, name="shown_behind")
    note: str = ""


class Attempt(Struct, frozen=True):
    """The output of one call to the agent so far.

    `finished` are the finished parts of `text`. `status` is the line about the agent's activity. `first_text_at` is 0
    while there is nothing to show. `called_at` is when the call started, if it had to wait.
    """

    text: AnswerText | None = None
    finished: Finished = NOTHING_FINISHED
    status: str = ""
    first_text_at: float = 0.0
    called_at: float = 0.0


NO_ATTEMPT = Attempt()


class ActiveTurn(Struct, frozen=True):
    """The data of the turn's machine: the row, and the current attempt."""

    turn: Turn
    attempt: Attempt = NO_ATTEMPT

    @property
    def state(self) -> TurnState:
        """The state of the turn."""
        return self.turn.state

    def has_output(self) -> bool:
        """Whether there is text, of this attempt or of an earlier one that the room shows."""
        return bool(self.attempt.text) or bool(self.turn.shown)

    def due_at(self) -> float | None:
        """Return when the turn next needs a `TimePassed`, unless another event occurs before."""
        times = (self.step_due_at(), self.turn.ends_at or None)
        return min((each for each in times if each is not None), default=None)

    def step_due_at(self) -> float | None:
        """Return when the time of the current state is over; the limit of the whole turn is not considered."""
        turn, attempt = self.turn, self.attempt
        match turn.state:
            case "waiting_to_retry":
                return turn.retry_at
            case "streaming":
                shows_text = bool(attempt.first_text_at)
                return turn.reply.next_show_at(attempt.first_text_at) if shows_text else None
            case "waiting_for_call":
                return turn.gives_up_at
            case "asking":
                # The first attempt ends with the silence limit of the agent platform (`AGENT_TIMEOUT_S`).
                return turn.gives_up_at if turn.attempt > 1 else None
            case "queued" | "answered" | "failed" | "stopped":
                return None
            case _:
                assert_never(turn.state)
