"""Turns of every kind: a message, a save or a load, the answer to a question. Each is one request to the agent."""

from machines.case import Case, Message
from machines.commands.base import answer
from machines.dialogue import step_turn
from machines.effects import Tell
from machines.facts import FileArrived, MalformedArrived, MessageArrived
from machines.happenings import Asked, OnboardingAsked
from machines.ids import ActorKey
from machines.notices import found_parts
from machines.reply import Reply
from machines.talk import AgentRequest, ConfirmationAnswer, ContextOrder
from machines.turn import Turn
from machines.turn_events import TurnBegan


def begin_message(case: Case, message: Message) -> None:
    """Begin the turn of a message, or say in its place why there is none."""
    binding, speech = case.room.binding, case.world.speech
    begun = message.begun if isinstance(message, MessageArrived) else ()
    asked = Asked(case.room.room_id, message.event_id, message.thread_root, begun)
    if binding is None or binding.room_type != "chat":
        case.effects.append(Tell(ActorKey(message.sender), OnboardingAsked(asked)))
    elif isinstance(message, FileArrived) and not binding.archived:
        case.effects.append(answer(asked, speech.files_not_yet()))
    elif isinstance(message, MalformedArrived) and not binding.archived:
        case.effects.append(answer(asked, speech.message_failed()))
    else:
        text = message.body if isinstance(message, MessageArrived) else ""
        begin(case, asked, text)


def begin(
    case: Case,
    asked: Asked,
    text: str,
    *,
    confirmation: ConfirmationAnswer | None = None,
    context: ContextOrder | None = None,
) -> None:
    """Ask this chat's agent, unless the chat is archived or the agent is gone (contracts K3, A3)."""
    binding, speech, now = case.room.binding, case.world.speech, case.world.now
    event_id = asked.event_id
    if binding is None or binding.platform_chat_id is None or event_id is None:
        raise ValueError(f"{case.room.room_id} is no chat that an agent could be asked in")
    if binding.archived:
        case.effects.append(answer(asked, speech.chat_is_archived()))
        return
    if binding.agent_id is None or not case.world.agents.knows(binding.agent_id):
        case.effects.append(answer(asked, speech.stale_agent(binding.agent_id or "")))
        return
    request = AgentRequest(
        agent_id=binding.agent_id,
        platform_chat_id=binding.platform_chat_id,
        message_id=event_id,
        text=text,
        settings=case.world.preferences(binding.matrix_user_id).settings(),
        confirmation=confirmation,
        context=context,
    )
    parts = found_parts(event_id, asked.begun, now)
    reply = Reply(case.room.room_id, event_id, asked.thread_root, parts, notice=context is not None)
    case.turn = Turn(event_id, request, reply, binding.matrix_user_id)
    world = case.world
    step_turn(case, TurnBegan(now, now + world.agent_retry_s, now + world.agent_max_turn_s))
