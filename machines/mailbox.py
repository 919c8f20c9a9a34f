"""The messages of a room: which count, which wait, which are commands, and when the next turn begins."""

from machines import commands
from machines.case import Case, Message
from machines.commands.base import Place, answer
from machines.dialogue import step_turn, stop_turn
from machines.doorway import step_room
from machines.effects import Consume, Tell
from machines.facts import FileArrived, MessageArrived
from machines.happenings import OnboardingAsked
from machines.ids import ActorKey, UserId
from machines.reply import Part, Reply, part_txn
from machines.room import MessageCame
from machines.talk import AgentRequest
from machines.turn import Turn, TurnBegan
from machines.user import Asked


def receive(case: Case, message: Message, seq: int) -> None:
    """Decide whether a message counts here at all, and let it wait or act (contracts D5, E3)."""
    if not _counts(case, message.sender):
        case.effects.append(Consume(seq))
        return
    command = _command(message)
    if case.room.state == "bound" and command is not None and not command.waits:
        _run(case, command, message, seq)
        return
    case.waiting = (*case.waiting, (seq, message))
    step_room(case, MessageCame(case.world.now), "a message came")


def advance(case: Case) -> None:
    """Begin the next turn, as long as the room is bound and none is in hand."""
    while (
        case.room.state == "bound"
        and case.turn is None
        and case.waiting
        and case.world.now >= case.quiet_until
    ):
        (seq, message), *rest = case.waiting
        case.waiting = tuple(rest)
        command = _command(message)
        if not _counts(case, message.sender):
            case.effects.append(Consume(seq))
        elif command is not None:
            _run(case, command, message, seq)
        else:
            _begin(case, message, seq)


def _counts(case: Case, sender: UserId) -> bool:
    """In a chat the owner counts, in an entry room whoever may talk to the bot, in a Space nobody."""
    if not case.world.access.allows(sender):
        return False
    binding = case.room.binding
    if binding is None or binding.room_type == "entry":
        return True
    return binding.room_type == "chat" and sender == binding.matrix_user_id


def _command(message: Message) -> commands.Command | None:
    return commands.parse(message.body) if isinstance(message, MessageArrived) else None


def _run(case: Case, command: commands.Command, message: Message, seq: int) -> None:
    """Apply a command, and end the turn in hand if it wants that."""
    place = Place(
        case.room, case.turn, message.sender, message.event_id, message.thread_root, case.world
    )
    case.effects.append(Consume(seq))
    if command.chats_only and not place.is_chat:
        case.effects.append(place.answer(case.world.speech.only_in_chat(command.name)))
        return
    applied = command.apply(place)
    case.room = applied.room
    if applied.stops_turn:
        stop_turn(case)
    case.effects += applied.effects


def _begin(case: Case, message: Message, seq: int) -> None:
    """Begin a turn with the message at the head, or say why there is none."""
    case.effects.append(Consume(seq))
    binding, speech = case.room.binding, case.world.speech
    asked = Asked(case.room.room_id, message.event_id, message.thread_root)
    if binding is None or binding.room_type != "chat":
        case.effects.append(Tell(ActorKey(message.sender), OnboardingAsked(asked)))
    elif binding.archived:
        case.effects.append(answer(asked, speech.chat_is_archived()))
    elif binding.agent_id is None or not case.world.agents.knows(binding.agent_id):
        case.effects.append(answer(asked, speech.stale_agent(binding.agent_id or "")))
    elif isinstance(message, FileArrived):
        case.effects.append(answer(asked, speech.files_not_yet()))
    else:
        request = AgentRequest(
            agent_id=binding.agent_id,
            platform_chat_id=binding.platform_chat_id or "",
            message_id=message.event_id,
            text=message.body,
        )
        begun = tuple(
            Part(part_txn(message.event_id, index), part.edits, event_id=part.event_id)
            for index, part in enumerate(message.begun)
        )
        reply = Reply(case.room.room_id, message.event_id, message.thread_root, begun)
        case.turn = Turn(message.event_id, request, reply)
        now = case.world.now
        step_turn(case, TurnBegan(now, now + case.world.agent_retry_s))
