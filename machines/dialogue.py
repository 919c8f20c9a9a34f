"""The agent's side of a room: it runs the turn's machine over what the agent says and what time brings."""

from typing import assert_never

from machines.case import Case
from machines.effects import Send
from machines.happenings import (
    Activity,
    AgentDone,
    AgentOutput,
    AnswerTooLong,
    AttemptFailed,
    CallDelayed,
    CallStarted,
)
from machines.notices import mark_question
from machines.patience import ends_at, retry_at
from machines.remembering import conclude
from machines.reply import EDIT_INTERVAL_S
from machines.speech import Speech
from machines.turn import ENDED, TURN, Turn
from machines.turn_events import (
    AgentDeclined,
    AgentFailed,
    AnswerEnded,
    CallAwaited,
    CallOpened,
    LimitReached,
    PatienceEnded,
    ProcessRestarted,
    RetryDue,
    ShowDue,
    TextGrew,
    UserStopped,
)

HARDLY_BEGUN_S = 1.0
"""For so long nobody would call an agent silent."""


def step_turn(case: Case, fact: object) -> None:
    """Run the turn's machine; an ended turn leaves the room free for the next."""
    if case.turn is None:
        return
    step = TURN.step(case.turn, fact)
    case.effects += step.effects
    if step.data.state not in ENDED:
        case.turn = step.data
        return
    now = case.world.now
    if any(isinstance(effect, Send) and effect.not_before > now for effect in step.effects):
        case.quiet_until = now + EDIT_INTERVAL_S
    case.turn = None


def listen(
    case: Case,
    event: CallDelayed | CallStarted | AgentOutput | AgentDone | AnswerTooLong | AttemptFailed,
) -> None:
    """Hear what the agent says, if it speaks of the try in hand."""
    turn, now, speech = case.turn, case.world.now, case.world.speech
    if turn is None or (turn.turn_id, turn.tries) != (event.turn_id, event.attempt):
        return
    match event:
        case CallDelayed():
            step_turn(case, CallAwaited(now))
        case CallStarted():
            step_turn(case, CallOpened(now))
        case AgentOutput() if turn.request.context is not None:
            pass  # a save or a load is answered once it is done
        case AgentOutput(heard=heard, activity=activity):
            step_turn(case, TextGrew(now, heard, _status(activity, speech)))
        case AgentDone():
            text, before = conclude(case, turn, event), len(case.effects)
            step_turn(case, AnswerEnded(now, text))
            if event.asks is not None:
                case.effects[before:] = mark_question(case.effects[before:], turn.turn_id)
        case AnswerTooLong(heard=heard):
            if turn.request.context is None:
                step_turn(case, TextGrew(now, heard))
            last_words = _failed(turn, speech) or speech.answer_too_long()
            step_turn(case, LimitReached(now, "the answer is longer than may be shown", last_words))
        case AttemptFailed(kind=kind, reason=reason, retryable=True):
            at = retry_at(turn.turn_id, turn.tries, now)
            last_words = _failed(turn, speech) or speech.agent_gave_up(kind)
            step_turn(case, AgentFailed(now, at, kind, reason, last_words))
        case AttemptFailed(kind=kind, reason=reason):
            sentences = (_failed(turn, speech), speech.agent_error(kind))
            last_words = "\n\n".join(filter(None, sentences))
            step_turn(case, AgentDeclined(now, reason, last_words))
        case _:
            assert_never(event)


def look_at_the_clock(case: Case) -> None:
    """Do what has come due; what has not is simply not done, so a stale timer is harmless."""
    now, turn = case.world.now, case.turn
    due_at = turn.due_at() if turn is not None else None
    if case.room.state != "bound" or turn is None or due_at is None or now < due_at:
        return
    if turn.ends_at and now >= turn.ends_at:
        _end_in_time(case, turn)
        return
    match turn.state:
        case "waiting_to_retry":
            step_turn(case, RetryDue(now))
        case "streaming":
            step_turn(case, ShowDue(now))
        case "asking":
            # A try that has hardly begun says nothing yet; what the one before it met is what is known.
            began_at = max(turn.retry_at, turn.called_at)
            kind = turn.trouble if now - began_at < HARDLY_BEGUN_S else ""
            _give_up(case, turn, kind or "silent", turn.fault)
        case "waiting_for_call":
            # Nobody asked the agent, so it was not silent.
            _give_up(case, turn, turn.trouble or "no_call", turn.fault or "no call was free for it")
        case _:
            raise ValueError(f"nothing comes due for a turn in state {turn.state}")


def _give_up(case: Case, turn: Turn, kind: str, fault: str) -> None:
    speech = case.world.speech
    last_words = _failed(turn, speech) or speech.agent_gave_up(kind)
    step_turn(case, PatienceEnded(case.world.now, fault, last_words))


def _end_in_time(case: Case, turn: Turn) -> None:
    """End a turn whose time is over, whatever its agent is doing (contract E13)."""
    speech = case.world.speech
    sentence = speech.turn_too_long() if turn.has_said() else speech.agent_gave_up("too_slow")
    last_words = _failed(turn, speech) or sentence
    step_turn(case, LimitReached(case.world.now, "the turn took longer than it may", last_words))


def resume(case: Case) -> None:
    """Ask again what was being asked when the process ended, or when the room was bound no more.

    In a room that is not bound the turn waits for the repair: nothing reaches an agent (contract R1).
    """
    now, world, turn = case.world.now, case.world, case.turn
    if turn is not None and case.room.state == "bound":
        end = ends_at(turn.begun_at, now, world.agent_max_turn_s)
        step_turn(case, ProcessRestarted(now, now + world.agent_retry_s, end))


def stop_turn(case: Case) -> None:
    """End the turn in hand, keeping what was said (contract K9)."""
    turn, speech = case.turn, case.world.speech
    if turn is not None:
        last_words = speech.stopped() if turn.has_said() else speech.stopped_nothing()
        step_turn(case, UserStopped(case.world.now, last_words))


def _status(activity: Activity | None, speech: Speech) -> str:
    """Return the quiet line about what the agent is doing; it never is in the final text."""
    if activity is None:
        return ""
    if activity.kind == "tool":
        return speech.tool_status(activity.name)
    return speech.progress(activity.name)


def _failed(turn: Turn, speech: Speech) -> str:
    context = turn.request.context
    if context is None:
        return ""
    if context.action == "save":
        return speech.save_failed(context.name)
    return speech.load_failed(context.name)
