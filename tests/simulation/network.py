"""The network between the bot and the homeserver: requests and answers are delayed, lost, repeated or cut off.

It also checks the requests: nothing may be sent before its commit or before reconciliation (contracts D1, L4), and
at most one request a second while the homeserver is down (contract L9).
"""

import asyncio
import json
from collections.abc import Callable

from matrix.errors import Unreachable
from matrix.http.backend import HttpBackend, HttpRequest, HttpResponse
from tests.simulation.api import Api, answer
from tests.simulation.faults import Fate, Faults
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Kernel, Violation
from tests.simulation.process import Process
from tests.support.memory_homeserver.request import path_parts
from tests.support.memory_homeserver.sync import has_news, position_of

Inspect = Callable[[list[str], str, dict[str, object]], None]
_HTML = HttpResponse(502, {"content-type": "text/html"}, b"<html><body>Bad Gateway</body></html>")
_MIN_GAP_S = 0.999
_LATE_S = 2.0
"""How long after its end the requests of a process may still be carried out."""


class PendingRequest:
    """A request without a response yet. `finish` completes it once; later responses are ignored."""

    def __init__(self, process: Process, request: HttpRequest) -> None:
        self.process = process
        self.request = request
        self.path = path_parts(request.path)
        self.sent_at = process.kernel.now
        self.fate: Fate = "well"
        self.answered: asyncio.Future[HttpResponse] = process.loop.create_future()

    @property
    def is_open(self) -> bool:
        """Whether the bot still waits for the answer."""
        return not self.process.killed and not self.answered.done()

    def finish(self, outcome: HttpResponse | Unreachable) -> None:
        """Complete the request with a response, or with the reason why there is none."""
        if not self.is_open:
            return
        if isinstance(outcome, HttpResponse):
            self.answered.set_result(outcome)
        else:
            self.answered.set_exception(outcome)


class Network:
    """Creates the `HttpBackend` of each process."""

    def __init__(
        self,
        kernel: Kernel,
        server: SimulatedHomeserver,
        api: Api,
        faults: Faults,
        inspect: Inspect,
    ) -> None:
        self._kernel = kernel
        self._server = server
        self._api = api
        self._faults = faults
        self._inspect = inspect
        self._polls: list[PendingRequest] = []
        self._informed_process: Process | None = None
        self._last_request_at = 0.0
        self._down_since = 0.0
        self.requests = 0
        server.listeners.append(lambda event: kernel.after(0.001, self._answer_polls))

    def backend_of(self, process: Process) -> HttpBackend:
        """Return the HTTP backend of one process."""

        async def backend(request: HttpRequest) -> HttpResponse:
            if process.killed:
                await process.wait_forever()
            return await self._send(PendingRequest(process, request)).answered

        return backend

    # -- requests -----------------------------------------------------------------------------

    def _send(self, pending: PendingRequest) -> PendingRequest:
        kernel, rng = self._kernel, self._kernel.rng
        self.requests += 1
        request = pending.request
        pending.fate = fate = self._faults.fate_of(request.path, request.method)
        self._check_pace(pending)
        body = json.loads(request.body) if request.body else {}
        self._inspect(pending.path, request.method, body)
        kernel.after(request.timeout_s, pending.finish, Unreachable("timeout", "no answer in time"))
        latency_s = rng.choice((0.001, 0.002, 0.01, 0.05))
        if fate == "slow":
            latency_s = rng.uniform(0.5, 20.0)
        if fate == "refused":
            kernel.after(latency_s, pending.finish, Unreachable("connect", "refused"))
        elif fate == "lost":
            kernel.after(latency_s, pending.finish, Unreachable("broken", "reset"))
        elif fate == "late":
            kernel.after(latency_s, pending.finish, Unreachable("broken", "reset"))
            kernel.after(latency_s + rng.uniform(0.1, 2.0), self._arrive, pending)
        elif fate != "hangs":
            kernel.after(latency_s, self._arrive, pending)
            if fate == "twice":
                kernel.after(latency_s + rng.uniform(0.0, 1.0), self._arrive, pending)
        return pending

    def _check_pace(self, pending: PendingRequest) -> None:
        """Check that requests are a second apart while the bot knows that the homeserver is down."""
        if self._informed_process is pending.process and self._faults.outage is not None:
            gap_s = self._kernel.now - self._last_request_at
            if gap_s < _MIN_GAP_S:
                raise Violation(
                    f"{pending.request.path} comes {gap_s:.3f} s after another request,"
                    " and the homeserver is known to be down (contract L9)"
                )
        self._last_request_at = self._kernel.now

    def _arrive(self, pending: PendingRequest) -> None:
        outage = self._faults.outage
        if outage is not None:
            self._kernel.log(f"   down {pending.request.method} {'/'.join(pending.path)}")
            if outage == "refused":
                self._fail(pending, Unreachable("connect", "refused"))
            elif outage == "gateway":
                self._fail(pending, _HTML)
            return
        if pending.path == ["sync"]:
            self._poll(pending)
        else:
            self._carry_out(pending)

    def _fail(self, pending: PendingRequest, outcome: HttpResponse | Unreachable) -> None:
        # A request from before the outage does not show it, and the bot ignores failures of best-effort requests.
        is_news = pending.sent_at >= self._down_since and pending.path[-1] != "read_markers"
        if pending.is_open and is_news and "typing" not in pending.path:
            self._informed_process = pending.process
        pending.finish(outcome)

    # -- at the homeserver -------------------------------------------------------------------------

    def _carry_out(self, pending: PendingRequest) -> None:
        kernel, request, process, fate = (
            self._kernel,
            pending.request,
            pending.process,
            pending.fate,
        )
        what = f"{request.method} {'/'.join(pending.path)}"
        if fate in ("error", "gateway", "limited"):
            kernel.log(f"   {fate} {what}")
            self._return(pending, self._refusal(fate))
            return
        if self._faults.ends_session():
            kernel.log("LOGGED OUT SOFTLY")
            self._server.log_out_softly()
            self.end_sessions()
        if not process.killed:
            process.pass_boundary(f"before {what}")
        if process.killed and (
            kernel.now > process.killed_at + _LATE_S
            or pending.path == ["login"]
            or kernel.likely(0.5)
        ):
            return  # the connection was lost with its process
        reply = self._api.handle(request, partial_room=fate == "partial")
        kernel.log(f"   {fate} {what} {request.body or b''!r} -> {reply.status} {reply.body!r}")
        if not process.killed:
            process.pass_boundary(f"after {what}")
        self._return(pending, reply)

    def _refusal(self, fate: Fate) -> HttpResponse:
        if fate == "gateway":
            return _HTML
        if fate == "error":
            return answer(500, {"errcode": "M_UNKNOWN", "error": "Internal server error"})
        wait_ms = self._kernel.rng.choice((50, 500, 3000))
        if self._kernel.likely(0.5):
            seconds = str(-(-wait_ms // 1000))
            return answer(429, {"errcode": "M_LIMIT_EXCEEDED", "error": "!"}, retry_after=seconds)
        body = {"errcode": "M_LIMIT_EXCEEDED", "error": "!", "retry_after_ms": wait_ms}
        return answer(429, body)

    # -- answers ------------------------------------------------------------------------------

    def _return(self, pending: PendingRequest, reply: HttpResponse) -> None:
        outcome: HttpResponse | Unreachable = reply
        match pending.fate:
            case "unanswered" | "partial":
                outcome = Unreachable("broken", "reset")
            case "unanswered_hangs":
                return
            case "truncated":
                body = reply.body[: self._kernel.rng.randrange(len(reply.body))]
                outcome = HttpResponse(reply.status, reply.headers, body)
            case "error_done":
                outcome = self._refusal("error")
            case "gateway_done":
                outcome = _HTML
            case _:
                pass
        self._kernel.after(self._kernel.rng.choice((0.001, 0.005, 0.03)), pending.finish, outcome)

    # -- long polls --------------------------------------------------------------------------------

    def _poll(self, pending: PendingRequest) -> None:
        query = pending.request.query
        wait_s = int(query["timeout"]) / 1000
        known = pending.request.token in self._server.sessions
        if not known or not wait_s or self._has_news(pending):
            self._carry_out(pending)
            return
        self._polls.append(pending)
        self._kernel.after(wait_s, self._end_poll, pending)

    def _has_news(self, pending: PendingRequest) -> bool:
        since = position_of(pending.request.query["since"])
        return has_news(self._server, self._server.bot, since)

    def _answer_polls(self) -> None:
        for pending in list(self._polls):
            if not pending.is_open or self._has_news(pending):
                self._end_poll(pending)

    def _end_poll(self, pending: PendingRequest) -> None:
        if pending in self._polls:
            self._polls.remove(pending)
            if pending.is_open:
                self._carry_out(pending)

    # -- outages -----------------------------------------------------------------------------------

    def go_down(self) -> None:
        """Abort every long poll."""
        self._informed_process = None
        self._down_since = self._kernel.now
        polls, self._polls = self._polls, []
        for pending in polls:
            if self._faults.outage != "hangs":
                self._fail(pending, Unreachable("broken", "reset"))

    def end_sessions(self) -> None:
        """Answer the long polls of tokens that ended."""
        for pending in list(self._polls):
            self._end_poll(pending)
