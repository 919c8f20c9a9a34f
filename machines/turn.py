"""A turn: one message of the user to the one reply it gets (contract D1).

`queued → asking → streaming → answered`. When the agent breaks off, the turn waits and asks again under the same
`message_id`, and the new text lands in the same reply; when the time for that is used up, the reply says plainly
that the agent could not answer. Where too many calls are open, the turn waits for one to end, no longer than it
would try. An answer may be so long and take so long (contract E13); past either it ends with what was said. The user
can stop it. A restarted process asks again: what the agent had said was
never more than what the room shows. `answered`, `failed` and `stopped` are the ends, and each of them has put the
reply's last text into the outbox.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.draft import AnswerText
from machines.effects import Ask, Effect, HangUp, MarkRead, ShowTyping
from machines.ids import EventId, UserId
from machines.reply import NOTHING_FINISHED, Finished, Reply, show_growing, show_last, to_rely_on
from machines.table import Table
from machines.talk import AgentRequest
from machines.turn_events import (
    AgentDeclined,
    AgentFailed,
    AnswerEnded,
    CallOpened,
    LimitReached,
    PatienceEnded,
    ProcessRestarted,
    RetryDue,
    RoomLost,
    ShowDue,
    TextGrew,
    TurnBegan,
    UserStopped,
)

ENDED = frozenset({"answered", "failed", "stopped"})


class Turn(Struct, frozen=True):
    """One turn's row. Times are seconds since the epoch.

    `heard` and what belongs to it are of the try in hand and are not kept: after a restart the agent
    says it again. `first_text_at` is 0 while there is nothing to show; `finished` is how far `heard` is in
    finished parts. What the room was last shown of the answer, by whichever try, are `shown_behind` and the
    text behind that, `shown`; `trouble` is of what kind the last fault was. `gives_up_at` bounds the retries
    (`AGENT_RETRY_S`), `ends_at` the whole turn (`AGENT_MAX_TURN_S`). `called_at` is when a try that had to wait
    for its call got it; `user_id` is who asked.
    """

    turn_id: EventId
    request: AgentRequest
    reply: Reply
    user_id: UserId = UserId("")
    state: str = "queued"
    tries: int = 0
    begun_at: float = 0.0
    gives_up_at: float = 0.0
    ends_at: float = 0.0
    retry_at: float = 0.0
    fault: str = ""
    trouble: str = ""
    shown: str = ""
    shown_behind: Finished = NOTHING_FINISHED
    heard: AnswerText | None = None
    finished: Finished = NOTHING_FINISHED
    status: str = ""
    first_text_at: float = 0.0
    called_at: float = 0.0

    def has_said(self) -> bool:
        """Whether there is something to keep: of this try, or as the room last saw it."""
        return bool(self.heard) or bool(self.shown)

    def without_the_try(self) -> "Turn":
        """Return what is kept of the turn."""
        return replace(self, **_SILENT)

    def due_at(self) -> float | None:
        """Return when this turn next wants to be looked at, if nothing happens before."""
        times = (self._step_due_at(), self.ends_at or None)
        return min((each for each in times if each is not None), default=None)

    def _step_due_at(self) -> float | None:
        if self.state == "waiting_to_retry":
            return self.retry_at
        if self.state == "streaming" and self.first_text_at:
            return self.reply.next_show_at(self.first_text_at)
        if self.state == "waiting_for_call" or (self.state == "asking" and self.tries > 1):
            return self.gives_up_at
        return None


class TurnMachine(StateMachine):
    """The declaration; `TURN` is what runs."""

    queued = State(initial=True)
    asking = State()
    waiting_for_call = State()
    streaming = State()
    waiting_to_retry = State()
    answered = State(final=True)
    failed = State(final=True)
    stopped = State(final=True)

    turn_began = queued.to(asking, on="begin")
    process_restarted = (
        queued.to.itself(internal=True)
        | asking.to.itself(internal=True, on="ask_anew")
        | waiting_for_call.to(asking, on="ask_anew")
        | streaming.to(asking, on="ask_anew")
        | waiting_to_retry.to(asking, on="ask_anew")
    )
    call_awaited = asking.to(waiting_for_call)
    call_opened = waiting_for_call.to(asking, on="note_call")
    text_grew = asking.to(streaming, on="listen") | streaming.to.itself(internal=True, on="hear")
    show_due = streaming.to.itself(internal=True, on="show_more")
    answer_ended = asking.to(answered, on="finish") | streaming.to(answered, on="finish")
    agent_failed = (
        asking.to(waiting_to_retry, cond="in_time", on="wait")
        | asking.to(failed, on="give_up")
        | streaming.to(waiting_to_retry, cond="in_time", on="wait")
        | streaming.to(failed, on="give_up")
    )
    agent_declined = asking.to(failed, on="give_up") | streaming.to(failed, on="give_up")
    retry_due = waiting_to_retry.to(asking, on="ask_again")
    patience_ended = asking.to(failed, on="hang_up_and_give_up") | waiting_for_call.to(
        failed, on="hang_up_and_give_up"
    )
    limit_reached = (
        asking.to(failed, on="hang_up_and_give_up")
        | waiting_for_call.to(failed, on="hang_up_and_give_up")
        | streaming.to(failed, on="hang_up_and_give_up")
        | waiting_to_retry.to(failed, on="hang_up_and_give_up")
    )
    room_lost = (
        queued.to(failed, on="give_up")
        | asking.to(failed, on="give_up")
        | waiting_for_call.to(failed, on="hang_up_and_give_up")
        | streaming.to(failed, on="give_up")
        | waiting_to_retry.to(failed, on="give_up")
    )
    user_stopped = (
        queued.to(stopped, on="stop")
        | asking.to(stopped, on="stop")
        | waiting_for_call.to(stopped, on="stop")
        | streaming.to(stopped, on="stop")
        | waiting_to_retry.to(stopped, on="stop")
    )

    @staticmethod
    def in_time(data: Turn, fact: AgentFailed) -> bool:
        """Whether another try still fits (contract D10)."""
        return fact.retry_at <= data.gives_up_at

    @staticmethod
    def begin(data: Turn, fact: TurnBegan) -> "_Result":
        """Ask for the first time; the message counts as read from here (contract D6)."""
        data, asked = _ask(
            data, begun_at=fact.at, gives_up_at=fact.gives_up_at, ends_at=fact.ends_at
        )
        return data, (MarkRead(data.turn_id), ShowTyping(True), *asked)

    @staticmethod
    def ask_anew(data: Turn, fact: ProcessRestarted) -> "_Result":
        """Ask as if for the first time, under the same `message_id`."""
        # A clock that was set back between two processes must not lengthen the turn at each of them.
        begun_at = min(data.begun_at, fact.at)
        data, asked = _ask(
            data, begun_at=begun_at, gives_up_at=fact.gives_up_at, ends_at=fact.ends_at
        )
        return data, (ShowTyping(True), *asked)

    @staticmethod
    def ask_again(data: Turn, fact: RetryDue) -> "_Result":
        """Another try."""
        data, asked = _ask(data)
        return data, (ShowTyping(True), *asked)

    @staticmethod
    def note_call(data: Turn, fact: CallOpened) -> "_Result":
        """From here on, silence is the agent's."""
        return replace(data, called_at=fact.at), ()

    @staticmethod
    def listen(data: Turn, fact: TextGrew) -> "_Result":
        """The first words; they are gathered for a moment before they show."""
        return _heard(data, fact), ()

    @staticmethod
    def hear(data: Turn, fact: TextGrew) -> "_Result":
        """More words."""
        return _heard(data, fact), ()

    @staticmethod
    def show_more(data: Turn, fact: ShowDue) -> "_Result":
        """Show what there is; an answer that is said again after a retry never shrinks meanwhile."""
        heard = data.heard or AnswerText()
        effects: tuple[Effect, ...] = ()
        if len(heard) >= data.shown_behind.offset + len(data.shown):
            reply, finished, effects = show_growing(
                data.reply, heard, data.status, fact.at, data.finished
            )
            shown = heard.since(finished.offset)
            data = replace(data, reply=reply, finished=finished, shown=shown, shown_behind=finished)
        # Nothing new to show still counts as looked at, or the timer would come due at once again.
        reply = replace(data.reply, shown_at=max(data.reply.shown_at, fact.at))
        return replace(data, reply=reply), effects

    @staticmethod
    def finish(data: Turn, fact: AnswerEnded) -> "_Result":
        """The whole text, for the last time."""
        behind = NOTHING_FINISHED
        if data.heard and fact.text.startswith(str(data.heard)):
            behind = to_rely_on(data.finished, data.reply)
        reply, effects = show_last(data.reply, fact.text[behind.offset :], fact.at, behind)
        return _ended(data, reply, ""), (ShowTyping(False), *effects)

    @staticmethod
    def wait(data: Turn, fact: AgentFailed) -> "_Result":
        """What was heard in this try is forgotten; the room goes on showing it."""
        fault = {"fault": fact.fault, "trouble": fact.kind}
        return replace(data, retry_at=fact.retry_at, **fault, **_SILENT), (ShowTyping(False),)

    @staticmethod
    def give_up(data: Turn, fact: AgentFailed | AgentDeclined | RoomLost) -> "_Result":
        """Never silence: the reply says that there is no answer (contract D10)."""
        return _keep(data, fact.last_words, fact.at, fact.fault)

    @staticmethod
    def hang_up_and_give_up(data: Turn, fact: PatienceEnded | LimitReached | RoomLost) -> "_Result":
        """The try in hand is not waited for."""
        data, effects = _keep(data, fact.last_words, fact.at, fact.fault)
        return data, (HangUp(data.turn_id), *effects)

    @staticmethod
    def stop(data: Turn, fact: UserStopped) -> "_Result":
        """Keep what was said (contract K9)."""
        data, effects = _keep(data, fact.last_words, fact.at, "")
        return data, (HangUp(data.turn_id), *effects)


_Result = tuple[Turn, tuple[Effect, ...]]


_SILENT: dict[str, Any] = {
    "heard": None,
    "finished": NOTHING_FINISHED,
    "status": "",
    "first_text_at": 0.0,
    "called_at": 0.0,
}
"""What a try that is over leaves: nothing of what was heard in it."""


def _heard(turn: Turn, fact: TextGrew) -> Turn:
    """Note what was said; of white space alone, or a tool that is done, there is nothing to show."""
    first_text_at = 0.0
    if fact.heard.visible or fact.status.strip():
        first_text_at = turn.first_text_at or fact.at
    return replace(turn, heard=fact.heard, status=fact.status, first_text_at=first_text_at)


def _ask(turn: Turn, **changes: Any) -> _Result:
    turn = replace(turn, tries=turn.tries + 1, **_SILENT, **changes)
    return turn, (Ask(turn.turn_id, turn.tries, turn.request, turn.user_id),)


def _keep(turn: Turn, last_words: str, at: float, fault: str) -> _Result:
    """End with what was said, by this try or as the room last saw it, and the last words behind it."""
    if turn.heard:
        behind = to_rely_on(turn.finished, turn.reply)
        said = turn.heard.since(behind.offset)
    else:
        behind, said = turn.shown_behind, turn.shown
    reply, effects = show_last(turn.reply, said, at, behind, last_words)
    return _ended(turn, reply, fault), (ShowTyping(False), *effects)


def _ended(turn: Turn, reply: Reply, fault: str) -> Turn:
    return replace(turn, reply=reply, fault=fault, **_SILENT)


_IN_HAND = {
    "asking": "the turn has begun",
    "waiting_for_call": "the turn has begun",
    "streaming": "the turn has begun",
    "waiting_to_retry": "the turn has begun",
}
_ENDED = dict.fromkeys(sorted(ENDED), "the turn has ended")
_NOT_ASKED = {
    "queued": "nobody was asked yet",
    "waiting_for_call": "nobody was asked yet",
    "waiting_to_retry": "nobody is being asked just now",
}

TURN: Table[Turn] = Table(
    TurnMachine,
    refuses={
        "turn_began": {**_IN_HAND, **_ENDED},
        "process_restarted": _ENDED,
        "call_awaited": {
            **_NOT_ASKED,
            "waiting_for_call": "a call is waited for already",
            "streaming": "the agent is answering",
            **_ENDED,
        },
        "call_opened": {
            "queued": "nobody was asked yet",
            "asking": "the agent is asked already",
            "streaming": "the agent is answering",
            "waiting_to_retry": "nobody is being asked just now",
            **_ENDED,
        },
        "text_grew": {**_NOT_ASKED, **_ENDED},
        "show_due": {**_NOT_ASKED, "asking": "there is no text yet", **_ENDED},
        "answer_ended": {**_NOT_ASKED, **_ENDED},
        "agent_failed": {**_NOT_ASKED, **_ENDED},
        "agent_declined": {**_NOT_ASKED, **_ENDED},
        "retry_due": {
            "queued": "nobody was asked yet",
            "asking": "a try is in hand",
            "waiting_for_call": "a try is in hand",
            "streaming": "a try is in hand",
            **_ENDED,
        },
        "patience_ended": {
            "queued": "nobody was asked yet",
            "waiting_to_retry": "nobody is being asked just now",
            "streaming": "the agent is answering",
            **_ENDED,
        },
        "room_lost": _ENDED,
        "limit_reached": {"queued": "nobody was asked yet", **_ENDED},
        "user_stopped": _ENDED,
    },
)
