"""The turn driver: begins turns, and runs the turn's machine in a step of the room's actor.

A message, a save, a load and the answer to a question are each one turn with one request to the agent.
"""

import re

from msgspec.structs import replace

from machines.commands.base import AgentPrompt, answer
from machines.events.agent import AgentRequest
from machines.events.effects import CancelCall, Enqueue, RecordFailedTurn, Tell
from machines.events.internal import (
    AgentDone,
    AttemptEvent,
    OnboardingRequested,
    ReplyTarget,
    Resumed,
    TurnBegan,
)
from machines.events.matrix import FileArrived, MalformedArrived, MessageArrived
from machines.ids import ActorKey
from machines.room.binding import chat_number
from machines.room.step_draft import Message, StepDraft
from machines.turn.machine import TURN, TurnEvent
from machines.turn.notices import found_parts
from machines.turn.reply import EDIT_INTERVAL_S, Reply
from machines.turn.state import ENDED, NO_ATTEMPT, ActiveTurn, Turn

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def begin_message(draft: StepDraft, message: Message) -> None:
    """Begin the turn of a message, or answer why it has none."""
    binding, catalog = draft.room.binding, draft.context.catalog_for(message.sender)
    begun = message.begun if isinstance(message, MessageArrived) else ()
    reply_to = ReplyTarget(draft.room.room_id, message.event_id, message.thread_root, begun)
    if binding is None or binding.room_type != "chat":
        draft.effects.append(Tell(ActorKey(message.sender), OnboardingRequested(reply_to)))
    elif isinstance(message, FileArrived) and not binding.archived:
        draft.effects.append(answer(reply_to, catalog.files_not_yet()))
    elif isinstance(message, MalformedArrived) and not binding.archived:
        draft.effects.append(answer(reply_to, catalog.message_failed()))
    else:
        text = message.body if isinstance(message, MessageArrived) else ""
        begin(draft, reply_to, AgentPrompt(text))


def begin(draft: StepDraft, reply_to: ReplyTarget, prompt: AgentPrompt) -> None:
    """Begin a turn, unless the chat is archived or its agent does not exist any more (contracts K3, A3)."""
    binding, catalog, now = draft.room.binding, draft.catalog, draft.context.now
    event_id = reply_to.event_id
    if binding is None or binding.platform_chat_id is None or event_id is None:
        raise ValueError(f"{draft.room.room_id} is not a chat with an agent")
    if binding.archived:
        draft.effects.append(
            answer(reply_to, catalog.chat_is_archived(chat_number(binding.chat_id)))
        )
        return
    if binding.agent_id is None or not draft.context.agents.knows(binding.agent_id):
        draft.effects.append(answer(reply_to, catalog.stale_agent(binding.agent_id or "")))
        return
    request = AgentRequest(
        agent_id=binding.agent_id,
        platform_chat_id=binding.platform_chat_id,
        message_id=event_id,
        text=prompt.text,
        settings=draft.context.preferences(binding.matrix_user_id).settings(
            draft.context.catalog.locale
        ),
        confirmation=prompt.confirmation,
        context=prompt.context,
    )
    parts = found_parts(event_id, reply_to.begun, now)
    reply = Reply(
        draft.room.room_id, event_id, reply_to.thread_root, parts, notice=prompt.context is not None
    )
    draft.turn = Turn(event_id, request, reply, binding.matrix_user_id)
    step_turn(draft, TurnBegan())


def step_turn(draft: StepDraft, event: TurnEvent) -> None:
    """Run the turn's machine if there is a turn; a turn that has ended is removed."""
    if draft.turn is None:
        return
    step = TURN.step(ActiveTurn(draft.turn, draft.attempt), event, draft.context)
    draft.effects += step.effects
    draft.turn, draft.attempt = step.data.turn, step.data.attempt
    if draft.turn.state in ENDED:
        if draft.turn.state == "failed":
            draft.effects.append(
                _failed_turn(draft.turn, draft.turn.failure_kind, draft.turn.failure_reason)
            )
        draft.turn = None
        now = draft.context.now
        if any(isinstance(effect, Enqueue) and effect.not_before > now for effect in step.effects):
            draft.quiet_until = now + EDIT_INTERVAL_S


def handle_attempt_event(draft: StepDraft, event: AttemptEvent) -> None:
    """Process an event of the current attempt; events of earlier attempts are ignored."""
    turn = draft.turn
    if turn is None or (turn.turn_id, turn.attempt) != (event.turn_id, event.attempt):
        return
    if isinstance(event, AgentDone):
        chat_context = draft.room.chat_context.after_answer(
            event, turn.request.context, draft.context.now
        )
        draft.room = replace(draft.room, chat_context=chat_context)
    step_turn(draft, event)


def resume(draft: StepDraft) -> None:
    """Call the agent again after a restart or a repair; an unbound room waits for its repair (contract R1)."""
    if draft.room.state == "bound":
        step_turn(draft, Resumed())


def drop_turn(draft: StepDraft, kind: str, reason: str) -> None:
    """End the turn without a reply, because no reply can be sent to the room."""
    if draft.turn is not None:
        draft.effects += (CancelCall(), _failed_turn(draft.turn, kind, reason))
        draft.turn, draft.attempt = None, NO_ATTEMPT


def _failed_turn(turn: Turn, kind: str, reason: str) -> RecordFailedTurn:
    """Return the record of a failed turn; a code of the agent that may be a text is not recorded."""
    kind = kind if _CODE.fullmatch(kind) else "other"
    return RecordFailedTurn(turn.turn_id, turn.request.agent_id, kind, reason)
