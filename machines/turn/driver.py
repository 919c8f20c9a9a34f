"""The turn driver: begins turns, and runs the turn's machine in a step of the room's actor.

A message, a save, a load and the answer to a question are each one turn with one request to the agent.
"""

from msgspec.structs import replace

from machines.commands import parse
from machines.commands.base import AgentPrompt, answer
from machines.commands.confirm import No, Yes
from machines.events.agent import AgentRequest
from machines.events.effects import CancelCall, Enqueue, Tell
from machines.events.internal import (
    AgentDone,
    AttemptEvent,
    OnboardingRequested,
    ReplyTarget,
    Resumed,
    TurnBegan,
)
from machines.events.matrix import (
    BegunPart,
    FileArrived,
    MalformedArrived,
    MessageArrived,
    UnsupportedArrived,
)
from machines.ids import ActorKey
from machines.room.binding import chat_number
from machines.room.step_draft import Message, StepDraft
from machines.turn.fault import Outcome, turn_ended
from machines.turn.machine import TURN, TurnEvent
from machines.turn.notices import found_parts
from machines.turn.reply import EDIT_INTERVAL_S, Reply
from machines.turn.state import ENDED, NO_ATTEMPT, ActiveTurn, Turn


def begin_message(draft: StepDraft, message: Message) -> None:
    """Begin the turn of a message, or answer why it has none."""
    binding, catalog = draft.room.binding, draft.context.catalog_for(message.sender)
    reply_to = ReplyTarget(
        draft.room.room_id, message.event_id, message.thread_root, begun_parts(message)
    )
    if binding is None or binding.room_type != "chat":
        draft.effects.append(Tell(ActorKey(message.sender), OnboardingRequested(reply_to)))
    elif isinstance(message, FileArrived) and not binding.archived:
        _begin_file(draft, reply_to, message)
    elif isinstance(message, UnsupportedArrived) and not binding.archived:
        draft.effects.append(answer(reply_to, catalog.unsupported_message(message.kind)))
    elif isinstance(message, MalformedArrived) and not binding.archived:
        draft.effects.append(answer(reply_to, catalog.message_failed()))
    else:
        prompt = AgentPrompt("")
        if isinstance(message, MessageArrived):
            prompt = AgentPrompt(message.body, quoted_event=message.replies_to)
        begin(draft, reply_to, prompt)


def begun_parts(message: Message) -> tuple[BegunPart, ...]:
    """Return the parts of the message's unfinished reply that are in the room already (contract D12)."""
    return message.begun if isinstance(message, MessageArrived | FileArrived) else ()


def _begin_file(draft: StepDraft, reply_to: ReplyTarget, file: FileArrived) -> None:
    """Begin the turn of a caption, and say that the file itself is not opened; without a caption, say only that."""
    catalog = draft.context.catalog_for(file.sender)
    if not file.caption:
        text = catalog.voice_not_yet() if file.is_voice else catalog.files_not_yet()
        draft.effects.append(answer(reply_to, text))
    elif isinstance(parse(file.caption), Yes | No):
        # A caption is no command, and an agent could take this text for consent (contract K8).
        draft.effects.append(answer(reply_to, catalog.command_as_new_message()))
    else:
        begin(draft, reply_to, AgentPrompt(file.caption, note=catalog.file_not_opened(file.name)))


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
        quoted_event=prompt.quoted_event,
    )
    parts = found_parts(event_id, reply_to.begun, now)
    reply = Reply(
        draft.room.room_id, event_id, reply_to.thread_root, parts, notice=prompt.context is not None
    )
    draft.turn = Turn(event_id, request, reply, binding.matrix_user_id, note=prompt.note)
    step_turn(draft, TurnBegan())


def step_turn(draft: StepDraft, event: TurnEvent) -> None:
    """Run the turn's machine if there is a turn; a turn that has ended is removed."""
    before, now = draft.turn, draft.context.now
    if before is None:
        return
    step = TURN.step(ActiveTurn(before, draft.attempt), event, draft.context)
    draft.effects += step.effects
    draft.turn, draft.attempt = step.data.turn, step.data.attempt
    if (outcome := draft.turn.state) in ENDED:
        draft.effects += turn_ended(draft.turn, outcome, now)
        draft.turn = None
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


def drop_turn(draft: StepDraft, kind: str, reason: str, outcome: Outcome = "dropped") -> None:
    """End the turn without its reply, because that reply can't be sent to the room."""
    if draft.turn is not None:
        ended = replace(draft.turn, failure_kind=kind, failure_reason=reason)
        draft.effects += (CancelCall(), *turn_ended(ended, outcome, draft.context.now))
        draft.turn, draft.attempt = None, NO_ATTEMPT
