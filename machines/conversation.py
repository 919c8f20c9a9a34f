"""What a room's actor decides: it joins the room's machine, the turn in hand and the messages that wait.

A message keeps its place: it is taken out of the inbox only when its turn begins, in the order of the room,
one at a time. A command that only shows or stops something acts the moment it comes; one that changes what later
messages mean waits its turn like a message. Everything is decided from the arguments (`World` has the time), and
every fact ends in exactly one `Consume` or `SetAside`, at once or when its turn has come.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from machines import commands
from machines.commands.base import Place, answer
from machines.effects import (
    Consume,
    Effect,
    HangUp,
    Log,
    Reconcile,
    Record,
    Send,
    SetAside,
    Tell,
    TookPlatformChatId,
)
from machines.errors import IllegalEvent
from machines.facts import (
    BotRemoved,
    EncryptedArrived,
    EncryptionEnabled,
    FileArrived,
    InviteArrived,
    MemberChanged,
    MessageArrived,
)
from machines.happenings import (
    AgentDone,
    AgentGrew,
    AgentTroubled,
    Observed,
    OnboardingAsked,
    OrderDone,
    Resumed,
    TimePassed,
)
from machines.ids import ActorKey, TxnId, UserId
from machines.orders import Joined, JoinRoom, Refused, RejectInvite, SendMessage, StoreBinding
from machines.patience import retry_at
from machines.reply import EDIT_INTERVAL_S, Reply
from machines.room import (
    COOL_DOWN_S,
    ROOM,
    AcceptInvite,
    BotJoined,
    CoolDownOver,
    EndConversation,
    Invited,
    JoinRefused,
    KeepBinding,
    LookAtTopology,
    MessageCame,
    RemovedFromRoom,
    ReportFailure,
    Room,
    RoomMade,
    TopologyConfirmed,
    TopologyRefused,
    Welcome,
)
from machines.talk import AgentRequest
from machines.turn import (
    ENDED,
    TURN,
    AgentDeclined,
    AgentFailed,
    AnswerEnded,
    PatienceEnded,
    ProcessRestarted,
    RetryDue,
    ShowDue,
    TextGrew,
    Turn,
    TurnBegan,
    UserStopped,
)
from machines.user import Asked
from machines.world import World

Message = MessageArrived | FileArrived


@dataclass(frozen=True, slots=True)
class Conversation:
    """A room, its turn in hand, and the messages that wait with their inbox rows.

    The next turn begins no earlier than `quiet_until`: the last edit of a reply may have to wait for
    its distance to the edit before it, and what comes next shall not wait behind it in the outbox.
    """

    room: Room
    turn: Turn | None = None
    waiting: tuple[tuple[int, Message], ...] = ()
    quiet_until: float = 0.0

    def due_at(self) -> float | None:
        """Return when this room next wants to be looked at, if nothing happens before."""
        if self.turn is not None:
            return self.turn.due_at()
        if not self.waiting:
            return None
        if self.room.state == "failed":
            return self.room.repaired_at + COOL_DOWN_S
        return self.quiet_until if self.room.state == "bound" else None


def take(
    conversation: Conversation, event: object, world: World, seq: int | None = None
) -> tuple[Conversation, tuple[Effect, ...]]:
    """Take one event; `seq` is its inbox row where it has one.

    Raises:
        IllegalEvent: the room's machine refuses the event; nothing was changed.
    """
    case = _Case(conversation, world)
    case.take(event, seq)
    case.advance()
    return case.result()


class _Case:
    """The working copy of one step: the values as they become, and the effects in order."""

    def __init__(self, conversation: Conversation, world: World) -> None:
        self.room = conversation.room
        self.turn = conversation.turn
        self.waiting = conversation.waiting
        self.quiet_until = conversation.quiet_until
        self.world = world
        self.effects: list[Effect] = []

    def result(self) -> tuple[Conversation, tuple[Effect, ...]]:
        """Return what has become of the conversation."""
        conversation = Conversation(self.room, self.turn, self.waiting, self.quiet_until)
        return conversation, tuple(self.effects)

    def take(self, event: object, seq: int | None) -> None:
        """Deal with one event, but for the messages that wait."""
        match event:
            case MessageArrived() | FileArrived() if seq is not None:
                self.receive(event, seq)
                return
            case EncryptedArrived() if seq is not None:
                self.effects.append(SetAside(seq, "encrypted, and no key to read it"))
                return
            case AgentGrew() | AgentDone() | AgentTroubled():
                self.listen(event)
            case TimePassed():
                self.look_at_the_clock()
            case Resumed():
                self.resume()
            case Observed():
                self.conclude(event)
            case InviteArrived():
                self.answer_invitation(event)
            case OrderDone():
                self.note_outcome(event)
            case RoomMade():
                self.step_room(event, "made by the bot")
            case TopologyConfirmed():
                self.step_room(event, "linked into its Space")
            case BotRemoved():
                self.step_room(RemovedFromRoom(event.reason), event.reason)
            case MemberChanged(user_id=user_id, membership=membership):
                if self.room.binding and self.room.binding.matrix_user_id == user_id:
                    self.room = replace(self.room, owner_present=membership == "join")
            case EncryptionEnabled():
                self.room = replace(self.room, encrypted=True)
            case _:
                raise TypeError(f"a room's actor has no use for {type(event).__name__}")
        if seq is not None:
            self.effects.append(Consume(seq))

    # -- the room ----------------------------------------------------------------------------------

    def step_room(self, fact: object, reason: str) -> None:
        """Run the room's machine, keep the transition, and carry out what it wants."""
        step = ROOM.step(self.room, fact)
        self.room = step.data
        if step.moved:
            arrow = step.arrow
            self.room = replace(self.room, since=self.world.now, reason=reason)
            report = getattr(fact, "report", None)
            self.effects.append(Record(arrow.event, arrow.source, arrow.target, reason, report))
        for effect in step.effects:
            self.carry_out(effect)

    def carry_out(self, effect: object) -> None:
        """Turn one wish of the room's machine into orders."""
        room_id = self.room.room_id
        match effect:
            case AcceptInvite():
                self.order(Send(JoinRoom(room_id), self.fresh_txn("join"), reports=True))
            case LookAtTopology():
                self.effects.append(Reconcile())
            case KeepBinding() if self.room.binding is not None:
                content = self.room.binding.content()
                self.order(Send(StoreBinding(room_id, content), self.fresh_txn("binding")))
            case Welcome(user_id=user_id):
                self.effects.append(Tell(ActorKey(user_id), OnboardingAsked(Asked(room_id))))
            case ReportFailure(reason=reason, report=report):
                owner = self.room.binding.matrix_user_id if self.room.binding else None
                fields = {"room_id": room_id, "matrix_user_id": owner, "report": report}
                self.effects.append(Log("room_recovery_failed", fields, warning=True))
                self.say(self.world.speech.room_recovery_failed(), "recovery")
            case EndConversation():
                self.drop_turn()
            case _:
                pass  # to take messages is what `advance` does after every event

    def order(self, send: Send) -> None:
        """Put one order into the outbox."""
        self.effects.append(send)

    def fresh_txn(self, step: str) -> TxnId:
        """Return a transaction id for what no message asked for: room, step and time."""
        return TxnId(f"{self.room.room_id}.{step}.{int(self.world.now * 1000)}")

    def say(self, text: str, step: str) -> None:
        """Send a notice that answers no message."""
        message = SendMessage(self.room.room_id, text, notice=True)
        self.order(Send(message, self.fresh_txn(step)))

    def answer_invitation(self, invite: InviteArrived) -> None:
        """Accept it from whoever may talk to the bot; turn every other down (contracts O1, O4)."""
        if self.world.access.allows(invite.sender):
            by = Invited(invite.sender, invite.encrypted)
            self.step_room(by, f"invited by {invite.sender}")
            return
        fields = {"room_id": invite.room_id, "sender": invite.sender}
        self.effects.append(Log("invite_rejected", fields))
        self.order(Send(RejectInvite(invite.room_id), self.fresh_txn("reject")))

    def note_outcome(self, done: OrderDone) -> None:
        """Deal with what came of an order: a join, or a refusal that somebody should hear about."""
        match done.outcome:
            case Joined(encrypted=encrypted):
                self.step_room(BotJoined(encrypted), "joined")
            case Refused(reason=reason) if done.order == JoinRoom.__name__:
                self.step_room(JoinRefused(reason), reason)
            case Refused(kind=kind):
                if done.order == SendMessage.__name__ and done.answers and kind != "encrypted":
                    asked = Asked(self.room.room_id, done.answers)
                    text = self.world.speech.answer_refused_by_server()
                    if not done.txn_id.endswith(".refused"):
                        self.order(answer(asked, text, "refused"))
            case _:
                pass

    def conclude(self, seen: Observed) -> None:
        """End the one repair: bound, or failed with a diagnosis (contract C7)."""
        if seen.binding is None:
            refused = TopologyRefused(seen.reason, self.world.now, seen.report)
            self.step_room(refused, seen.reason)
            return
        if seen.binding.platform_chat_id is not None:
            self.effects.append(TookPlatformChatId(seen.binding.platform_chat_id))
        name, encrypted = seen.name or self.room.name, seen.encrypted
        confirmed = TopologyConfirmed(seen.binding, name, encrypted, seen.store, seen.report)
        self.step_room(confirmed, seen.reason)

    # -- messages ----------------------------------------------------------------------------------

    def receive(self, message: Message, seq: int) -> None:
        """Decide whether a message counts here at all, and let it wait or act (contracts D5, E3)."""
        if not self.counts(message.sender):
            self.effects.append(Consume(seq))
            return
        if self.room.state == "bound" and self.acts_at_once(message):
            self.run_command(message, seq)
            return
        self.waiting = (*self.waiting, (seq, message))
        self.step_room(MessageCame(self.world.now), "a message came")

    def counts(self, sender: UserId) -> bool:
        """In a chat the owner counts, in an entry room whoever may talk to the bot, in a Space nobody."""
        if not self.world.access.allows(sender):
            return False
        binding = self.room.binding
        if binding is None or binding.room_type == "entry":
            return True
        return binding.room_type == "chat" and sender == binding.matrix_user_id

    def acts_at_once(self, message: Message) -> bool:
        """Whether it is a command that need not keep its place."""
        if not isinstance(message, MessageArrived):
            return False
        command = commands.parse(message.body)
        return command is not None and not command.waits

    def advance(self) -> None:
        """Begin the next turn, as long as the room is bound and none is in hand."""
        while (
            self.room.state == "bound"
            and self.turn is None
            and self.waiting
            and self.world.now >= self.quiet_until
        ):
            (seq, message), *rest = self.waiting
            self.waiting = tuple(rest)
            if not self.counts(message.sender):
                self.effects.append(Consume(seq))
            elif isinstance(message, MessageArrived) and commands.parse(message.body) is not None:
                self.run_command(message, seq)
            else:
                self.begin(message, seq)

    def run_command(self, message: Message, seq: int) -> None:
        """Apply a command, and end the turn in hand if it wants that."""
        command = commands.parse(message.body) if isinstance(message, MessageArrived) else None
        if command is None:
            raise ValueError(f"{message.event_id} is no command")
        place = Place(
            self.room,
            self.turn,
            message.sender,
            message.event_id,
            message.thread_root,
            self.world,
        )
        self.effects.append(Consume(seq))
        if command.chats_only and not place.is_chat:
            first_word = message.body.split()[0] if isinstance(message, MessageArrived) else ""
            self.order(place.answer(self.world.speech.only_in_chat(first_word)))
            return
        applied = command.apply(place)
        self.room = applied.room
        if applied.stops_turn:
            self.stop_turn()
        self.effects += applied.effects

    def begin(self, message: Message, seq: int) -> None:
        """Begin a turn with the message at the head, or say why there is none."""
        self.effects.append(Consume(seq))
        binding, speech = self.room.binding, self.world.speech
        asked = Asked(self.room.room_id, message.event_id, message.thread_root)
        if binding is None or binding.room_type != "chat":
            tell = Tell(ActorKey(message.sender), OnboardingAsked(asked))
            self.effects.append(tell)
        elif binding.archived:
            self.order(answer(asked, speech.chat_is_archived()))
        elif binding.agent_id is None or not self.world.agents.knows(binding.agent_id):
            self.order(answer(asked, speech.stale_agent(binding.agent_id or "")))
        elif isinstance(message, FileArrived):
            self.order(answer(asked, speech.files_not_yet()))
        else:
            request = AgentRequest(
                agent_id=binding.agent_id,
                platform_chat_id=binding.platform_chat_id or "",
                message_id=message.event_id,
                text=message.body,
            )
            reply = Reply(self.room.room_id, message.event_id, message.thread_root)
            self.turn = Turn(message.event_id, request, reply)
            now = self.world.now
            self.step_turn(TurnBegan(now, now + self.world.agent_retry_s))

    # -- the turn ----------------------------------------------------------------------------------

    def step_turn(self, fact: object) -> None:
        """Run the turn's machine; an ended turn leaves the room free for the next."""
        if self.turn is None:
            return
        step = TURN.step(self.turn, fact)
        self.effects += step.effects
        if step.data.state not in ENDED:
            self.turn = step.data
            return
        if any(
            isinstance(effect, Send) and effect.not_before > self.world.now
            for effect in step.effects
        ):
            self.quiet_until = self.world.now + EDIT_INTERVAL_S
        self.turn = None

    def listen(self, event: AgentGrew | AgentDone | AgentTroubled) -> None:
        """Hear what the agent says, if it speaks of the try in hand."""
        turn, now, speech = self.turn, self.world.now, self.world.speech
        if turn is None or (turn.turn_id, turn.tries) != (event.turn_id, event.attempt):
            return
        match event:
            case AgentGrew(text=text, status=status):
                self.step_turn(TextGrew(now, text, speech.tool_status(status) if status else ""))
            case AgentDone(text=text):
                self.step_turn(AnswerEnded(now, text if text.strip() else speech.empty_answer()))
            case AgentTroubled(kind=kind, retryable=True):
                at = retry_at(turn.turn_id, turn.tries, now)
                last_words = speech.agent_gave_up(kind)
                self.step_turn(AgentFailed(now, at, event.reason, last_words))
            case AgentTroubled(kind=kind):
                self.step_turn(AgentDeclined(now, event.reason, speech.agent_error(kind)))
            case _:
                assert_never(event)

    def look_at_the_clock(self) -> None:
        """Do what has come due; what has not is simply not done, so a stale timer is harmless."""
        now, turn = self.world.now, self.turn
        cooled = now - self.room.repaired_at >= COOL_DOWN_S
        if self.room.state == "failed" and self.waiting and cooled:
            self.step_room(CoolDownOver(now), "messages wait, and a minute has passed")
        if turn is None:
            return
        due = turn.due_at()
        if due is None or now < due:
            return
        match turn.state:
            case "waiting_to_retry":
                self.step_turn(RetryDue(now))
            case "streaming":
                self.step_turn(ShowDue(now))
            case "asking":
                self.step_turn(PatienceEnded(now, self.world.speech.agent_gave_up("silent")))
            case _:
                raise ValueError(f"nothing comes due for a turn in state {turn.state}")

    def resume(self) -> None:
        """Go on after a restart: ask again what was being asked, look again at what was being looked at."""
        if self.turn is not None:
            now = self.world.now
            self.step_turn(ProcessRestarted(now, now + self.world.agent_retry_s))
        elif self.room.state == "unregistered" and self.waiting:
            self.step_room(MessageCame(self.world.now), "a message waits")

    def stop_turn(self) -> None:
        """End the turn in hand, keeping what was said."""
        turn, speech = self.turn, self.world.speech
        if turn is not None:
            text = f"{turn.draft}\n\n{speech.stopped()}" if turn.draft else speech.stopped_nothing()
            self.step_turn(UserStopped(self.world.now, text))

    def drop_turn(self) -> None:
        """Let the turn go: where the bot is no longer, nothing can be said."""
        if self.turn is not None:
            self.effects.append(HangUp(self.turn.turn_id))
            self.turn = None


def refused(error: IllegalEvent, seq: int | None) -> tuple[Effect, ...]:
    """Return what is left of an event that the machine refuses: a line, and a finished inbox row."""
    log = Log("event_refused", {"reason": str(error)})
    return (log, Consume(seq)) if seq is not None else (log,)
