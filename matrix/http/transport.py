"""The only place that makes requests: each one is repeated until there is a definite answer.

What a request may meet, and what follows:

- the homeserver is gone: the `Gate` closes and everybody waits (contract L9);
- 429: its lane waits as told (contract D8);
- an internal error that only this request gets: a few tries within a minute, then it is refused as
  unsendable (contract D9, fact 11);
- the session ended softly: sync raises `LoggedOut`, everything else waits for the new token
  (contract L10), so that an order in hand is neither lost nor refused;
- any other refusal is definite and raised as `RequestRefused`.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from msgspec.structs import replace

from machines.errors import CredentialsRefused, LoggedOut
from matrix.clock import Clock
from matrix.errors import AnswerTooLong, Dropped, Redirected, RequestRefused, Unreachable
from matrix.http.backend import Exchange, HttpAnswer, HttpRequest
from matrix.http.circuit_breaker import Gate, OnChange
from matrix.http.cleaning import clean_json
from matrix.http.gc_pause import collector_paused
from matrix.http.parsing import parse_answer
from matrix.http.rate_limits import Throttle
from matrix.http.request import Call, client_path
from matrix.http.responses import Answered, Limited, Unwell, Verdict, judge

PROBE_TIMEOUT_S = 10.0
BEST_EFFORT_TIMEOUT_S = 5.0

# Parsing a larger answer would hold up every room for longer than 10 ms.
_BIG_ANSWER_BYTES = 1024 * 1024

# A request that alone fails is given up after the first time when other writes went through in
# between, after the second when there was none that could tell (contract D9: within 60 s, of which the
# last wait at the gate may take 20).
_POISON_TRIES = 4
_POISON_PROVED_S = 25.0
_POISON_UNPROVED_S = 38.0
_LONGEST_PAUSE_S = 8.0

_SESSION_ENDED = frozenset({"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"})


@dataclass(slots=True)
class _Failures:
    """How often one request has failed while the homeserver was well, and since when."""

    last: RequestRefused | None = None
    count: int = 0
    since: float = 0.0
    outages: int = 0
    writes: int = 0

    def are_poison(self, now: float, outages: int, writes: int) -> bool:
        """Whether this request fails alone: often, for long, and with no outage in between."""
        if self.last is None or outages != self.outages or self.count < _POISON_TRIES:
            return False
        if writes > self.writes:
            return now - self.since >= _POISON_PROVED_S
        # Anything but a plain 500 may be a part of the homeserver that is away for a while.
        return self.last.status == 500 and now - self.since >= _POISON_UNPROVED_S


class Transport:
    """Makes requests in the name of the bot's session."""

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        on_change: OnChange,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._gate = Gate(clock, chance, on_change)
        self._throttle = Throttle(clock)
        self._token: str | None = None
        self._renewed: anyio.Event | None = None
        self._ended = anyio.Event()
        self._refused: CredentialsRefused | None = None
        self._long_polls: set[anyio.CancelScope] = set()
        self._writes = 0
        self._redirected: set[str] = set()

    @property
    def is_pressed(self) -> bool:
        """Whether what may be left out should be: the homeserver is gone or limits us (D8)."""
        return not self._gate.is_open or self._throttle.is_on

    def use_token(self, token: str) -> None:
        """Take the session's new token; requests that waited for it go on."""
        self._token = token
        self._refused = None
        if self._renewed is not None:
            self._renewed.set()
            self._renewed = None
            self._ended = anyio.Event()

    async def session_ended(self) -> None:
        """Return when the session has ended softly and everything waits for `use_token`."""
        await self._ended.wait()

    async def request(self, call: Call) -> Any:
        """Make a request, as often as it takes, and return what `call.read` makes of the answer.

        Raises:
            RequestRefused: the homeserver will not do it.
            LoggedOut: the session ended softly (long polls only; others wait for the new one).
            CredentialsRefused: the session ended for good.
            Unreachable: no answer, and the request is not repeatable.
            Dropped: the request is droppable, and the homeserver is under pressure.
        """
        body = None if call.body is None else _encode(call.body)
        failures = _Failures()
        query = call.query or {}
        while True:
            token = await self._token_for(call)
            if call.droppable and self.is_pressed:
                raise Dropped
            await self._gate.wait_open(self._probe)
            self._give_up_poison(call, failures)
            async with self._throttle.lane(call.lane).turn():
                if not self._gate.is_open:
                    continue
                # Read only now: while this waited in its lane the gate may have been closed and opened.
                epoch, started = self._gate.epoch, self._clock.now()
                request = HttpRequest(
                    call.method, call.path, query, body, token, call.timeout_s, call.stream
                )
                verdict = await self._once(request, call)
                if isinstance(verdict, Limited):
                    self._throttle.lane(call.lane).limited(verdict.wait_s)
            # Whatever is to be waited for now, the next of the lane need not wait for it.
            match verdict:
                case None:
                    continue  # broken off, because the session ended
                case Unreachable(kind=kind):
                    if call.droppable and kind != "connect":
                        # It may yet be carried out, behind what comes after it: a repetition settles it.
                        call = replace(call, droppable=False)
                    await self._on_no_answer(call, verdict, failures, epoch, started)
                case Answered(content=content):
                    self._gate.succeeded()
                    self._redirected.discard(call.path)
                    self._writes += call.method != "GET"
                    return content
                case Limited():
                    self._gate.succeeded()
                case Unwell(refusal=refusal):
                    self._gate.unwell(f"HTTP {refusal.status} {refusal.errcode}", epoch)
                    await self._count_failure(call, refusal, failures)
                case RequestRefused():
                    self._gate.succeeded()
                    self._on_refusal(call, verdict, token)
            query = call.again or query

    async def best_effort(self, call: Call) -> None:
        """Make a request once, shortly, and not at all under pressure; its failure is nobody's."""
        if self.is_pressed or self._renewed is not None or self._token is None:
            return
        body = None if call.body is None else _encode(call.body)
        request = HttpRequest(
            call.method, call.path, call.query or {}, body, self._token, BEST_EFFORT_TIMEOUT_S
        )
        verdict = await self._answer_to(request, call)
        if isinstance(verdict, Limited):
            self._throttle.lane(call.lane).limited(verdict.wait_s)

    async def _once(self, request: HttpRequest, call: Call) -> Verdict | Unreachable | None:
        """Make one request; `None` when the session's end broke it off."""
        if not call.long_poll:
            return await self._answer_to(request, call)
        with anyio.CancelScope() as scope:
            self._long_polls.add(scope)
            try:
                return await self._answer_to(request, call)
            finally:
                self._long_polls.discard(scope)
        return None

    async def _answer_to(self, request: HttpRequest, call: Call) -> Verdict | Unreachable:
        try:
            return await self._judged(await self._exchange(request), call.read)
        except Unreachable as trouble:
            return trouble
        except AnswerTooLong as trouble:
            return RequestRefused(413, "M_TOO_LARGE", str(trouble))

    async def _judged(
        self, answer: HttpAnswer, read: Callable[[bytes], Any] = parse_answer
    ) -> Verdict:
        now = self._clock.now()
        if len(answer.body) > _BIG_ANSWER_BYTES:
            with collector_paused():
                return await anyio.to_thread.run_sync(judge, answer, now, read)
        return judge(answer, now, read)

    async def _token_for(self, call: Call) -> str | None:
        if call.anonymous or call.token is not None:
            return call.token
        while True:
            if self._refused is not None:
                raise self._refused
            if self._renewed is None:
                return self._token
            if call.long_poll:
                raise LoggedOut("the homeserver ended the session; it allows a new login")
            await self._renewed.wait()

    async def _on_no_answer(
        self, call: Call, trouble: Unreachable, failures: _Failures, epoch: int, started: float
    ) -> None:
        # With others answered meanwhile, it is this request that is slow.
        if trouble.kind != "timeout" or self._gate.last_success_at < started:
            self._gate.failed(trouble.reason, epoch, certain=self._is_news(call, trouble))
        if call.droppable:
            raise Dropped from None
        if not call.repeatable:
            raise trouble
        if trouble.kind == "connect":
            failures.count = 0  # never sent: no fault of this request's
            return
        await self._count_failure(call, RequestRefused(504, "M_UNKNOWN", trouble.reason), failures)

    def _is_news(self, call: Call, trouble: Unreachable) -> bool:
        """Whether the operator has to hear of it even if probes are answered: said once a path.

        A redirect does not pass by itself, and what is asked patiently would never be given up.
        """
        insists = call.patient or call.token is not None
        if not isinstance(trouble, Redirected) or not insists or call.path in self._redirected:
            return False
        self._redirected.add(call.path)
        return True

    async def _count_failure(
        self, call: Call, refusal: RequestRefused, failures: _Failures
    ) -> None:
        """Note a failure, and wait before the next try where the gate does not."""
        if call.droppable:
            raise Dropped
        if not call.repeatable:
            raise Unreachable("broken", str(refusal))
        if failures.count == 0 or failures.outages != self._gate.outages:
            failures.count, failures.since = 0, self._clock.now()
            failures.outages, failures.writes = self._gate.outages, self._writes
        failures.count += 1
        failures.last = refusal
        # One that fails again keeps a distance of its own even so: it may be alone at fault, and
        # others would have nothing of a gate that it closes as soon as it is open.
        if self._gate.is_open or failures.count > 1:
            await self._clock.sleep(min(_LONGEST_PAUSE_S, self._gate.back_off_s(failures.count)))

    def _give_up_poison(self, call: Call, failures: _Failures) -> None:
        """Refuse a request that the homeserver fails at while it does everything else (D9).

        Asked when the gate is open again: only then it is known whether there was an outage.
        """
        poison = failures.are_poison(self._clock.now(), self._gate.outages, self._writes)
        if poison and failures.last is not None and not call.patient:
            raise failures.last

    def _on_refusal(self, call: Call, refusal: RequestRefused, token: str | None) -> None:
        """Raise what a definite refusal means; return when the request shall wait or go on."""
        bypasses = call.anonymous or call.token is not None
        if bypasses or refusal.errcode not in _SESSION_ENDED:
            raise refusal
        if token != self._token:
            return  # the session was renewed meanwhile
        if refusal.soft_logout:
            if self._renewed is None:
                self._renewed = anyio.Event()
                self._ended.set()
        else:
            self._refused = CredentialsRefused(
                "the homeserver ended this session for good"
                f" ({refusal.errcode}: {refusal.reason}); to log in as a new device,"
                " run `surfaces-bot reset` and start again"
            )
        for scope in self._long_polls:
            scope.cancel()

    async def _probe(self) -> str | None:
        """Ask for something harmless; any definite answer says that the homeserver is back."""
        path = client_path("account", "whoami") if self._token else "/_matrix/client/versions"
        request = HttpRequest("GET", path, token=self._token, timeout_s=PROBE_TIMEOUT_S)
        try:
            verdict = await self._judged(await self._exchange(request))
        except Unreachable as trouble:
            return trouble.reason
        except AnswerTooLong as trouble:
            return str(trouble)
        if isinstance(verdict, Unwell):
            return f"HTTP {verdict.refusal.status} {verdict.refusal.errcode}"
        return None


def _encode(body: Mapping[str, Any]) -> bytes:
    # Cleaned here, at the one place everything passes: fact 11.
    return msgspec.json.encode(clean_json(body))
