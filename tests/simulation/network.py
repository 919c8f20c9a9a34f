"""What lies between the bot and the homeserver: requests and answers that are late, lost, doubled or broken.

It also keeps watch over what passes: nothing may be sent before its commit or before reconciliation
(contracts D1, L4), and not more than one request a second while the homeserver is gone (contract L9).
"""

import asyncio
import json
from collections.abc import Callable

from matrix.errors import Unreachable
from matrix.exchange import Exchange, HttpAnswer, HttpRequest
from tests.simulation.api import Api, answer
from tests.simulation.faults import Fate, Faults
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Kernel, Violation
from tests.simulation.process import Process
from tests.support.memory_homeserver.request import path_parts
from tests.support.memory_homeserver.sync import has_news, position_of

Inspect = Callable[[list[str], str, dict[str, object]], None]
_HTML = HttpAnswer(502, {"content-type": "text/html"}, b"<html><body>Bad Gateway</body></html>")
_PACE_S = 0.999
_STILL_S = 2.0
"""So long after its death what a process asked for may still be carried out."""


class Flight:
    """One request on its way. `settle` ends it once; what comes later is not heard."""

    def __init__(self, process: Process, request: HttpRequest) -> None:
        self.process = process
        self.request = request
        self.path = path_parts(request.path)
        self.departed = process.kernel.now
        self.fate: Fate = "well"
        self.answered: asyncio.Future[HttpAnswer] = process.loop.create_future()

    @property
    def waits(self) -> bool:
        """Whether anybody still listens."""
        return not self.process.dead and not self.answered.done()

    def settle(self, outcome: HttpAnswer | Unreachable) -> None:
        """Give the answer, or the reason why there is none."""
        if not self.waits:
            return
        if isinstance(outcome, HttpAnswer):
            self.answered.set_result(outcome)
        else:
            self.answered.set_exception(outcome)


class Network:
    """Makes the `Exchange` of each process."""

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
        self._polls: list[Flight] = []
        self._in_the_air: list[Flight] = []
        self._known_down_by: Process | None = None
        self._last_knock = 0.0
        self._down_since = 0.0
        self.requests = 0
        server.listeners.append(lambda event: kernel.after(0.001, self._answer_polls))

    def exchange_of(self, process: Process) -> Exchange:
        """Return the exchange of one process."""

        async def exchange(request: HttpRequest) -> HttpAnswer:
            if process.dead:
                await process.limbo()
            return await self._depart(Flight(process, request)).answered

        return exchange

    # -- the way there -----------------------------------------------------------------------------

    def _depart(self, flight: Flight) -> Flight:
        kernel, chance = self._kernel, self._kernel.chance
        self.requests += 1
        request = flight.request
        flight.fate = fate = self._faults.fate_of(request.path, request.method)
        self._watch_pace(flight)
        body = json.loads(request.body) if request.body else {}
        self._inspect(flight.path, request.method, body)
        kernel.after(request.timeout_s, flight.settle, Unreachable("timeout", "no answer in time"))
        latency_s = chance.choice((0.001, 0.002, 0.01, 0.05))
        if fate == "slow":
            latency_s = chance.uniform(0.5, 20.0)
        if fate == "refused":
            kernel.after(latency_s, flight.settle, Unreachable("connect", "refused"))
        elif fate == "lost":
            kernel.after(latency_s, flight.settle, Unreachable("broken", "reset"))
        elif fate == "late":
            kernel.after(latency_s, flight.settle, Unreachable("broken", "reset"))
            kernel.after(latency_s + chance.uniform(0.1, 2.0), self._arrive, flight)
        elif fate != "hangs":
            kernel.after(latency_s, self._arrive, flight)
            if fate == "twice":
                kernel.after(latency_s + chance.uniform(0.0, 1.0), self._arrive, flight)
        return flight

    def _watch_pace(self, flight: Flight) -> None:
        """While the homeserver is known to be gone, requests keep a second's distance."""
        if self._known_down_by is flight.process and self._faults.outage is not None:
            distance_s = self._kernel.now - self._last_knock
            if distance_s < _PACE_S:
                raise Violation(
                    f"{flight.request.path} comes {distance_s:.3f} s after another request,"
                    " and the homeserver is known to be gone (contract L9)"
                )
        self._last_knock = self._kernel.now

    def _arrive(self, flight: Flight) -> None:
        outage = self._faults.outage
        if outage is not None:
            self._kernel.note(f"   down {flight.request.method} {'/'.join(flight.path)}")
            if outage == "refused":
                self._fail(flight, Unreachable("connect", "refused"))
            elif outage == "gateway":
                self._fail(flight, _HTML)
            return
        if flight.path == ["sync"]:
            self._poll(flight)
        else:
            self._carry_out(flight)

    def _fail(self, flight: Flight, outcome: HttpAnswer | Unreachable) -> None:
        # What was on its way before says nothing about now, and nobody listens for what is best effort.
        is_news = flight.departed >= self._down_since and flight.path[-1] != "read_markers"
        if flight.waits and is_news and "typing" not in flight.path:
            self._known_down_by = flight.process
        flight.settle(outcome)

    # -- at the homeserver -------------------------------------------------------------------------

    def _carry_out(self, flight: Flight) -> None:
        kernel, request, process, fate = self._kernel, flight.request, flight.process, flight.fate
        what = f"{request.method} {'/'.join(flight.path)}"
        if fate in ("error", "gateway", "limited"):
            kernel.note(f"   {fate} {what}")
            self._return(flight, self._refusal(fate))
            return
        if self._faults.ends_session():
            kernel.note("LOGGED OUT SOFTLY")
            self._server.log_out_softly()
            self.end_sessions()
        if not process.dead:
            process.may_die(f"before {what}")
        if process.dead and (
            kernel.now > process.died_at + _STILL_S
            or flight.path == ["login"]
            or kernel.likely(0.5)
        ):
            return  # the connection broke with the process that it was of
        reply = self._api.handle(request, partial_room=fate == "partial")
        kernel.note(f"   {fate} {what} {request.body or b''!r} -> {reply.status} {reply.body!r}")
        if not process.dead:
            process.may_die(f"after {what}")
        self._return(flight, reply)

    def _refusal(self, fate: Fate) -> HttpAnswer:
        if fate == "gateway":
            return _HTML
        if fate == "error":
            return answer(500, {"errcode": "M_UNKNOWN", "error": "Internal server error"})
        wait_ms = self._kernel.chance.choice((50, 500, 3000))
        if self._kernel.likely(0.5):
            seconds = str(-(-wait_ms // 1000))
            return answer(429, {"errcode": "M_LIMIT_EXCEEDED", "error": "!"}, retry_after=seconds)
        body = {"errcode": "M_LIMIT_EXCEEDED", "error": "!", "retry_after_ms": wait_ms}
        return answer(429, body)

    # -- the way back ------------------------------------------------------------------------------

    def _return(self, flight: Flight, reply: HttpAnswer) -> None:
        outcome: HttpAnswer | Unreachable = reply
        match flight.fate:
            case "unanswered" | "partial":
                outcome = Unreachable("broken", "reset")
            case "unanswered_hangs":
                return
            case "truncated":
                body = reply.body[: self._kernel.chance.randrange(len(reply.body))]
                outcome = HttpAnswer(reply.status, reply.headers, body)
            case "error_done":
                outcome = self._refusal("error")
            case "gateway_done":
                outcome = _HTML
            case _:
                pass
        self._kernel.after(self._kernel.chance.choice((0.001, 0.005, 0.03)), flight.settle, outcome)

    # -- long polls --------------------------------------------------------------------------------

    def _poll(self, flight: Flight) -> None:
        query = flight.request.query
        wait_s = int(query["timeout"]) / 1000
        known = flight.request.token in self._server.sessions
        if not known or not wait_s or self._has_news(flight):
            self._carry_out(flight)
            return
        self._polls.append(flight)
        self._kernel.after(wait_s, self._end_poll, flight)

    def _has_news(self, flight: Flight) -> bool:
        since = position_of(flight.request.query["since"])
        return has_news(self._server, self._server.bot, since)

    def _answer_polls(self) -> None:
        for flight in list(self._polls):
            if not flight.waits or self._has_news(flight):
                self._end_poll(flight)

    def _end_poll(self, flight: Flight) -> None:
        if flight in self._polls:
            self._polls.remove(flight)
            if flight.waits:
                self._carry_out(flight)

    # -- outages -----------------------------------------------------------------------------------

    def go_down(self) -> None:
        """Break every long poll off."""
        self._known_down_by = None
        self._down_since = self._kernel.now
        polls, self._polls = self._polls, []
        for flight in polls:
            if self._faults.outage != "hangs":
                self._fail(flight, Unreachable("broken", "reset"))

    def end_sessions(self) -> None:
        """Answer the long polls of tokens that ended."""
        for flight in list(self._polls):
            self._end_poll(flight)
