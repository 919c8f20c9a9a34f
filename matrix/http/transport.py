"""The only place that makes requests: each one is repeated until there is a definite response.

The problems that a request may meet, and the reaction:

- the homeserver is unreachable: the circuit breaker opens and all requests wait (contract L9);
- 429: the rate-limit bucket waits as long as the homeserver says (contract D8);
- an internal error that only this request gets: a few tries within a minute, then it is refused as
  unsendable (poison; contract D9, fact 11);
- the session ended softly: sync raises `LoggedOut`, all other requests wait for the new token
  (contract L10), so that an order under way is neither lost nor refused;
- any other refusal is definite and raised as `RequestRefused`.
"""

import random
from collections.abc import Callable, Container, Mapping
from typing import Any, assert_never

import anyio
import anyio.to_thread
import structlog
from msgspec.structs import replace

from matrix.clock import Clock
from matrix.errors import Dropped, Redirected, RequestRefused, ResponseTooLong, Unreachable
from matrix.http.access_token import SESSION_ENDED, AccessToken
from matrix.http.backend import HttpBackend, HttpRequest
from matrix.http.circuit_breaker import CircuitBreaker, Failures, OnOutageChange
from matrix.http.parsing import gc_paused, parse_response
from matrix.http.rate_limits import make_buckets
from matrix.http.request import Request, client_path
from matrix.http.responses import RateLimited, Response, ServerError, Success, classify

PROBE_TIMEOUT_S = 10.0
BEST_EFFORT_TIMEOUT_S = 5.0
SLOW_S = 5.0
"""A request without an answer for so long at start announces an outage without a probe."""

# Parsing a larger response would block every room for longer than 10 ms.
_BIG_RESPONSE_BYTES = 1024 * 1024

_LONGEST_PAUSE_S = 8.0

ANY_STATUS = range(1000)


class Transport:
    """Makes requests in the bot's session."""

    def __init__(
        self,
        backend: HttpBackend,
        clock: Clock,
        on_change: OnOutageChange,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._breaker = CircuitBreaker(clock, jitter, on_change)
        self._buckets = make_buckets(clock)
        self._token = AccessToken()
        self._long_polls: set[anyio.CancelScope] = set()
        self._writes = 0
        self._redirected: set[str] = set()

    @property
    def is_under_pressure(self) -> bool:
        """Whether optional requests are left out: the homeserver is unreachable or limits us (contract D8)."""
        return not self._breaker.is_closed or self._buckets["send"].is_limited

    def use_token(self, token: str) -> None:
        """Use the session's new token; requests that waited for it continue."""
        self._token.replace(token)

    async def session_ended(self) -> None:
        """Return when the session has ended softly and all requests wait for `use_token`."""
        await self._token.ended.wait()

    async def request(self, request: Request) -> Any:
        """Make a request, as often as needed, and return the content that `request.parse` makes of the response.

        Raises:
            RequestRefused: the homeserver refuses it.
            LoggedOut: the session ended softly (long polls only; others wait for the new one).
            CredentialsRefused: the session ended for good.
            Unreachable: no response, and the request is not idempotent.
            Dropped: the request is droppable, and the homeserver is under pressure.
        """
        failures = Failures()
        query = request.query or {}
        while True:
            token = await self._token_for(request)
            if request.droppable and self.is_under_pressure:
                raise Dropped
            await self._breaker.wait_closed(self._probe)
            self._refuse_poison(request, failures)
            async with self._buckets[request.bucket].permit():
                if not self._breaker.is_closed:
                    continue
                # Read only now: the breaker may have opened and closed during the wait for the permit.
                epoch, started = self._breaker.epoch, self._clock.now()
                response = await self._once(request.to_http(query, token), request)
                if isinstance(response, RateLimited):
                    self._buckets[request.bucket].limit(response.wait_s)
            # The waits below are outside the permit: other requests of the bucket need not wait for them.
            match response:
                case None:
                    continue  # cancelled, because the session ended
                case Unreachable(kind=kind, reason=reason):
                    _log_failed_try(request, reason)
                    if request.droppable and kind != "connect":
                        # It may still be carried out, after a later request; only a repetition gives certainty.
                        request = replace(request, droppable=False)
                    await self._on_no_response(request, response, failures, epoch, started)
                case Success(content=content):
                    self._breaker.record_success()
                    self._redirected.discard(request.path)
                    self._writes += request.method != "GET"
                    return content
                case RateLimited(wait_s=wait_s):
                    _log_failed_try(request, f"HTTP 429, wait {wait_s:g} s")
                    self._breaker.record_success()
                case ServerError(refusal=refusal):
                    _log_failed_try(request, _status_of(refusal))
                    self._breaker.record_server_error(_status_of(refusal), epoch)
                    await self._count_failure(request, refusal, failures)
                case RequestRefused():
                    self._breaker.record_success()
                    self._on_refusal(request, response, token)
                case _:
                    assert_never(response)
            query = request.retry_query or query

    async def get(
        self,
        *segments: str,
        query: Mapping[str, str] | None = None,
        absent: Container[int] = (),
    ) -> Any:
        """Return the content at a path, `None` where the homeserver refuses it with a status in `absent`.

        Raises:
            RequestRefused: the homeserver refuses it with another status.
        """
        try:
            return await self.request(Request("GET", client_path(*segments), query=query))
        except RequestRefused as refused:
            if refused.status not in absent:
                raise
            return None

    async def best_effort(self, request: Request) -> None:
        """Make a request once, with a short timeout, and not at all under pressure; ignore its failure."""
        if self.is_under_pressure or not self._token.is_usable:
            return
        request = replace(request, timeout_s=BEST_EFFORT_TIMEOUT_S)
        http_request = request.to_http(request.query or {}, self._token.value)
        response = await self._respond(http_request, request.parse)
        if isinstance(response, RateLimited):
            self._buckets[request.bucket].limit(response.wait_s)

    async def _token_for(self, request: Request) -> str | None:
        if request.bypasses_session:
            return request.token
        return await self._token.get(wait=not request.long_poll)

    async def _once(
        self, http_request: HttpRequest, request: Request
    ) -> Response | Unreachable | None:
        """Make one request; `None` when it was cancelled because the session ended."""
        if not request.long_poll:
            return await self._respond(http_request, request.parse)
        with anyio.CancelScope() as scope:
            self._long_polls.add(scope)
            try:
                return await self._respond(http_request, request.parse)
            finally:
                self._long_polls.discard(scope)
        return None

    async def _respond(
        self, http_request: HttpRequest, parse: Callable[[bytes], Any] = parse_response
    ) -> Response | Unreachable:
        """Make one HTTP request and classify its response."""
        try:
            http_response = await self._backend(http_request)
            now = self._clock.now()
            if len(http_response.body) <= _BIG_RESPONSE_BYTES:
                return classify(http_response, now, parse)
            with gc_paused():
                return await anyio.to_thread.run_sync(classify, http_response, now, parse)
        except (Unreachable, ResponseTooLong) as failure:
            return failure

    async def _on_no_response(
        self, request: Request, failure: Unreachable, failures: Failures, epoch: int, started: float
    ) -> None:
        # If other requests were answered meanwhile, only this one is slow.
        if failure.kind != "timeout" or self._breaker.last_success_at < started:
            # After a first timeout at start, the confirmation would take as long again.
            is_slow = self._clock.now() - started >= SLOW_S and not self._breaker.last_success_at
            certain = is_slow or self._is_certain_outage(request, failure)
            self._breaker.record_failure(failure.reason, epoch, certain=certain)
        if request.droppable:
            raise Dropped from None
        if not request.idempotent:
            raise failure
        if failure.kind == "connect":
            failures.count = 0  # never sent, so the request did not cause the failure
            return
        refusal = RequestRefused(504, "M_UNKNOWN", failure.reason)
        await self._count_failure(request, refusal, failures)

    def _is_certain_outage(self, request: Request, failure: Unreachable) -> bool:
        """Whether this failure is announced even if probes are answered: once for each path.

        A redirect does not end by itself, and a request that is retried forever would never report it.
        """
        is_repeated = request.retry_forever or request.token is not None
        if (
            not (isinstance(failure, Redirected) and is_repeated)
            or request.path in self._redirected
        ):
            return False
        self._redirected.add(request.path)
        return True

    async def _count_failure(
        self, request: Request, refusal: RequestRefused, failures: Failures
    ) -> None:
        """Count a failure, and wait before the next try where the circuit breaker does not."""
        if request.droppable:
            raise Dropped
        if not request.idempotent:
            raise Unreachable("broken", str(refusal))
        failures.record(refusal, self._clock.now(), self._breaker.outages, self._writes)
        # A request that fails again always waits: it may be poison, and would otherwise open the breaker for all
        # others as soon as it is closed.
        if self._breaker.is_closed or failures.count > 1:
            pause_s = min(_LONGEST_PAUSE_S, self._breaker.backoff_s(failures.count))
            await self._clock.sleep(pause_s)

    def _refuse_poison(self, request: Request, failures: Failures) -> None:
        """Refuse a poison request (contract D9).

        Called when the breaker is closed again: only then it is known whether there was an outage.
        """
        poison = failures.poison(self._clock.now(), self._breaker.outages, self._writes)
        if poison is not None and not request.retry_forever:
            raise poison

    def _on_refusal(self, request: Request, refusal: RequestRefused, token: str | None) -> None:
        """Raise the error for a definite refusal; return when the request must wait or be repeated."""
        if request.bypasses_session or refusal.errcode not in SESSION_ENDED:
            raise refusal
        if token != self._token.value:
            return  # the session was renewed meanwhile
        self._token.end(refusal)
        for scope in self._long_polls:
            scope.cancel()

    async def _probe(self) -> str | None:
        """Make a request without effects; any definite response means that the homeserver is back."""
        token = self._token.value
        path = client_path("account", "whoami") if token else "/_matrix/client/versions"
        response = await self._respond(
            HttpRequest("GET", path, token=token, timeout_s=PROBE_TIMEOUT_S)
        )
        match response:
            case Unreachable(reason=reason) | ResponseTooLong(reason=reason):
                return reason
            case ServerError(refusal=refusal):
                return _status_of(refusal)
            case Success() | RateLimited() | RequestRefused():
                return None
            case _:
                assert_never(response)


def _log_failed_try(request: Request, reason: str) -> None:
    """Log a failed try of a request; its query and body are left out (contract E9)."""
    structlog.get_logger().debug(
        "request_failed", method=request.method, path=request.path, reason=reason
    )


def _status_of(refusal: RequestRefused) -> str:
    return f"HTTP {refusal.status} {refusal.errcode}"
