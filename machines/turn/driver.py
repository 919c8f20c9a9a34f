"""The turn driver: it begins turns, runs the turn's machine in a room, and keeps the result.

A message, a save, a load and the answer to a question are each one turn with one request to the agent.
"""

from machines.commands.base import AgentPrompt, answer
from machines.events.agent import AgentRequest
from machines.events.effects import CancelCall, Enqueue, Tell
from machines.events.internal import (
    AgentDone,
    AttemptEvent,
    OnboardingRequested,
    ReplyTarget,
    Resumed,
    TimePassed,
    TurnBegan,
)
from machines.events.matrix import FileArrived, MalformedArrived, MessageArrived
from machines.ids import ActorKey
from machines.room.answers import remember
from machines.room.step_draft import Case, Message
from machines.turn.machine import TURN, TurnEvent
from machines.turn.notices import found_parts
from machines.turn.reply import EDIT_INTERVAL_S, Reply
from machines.turn.state import (
    ENDED,
    NO_ATTEMPT,
    ActiveTurn,
    Turn,
)


def begin_message(case: Case, message: Message) -> None:
    """Begin the turn of a message, or answer why there is none."""
    binding, catalog = case.room.binding, case.world.catalog
    begun = message.begun if isinstance(message, MessageArrived) else ()
    asked = ReplyTarget(case.room.room_id, message.event_id, message.thread_root, begun)
    if binding is None or binding.room_type != "chat":
        case.effects.append(Tell(ActorKey(message.sender), OnboardingRequested(asked)))
    elif isinstance(message, FileArrived) and not binding.archived:
        case.effects.append(answer(asked, catalog.files_not_yet()))
    elif isinstance(message, MalformedArrived) and not binding.archived:
        case.effects.append(answer(asked, catalog.message_failed()))
    else:
        text = message.body if isinstance(message, MessageArrived) else ""
        begin(case, asked, AgentPrompt(text))


def begin(case: Case, asked: ReplyTarget, prompt: AgentPrompt) -> None:
    """Ask this chat's agent, unless the chat is archived or the agent is gone (contracts K3, A3)."""
    binding, catalog, now = case.room.binding, case.world.catalog, case.world.now
    event_id = asked.event_id
    if binding is None or binding.platform_chat_id is None or event_id is None:
        raise ValueError(f"{case.room.room_id} is not a chat with an agent")
    if binding.archived:
        case.effects.append(answer(asked, catalog.chat_is_archived()))
        return
    if binding.agent_id is None or not case.world.agents.knows(binding.agent_id):
        case.effects.append(answer(asked, catalog.stale_agent(binding.agent_id or "")))
        return
    request = AgentRequest(
        agent_id=binding.agent_id,
        platform_chat_id=binding.platform_chat_id,
        message_id=event_id,
        text=prompt.text,
        settings=case.world.preferences(binding.matrix_user_id).settings(),
        confirmation=prompt.confirmation,
        context=prompt.context,
    )
    parts = found_parts(event_id, asked.begun, now)
    reply = Reply(
        case.room.room_id, event_id, asked.thread_root, parts, notice=prompt.context is not None
    )
    case.turn = Turn(event_id, request, reply, binding.matrix_user_id)
    step_turn(case, TurnBegan())


def step_turn(case: Case, event: TurnEvent) -> None:
    """Run the turn's machine, if a turn is in hand; an ended turn leaves the room free for the next."""
    if case.turn is None:
        return
    step = TURN.step(ActiveTurn(case.turn, case.attempt), event, case.world)
    case.effects += step.effects
    case.turn, case.attempt = step.data.turn, step.data.attempt
    if case.turn.state in ENDED:
        case.turn = None
        now = case.world.now
        if any(isinstance(effect, Enqueue) and effect.not_before > now for effect in step.effects):
            case.quiet_until = now + EDIT_INTERVAL_S


def take_result(case: Case, event: AttemptEvent) -> None:
    """Take an event of the attempt in hand; those of earlier attempts are ignored."""
    turn = case.turn
    if turn is None or (turn.turn_id, turn.tries) != (event.turn_id, event.attempt):
        return
    if isinstance(event, AgentDone):
        remember(case, turn, event)
    step_turn(case, event)


def pass_time(case: Case, event: TimePassed) -> None:
    """Do what is due; in a room that is not bound the turn waits for the repair (contract R1)."""
    if case.room.state == "bound":
        step_turn(case, event)


def resume(case: Case) -> None:
    """Ask again after a restart, or when the room is bound again.

    In a room that is not bound the turn waits for the repair: no agent is asked for it (contract R1).
    """
    if case.room.state == "bound":
        step_turn(case, Resumed())


def drop_turn(case: Case) -> None:
    """End the turn without a reply: the bot is no longer in the room, so nothing can be said there."""
    if case.turn is not None:
        case.effects.append(CancelCall())
        case.turn, case.attempt = None, NO_ATTEMPT
