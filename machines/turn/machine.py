"""A turn: one message of the user and the one reply to it (contract D1).

`queued → asking → streaming → answered`. While the agent says nothing, the reply shows a quiet line (contract D6). When
an attempt fails, the turn waits and calls the agent again with the same `message_id`; the new text replaces the old one
in the same reply. When the time for retries is over, the reply says that the agent could not answer (contract D10).
When too many calls are open, the turn waits for a free one, at most as long as it would retry. The length and the time
of an answer are limited; beyond a limit it ends with the text so far (contract E13). The user can stop it (contract
K9). After a restart the agent is called again. `answered`, `failed` and `stopped` are final, and the reply's last text
is then in the outbox.
"""

from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.context import StepContext
from machines.events.effects import CallAgent, CancelCall, Effect, MarkRead, ShowTyping
from machines.events.internal import (
    AgentDone,
    AgentOutput,
    AnswerTooLong,
    AttemptEvent,
    AttemptFailed,
    CallStarted,
    Resumed,
    RoomLost,
    TimePassed,
    TurnBegan,
    UserStopped,
)
from machines.fsm import Table
from machines.i18n import Catalog
from machines.turn.answer_text import AnswerText
from machines.turn.endings import (
    after_failure,
    quiet_line,
    status_line,
    whole_answer,
    without_answer,
)
from machines.turn.growing import can_be_shown
from machines.turn.notices import mark_question
from machines.turn.reply import NOTHING_FINISHED, reliable, show_growing, show_last, show_quiet
from machines.turn.retry_policy import ends_at, retry_at
from machines.turn.state import ENDED, RESTART_GRACE_S, ActiveTurn

TurnEvent = TurnBegan | Resumed | AttemptEvent | TimePassed | RoomLost | UserStopped

MIN_SILENCE_S = 1.0
"""An attempt that is shorter than this is not reported as silent."""
_SILENT = "the agent sent nothing during AGENT_RETRY_S"


class TurnMachine(StateMachine):
    """The declaration, which is compiled into `TURN`."""

    queued = State(initial=True)
    asking = State()
    waiting_for_call = State()
    streaming = State()
    waiting_to_retry = State()
    answered = State(final=True)
    failed = State(final=True)
    stopped = State(final=True)

    turn_began = queued.to(asking, on="begin")
    resumed = (
        queued.to.itself(internal=True)
        | asking.to.itself(internal=True, on="restart")
        | asking.from_(waiting_for_call, streaming, waiting_to_retry, on="restart")
    )
    call_delayed = asking.to(waiting_for_call)
    call_started = waiting_for_call.to(asking, on="record_call")
    agent_output = (
        asking.to.itself(internal=True, cond="is_context_request")
        | asking.to(streaming, on="record_output")
        | streaming.to.itself(internal=True, on="record_output")
    )
    agent_done = answered.from_(asking, streaming, on="finish")
    answer_too_long = failed.from_(asking, streaming, on="truncate")
    attempt_failed = waiting_to_retry.from_(
        asking, streaming, cond="may_retry", on="wait_to_retry"
    ) | failed.from_(asking, streaming, on="end_failed")
    time_passed = (
        failed.from_(
            *(asking, waiting_for_call, streaming, waiting_to_retry),
            cond="is_overdue",
            on="end_overdue",
        )
        | asking.to(failed, cond="is_due", on="end_without_output")
        | waiting_for_call.to(failed, cond="is_due", on="end_without_call")
        | streaming.to.itself(internal=True, cond="is_due", on="show_output")
        | waiting_to_retry.to(asking, cond="is_due", on="ask_again")
        | asking.to.itself(internal=True, cond="is_quiet_due", on="show_quiet_line")
        | waiting_for_call.to.itself(internal=True, cond="is_quiet_due", on="show_quiet_line")
        | streaming.to.itself(internal=True, cond="is_quiet_due", on="show_quiet_line")
        | waiting_to_retry.to.itself(internal=True, cond="is_quiet_due", on="show_quiet_line")
        | queued.to.itself(internal=True)
        | asking.to.itself(internal=True)
        | waiting_for_call.to.itself(internal=True)
        | streaming.to.itself(internal=True)
        | waiting_to_retry.to.itself(internal=True)
    )
    room_lost = failed.from_(
        *(queued, asking, waiting_for_call, streaming, waiting_to_retry), on="end_unrepaired"
    )
    user_stopped = stopped.from_(
        *(queued, asking, waiting_for_call, streaming, waiting_to_retry), on="stop"
    )

    @staticmethod
    def is_context_request(data: ActiveTurn, trigger: AgentOutput, context: StepContext) -> bool:
        """Whether this is a save or a load, which is answered only at its end."""
        return data.turn.request.context is not None

    @staticmethod
    def may_retry(data: ActiveTurn, trigger: AttemptFailed, context: StepContext) -> bool:
        """Whether another attempt may succeed and fits into the time for retries (contract D10)."""
        return trigger.retryable and _retry_at(data, context) <= data.turn.gives_up_at

    @staticmethod
    def is_overdue(data: ActiveTurn, trigger: TimePassed, context: StepContext) -> bool:
        """Whether the time for the whole turn is over (contract E13)."""
        return bool(data.turn.ends_at) and context.now >= data.turn.ends_at

    @staticmethod
    def is_due(data: ActiveTurn, trigger: TimePassed, context: StepContext) -> bool:
        """Whether the time of the current state is over."""
        due_at = data.step_due_at()
        return due_at is not None and context.now >= due_at

    @staticmethod
    def is_quiet_due(data: ActiveTurn, trigger: TimePassed, context: StepContext) -> bool:
        """Whether the reply must show that it has no text yet, or why not (contract D6)."""
        due_at = data.quiet_due_at()
        return due_at is not None and context.now >= due_at

    @staticmethod
    def begin(data: ActiveTurn, trigger: TurnBegan, context: StepContext) -> "_Result":
        """Begin the first attempt, and mark the message as read (contract D6)."""
        data, effects = _ask_with_new_limits(data, context, begun_at=context.now)
        return data, (MarkRead(data.turn.turn_id), *effects)

    @staticmethod
    def restart(data: ActiveTurn, trigger: Resumed, context: StepContext) -> "_Result":
        """Begin an attempt with the same `message_id`; the time for retries starts again."""
        data, effects = _ask_with_new_limits(data, context, begun_at=data.turn.begun_at)
        attempt = replace(data.attempt, quiet_until=context.now + RESTART_GRACE_S)
        return replace(data, attempt=attempt), effects

    @staticmethod
    def ask_again(data: ActiveTurn, trigger: TimePassed, context: StepContext) -> "_Result":
        """Begin the next attempt."""
        return _ask(data)

    @staticmethod
    def record_call(data: ActiveTurn, trigger: CallStarted, context: StepContext) -> "_Result":
        """Record when the call started, because the agent is not responsible for the wait before."""
        return replace(data, attempt=replace(data.attempt, called_at=context.now)), ()

    @staticmethod
    def record_output(data: ActiveTurn, trigger: AgentOutput, context: StepContext) -> "_Result":
        """Record text and status; the first text is shown after a short delay."""
        before, text = data.attempt, trigger.text
        status = status_line(trigger.activity, _catalog(data, context))
        # White space alone, or the beginning of a heading, is not shown.
        shows_text = before.shows_text or (text.visible and can_be_shown(str(text)))
        first_text_at = 0.0
        if shows_text or status:
            is_first = shows_text and not before.shows_text
            first_text_at = context.now if is_first else before.first_text_at or context.now
        attempt = replace(
            before, text=text, status=status, first_text_at=first_text_at, shows_text=shows_text
        )
        return replace(data, attempt=attempt), ()

    @staticmethod
    def show_quiet_line(data: ActiveTurn, trigger: TimePassed, context: StepContext) -> "_Result":
        """Show that there is no text yet, and the reason for it or the agent's activity (contract D6)."""
        turn, quiet = data.turn, data.quiet(context.now)
        line = quiet_line(quiet, _catalog(data, context))
        reply, effects = show_quiet(turn.reply, line, quiet, context.now)
        return replace(data, turn=replace(turn, reply=reply)), effects

    @staticmethod
    def show_output(data: ActiveTurn, trigger: TimePassed, context: StepContext) -> "_Result":
        """Show the text so far, unless the room shows a longer text of an earlier attempt."""
        turn, attempt, now = data.turn, data.attempt, context.now
        text = attempt.text or AnswerText()
        effects: tuple[Effect, ...] = ()
        if len(text) >= turn.shown_finished.offset + len(turn.shown):
            reply, finished, effects = show_growing(
                turn.reply, text, attempt.status, now, attempt.finished
            )
            shown = text.since(finished.offset)
            turn = replace(turn, reply=reply, shown=shown, shown_finished=finished)
            attempt = replace(attempt, finished=finished)
        if not turn.reply.shows_text:
            # Nothing of it can be shown, so the next output decides.
            return ActiveTurn(turn, replace(attempt, shows_text=False, first_text_at=0.0)), effects
        # The interval starts again even without an edit; otherwise the timer would be due at once.
        reply = replace(turn.reply, shown_at=max(turn.reply.shown_at, now))
        return ActiveTurn(replace(turn, reply=reply), attempt), effects

    @staticmethod
    def finish(data: ActiveTurn, trigger: AgentDone, context: StepContext) -> "_Result":
        """Show the final text, and mark the message that contains the agent's question."""
        turn, attempt = data.turn, data.attempt
        text = whole_answer(turn.request, trigger, _catalog(data, context))
        finished = NOTHING_FINISHED
        if attempt.text and text.startswith(str(attempt.text)):
            finished = reliable(attempt.finished, turn.reply)
        reply, effects = show_last(
            turn.reply, text[finished.offset :], context.now, finished, turn.note
        )
        if trigger.confirmation is not None:
            effects = tuple(mark_question(effects, turn.turn_id))
        turn = replace(turn, reply=reply, failure_reason="", failure_kind="")
        return ActiveTurn(turn), (ShowTyping(False), *effects)

    @staticmethod
    def wait_to_retry(data: ActiveTurn, trigger: AttemptFailed, context: StepContext) -> "_Result":
        """Schedule the next attempt; the room still shows the text of this one, and that the bot is typing."""
        turn = replace(
            data.turn,
            retry_at=_retry_at(data, context),
            failure_reason=trigger.reason,
            failure_kind=trigger.kind,
        )
        return ActiveTurn(turn), ()

    @staticmethod
    def end_failed(data: ActiveTurn, trigger: AttemptFailed, context: StepContext) -> "_Result":
        """End the reply with the reason why there is no answer (contract D10)."""
        ending = after_failure(data.turn.request, trigger, _catalog(data, context))
        return _end(data, context, ending, trigger.kind, trigger.reason)

    @staticmethod
    def truncate(data: ActiveTurn, trigger: AnswerTooLong, context: StepContext) -> "_Result":
        """End the reply with the text within the limit (contract E13)."""
        request, catalog = data.turn.request, _catalog(data, context)
        if request.context is None:
            data = replace(data, attempt=replace(data.attempt, text=trigger.text))
        ending = without_answer(request, catalog, catalog.answer_too_long())
        reason = "the answer is longer than AGENT_MAX_ANSWER_KB allows"
        return _cancel(data, context, ending, "too_long", reason)

    @staticmethod
    def end_overdue(data: ActiveTurn, trigger: TimePassed, context: StepContext) -> "_Result":
        """End the reply with the text so far, because the time for the turn is over (contract E13)."""
        catalog = _catalog(data, context)
        late = catalog.turn_too_long() if data.has_output() else catalog.agent_gave_up("too_slow")
        ending = without_answer(data.turn.request, catalog, late)
        return _cancel(
            data, context, ending, "too_slow", "the turn took longer than AGENT_MAX_TURN_S allows"
        )

    @staticmethod
    def end_without_output(
        data: ActiveTurn, trigger: TimePassed, context: StepContext
    ) -> "_Result":
        """End the turn because a later attempt had no output in the time for retries (contract D10)."""
        turn = data.turn
        # If the attempt has just begun, the reason is the failure of the attempt before it.
        began_at = max(turn.retry_at, data.attempt.called_at)
        kind = turn.failure_kind if context.now - began_at < MIN_SILENCE_S else ""
        if not kind:
            return _end_retries(data, context, "silent", _SILENT)
        return _end_retries(data, context, kind, turn.failure_reason)

    @staticmethod
    def end_without_call(data: ActiveTurn, trigger: TimePassed, context: StepContext) -> "_Result":
        """End the turn because no call was free; the agent was not called."""
        turn = data.turn
        reason = turn.failure_reason or "too many other calls were open during AGENT_RETRY_S"
        return _end_retries(data, context, turn.failure_kind or "no_call", reason)

    @staticmethod
    def end_unrepaired(data: ActiveTurn, trigger: RoomLost, context: StepContext) -> "_Result":
        """End the reply because the room could not be restored in time (contract C8)."""
        ending = _catalog(data, context).agent_gave_up("not_restored")
        return _cancel(data, context, ending, "not_restored", trigger.reason)

    @staticmethod
    def stop(data: ActiveTurn, trigger: UserStopped, context: StepContext) -> "_Result":
        """End the reply with the text so far, and mark it as stopped (contract K9)."""
        return _cancel(data, context, _catalog(data, context).stopped(), "", "")


_Result = tuple[ActiveTurn, tuple[Effect, ...]]


def _catalog(data: ActiveTurn, context: StepContext) -> Catalog:
    """Return the sentences in the language of the author of the message."""
    return context.catalog_for(data.turn.user_id)


def _retry_at(data: ActiveTurn, context: StepContext) -> float:
    return retry_at(data.turn.turn_id, data.turn.attempt, context.now)


def _ask_with_new_limits(data: ActiveTurn, context: StepContext, begun_at: float) -> _Result:
    now = context.now
    turn = replace(
        data.turn,
        # If the clock was set back, the turn must not become longer with every restart.
        begun_at=min(begun_at, now),
        gives_up_at=now + context.agent_retry_s,
        ends_at=ends_at(begun_at, now, context.agent_max_turn_s),
    )
    return _ask(ActiveTurn(turn))


def _ask(data: ActiveTurn) -> _Result:
    """Begin an attempt; the text of the previous one is dropped."""
    turn = replace(data.turn, attempt=data.turn.attempt + 1)
    ask = CallAgent(turn.turn_id, turn.attempt, turn.request, turn.user_id)
    return ActiveTurn(turn), (ShowTyping(True), ask)


def _end_retries(data: ActiveTurn, context: StepContext, kind: str, reason: str) -> _Result:
    catalog = _catalog(data, context)
    ending = without_answer(data.turn.request, catalog, catalog.agent_gave_up(kind))
    return _cancel(data, context, ending, kind, reason)


def _cancel(data: ActiveTurn, context: StepContext, ending: str, kind: str, reason: str) -> _Result:
    """End the reply and the call."""
    data, effects = _end(data, context, ending, kind, reason)
    return data, (CancelCall(), *effects)


def _end(data: ActiveTurn, context: StepContext, ending: str, kind: str, reason: str) -> _Result:
    """End the reply with the text so far, of this attempt or else as the room shows it, and a sentence below it."""
    turn, attempt = data.turn, data.attempt
    finished, text = turn.shown_finished, turn.shown
    if attempt.text:
        finished = reliable(attempt.finished, turn.reply)
        text = attempt.text.since(finished.offset)
    ending = "\n\n".join(filter(None, (ending, turn.note)))
    reply, effects = show_last(turn.reply, text, context.now, finished, ending)
    turn = replace(turn, reply=reply, failure_reason=reason, failure_kind=kind)
    return ActiveTurn(turn), (ShowTyping(False), *effects)


_ENDED: dict[str, str] = dict.fromkeys(ENDED, "the turn has ended")
_NO_CALL: dict[str, str] = {
    "queued": "the agent was not asked yet",
    "waiting_for_call": "the agent was not asked yet",
    "waiting_to_retry": "the attempt is over",
    **_ENDED,
}
_BEGUN = ("asking", "waiting_for_call", "streaming", "waiting_to_retry")

TURN: Table[ActiveTurn] = Table(
    TurnMachine,
    refuses={
        "turn_began": {**dict.fromkeys(_BEGUN, "the turn has begun"), **_ENDED},
        "resumed": _ENDED,
        "call_delayed": {
            **_NO_CALL,
            "waiting_for_call": "the turn waits for a call already",
            "streaming": "the agent is answering",
        },
        "call_started": {
            "queued": "the agent was not asked yet",
            "asking": "the agent is asked already",
            "streaming": "the agent is answering",
            "waiting_to_retry": "the attempt is over",
            **_ENDED,
        },
        "agent_output": _NO_CALL,
        "agent_done": _NO_CALL,
        "answer_too_long": _NO_CALL,
        "attempt_failed": _NO_CALL,
        "time_passed": _ENDED,
        "room_lost": _ENDED,
        "user_stopped": _ENDED,
    },
    with_state=lambda data, state: replace(data, turn=replace(data.turn, state=state)),
)
