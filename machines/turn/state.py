"""The data of a turn: its stored row, and the current attempt, which exists only in memory.

The text of an attempt is not stored. After a restart the agent is called again with the same `message_id`, and the
reply in the room continues from the stored `Reply`.
"""

from typing import Final, Literal, assert_never

from msgspec import Struct, field

from machines.events.agent import AgentRequest
from machines.ids import EventId, UserId
from machines.turn.answer_text import AnswerText
from machines.turn.reply import FIRST_TEXT_DELAY_S, NOTHING_FINISHED, QUIET_EDITS, Finished, Reply

EndedState = Literal["answered", "failed", "stopped"]
TurnState = (
    Literal["queued", "asking", "waiting_for_call", "streaming", "waiting_to_retry"] | EndedState
)
QuietReason = Literal["working", "unreachable", "busy", "failed", "no_call"]
"""Why a turn has no text yet, as the quiet line says it."""
ENDED: Final[tuple[EndedState, ...]] = ("answered", "failed", "stopped")

_NO_QUIET_LINE = "\n"
RESTART_GRACE_S = 3.0
QUIET_AFTER_S = 10.0
"""A turn without text for this long shows that it is not forgotten (contract D6)."""


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

    `finished` are the finished parts of `text`. `status` is the line about the agent's activity. `first_text_at` is the
    time of the first text that can be shown (`shows_text`), before that of the status, and 0 while there is neither.
    `called_at` is when the call started, if it had to wait. A reply without any text shows no quiet line before
    `quiet_until`: soon after a restart the agent may have answered.
    """

    text: AnswerText | None = None
    finished: Finished = NOTHING_FINISHED
    status: str = ""
    first_text_at: float = 0.0
    called_at: float = 0.0
    shows_text: bool = False
    quiet_until: float = 0.0


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
        times = (self.step_due_at(), self.quiet_due_at(), self.turn.ends_at or None)
        return min((each for each in times if each is not None), default=None)

    def step_due_at(self) -> float | None:
        """Return when the time of the current state is over; the limit of the whole turn is not considered."""
        turn, attempt = self.turn, self.attempt
        match turn.state:
            case "waiting_to_retry":
                return turn.retry_at
            case "streaming":
                if not attempt.shows_text:
                    return None
                return turn.reply.next_show_at(attempt.first_text_at)
            case "waiting_for_call":
                return turn.gives_up_at
            case "asking":
                # The first attempt ends with the silence limit of the agent platform (`AGENT_TIMEOUT_S`).
                return turn.gives_up_at if turn.attempt > 1 else None
            case "queued" | "answered" | "failed" | "stopped":
                return None
            case _:
                assert_never(turn.state)

    def quiet_due_at(self) -> float | None:
        """Return when the quiet line must be sent or changed: the agent's status early, the reason after a while."""
        turn, attempt, reply = self.turn, self.attempt, self.turn.reply
        if turn.state in {"queued", *ENDED} or attempt.shows_text or reply.shows_text:
            return None
        silent_at = turn.begun_at + QUIET_AFTER_S
        if not reply.parts:
            silent_at = max(silent_at, attempt.quiet_until)
            status_at = attempt.first_text_at + FIRST_TEXT_DELAY_S
            return min(silent_at, status_at) if attempt.status else silent_at
        if reply.parts[-1].edits >= QUIET_EDITS:
            return None
        if self.quiet(silent_at) == reply.quiet:
            return None
        at_once = self.quiet(turn.begun_at)
        changes_now = at_once not in {reply.quiet, _NO_QUIET_LINE}
        return reply.next_edit_at() if changes_now else max(silent_at, reply.next_edit_at())

    def quiet(self, now: float) -> str:
        """Return what identifies the quiet line at this time: the reason, if it is shown yet, and the status."""
        was_silent = bool(self.turn.reply.quiet.partition("\n")[0])
        is_silent = was_silent or now >= self.turn.begun_at + QUIET_AFTER_S
        return f"{self.quiet_reason() if is_silent else ''}\n{self.attempt.status}"

    def quiet_reason(self) -> QuietReason:
        """Return why there is no text yet."""
        turn = self.turn
        if turn.state == "waiting_for_call":
            return "no_call"
        if turn.state == "streaming" or not turn.failure_kind:
            return "working"
        match turn.failure_kind:
            case "unreachable":
                return "unreachable"
            case "AGENT_BUSY":
                return "busy"
            case _:
                return "failed"
