"""The requests of the whole daemon while the homeserver is unreachable (contract L9)."""

import random
from collections import deque
from itertools import pairwise

import anyio
import pytest

from matrix.errors import RequestRefused, Unreachable
from matrix.http.backend import HttpResponse
from matrix.http.circuit_breaker import LONGEST_WAIT_S, SHORTEST_WAIT_S, CircuitBreaker
from matrix.http.request import Request
from matrix.http.transport import Transport
from tests.matrix.fake_backend import FakeBackend, error_response, json_response, no_connection
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0


class OutageChanges(deque):
    """Collects the calls of `on_change`."""

    def __call__(self, up: bool, reason: str, outage_s: float) -> None:
        self.append((up, reason, outage_s))


def transport_on(backend: FakeBackend, changes: OutageChanges | None = None) -> Transport:
    transport = Transport(
        backend,
        backend.clock,
        changes if changes is not None else OutageChanges(),
        random.Random(7).random,
    )
    transport.use_token("token")
    return transport


async def request_all(transport: Transport, count: int, done: list[int]) -> None:
    async def make(number: int) -> None:
        await transport.request(Request("PUT", f"/send/{number}", body={}, bucket="send"))
        done.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(make, number)


def html(request) -> HttpResponse:
    return HttpResponse(502, {"content-type": "text/html"}, b"<html>Bad Gateway</html>")


def cut_off(request) -> HttpResponse:
    return HttpResponse(200, {}, b'{"next_batch": "s1", "rooms": {"jo')


def failing(request) -> HttpResponse:
    return error_response(500)


def unavailable(request) -> HttpResponse:
    return error_response(503, "M_UNKNOWN")


@pytest.mark.parametrize(
    "outage", [no_connection, html, cut_off, failing, unavailable], ids=lambda f: f.__name__
)
async def test_an_hour_of_outage_costs_at_most_one_request_a_second(outage):
    clock = VirtualClock()
    backend = FakeBackend(clock, outage)
    changes = OutageChanges()
    done: list[int] = []
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(request_all, transport_on(backend, changes), 20, done)
        await clock.sleep(HOUR_S)
        assert done == []
        # All twenty were under way when the first of them failed.
        after = backend.times()[20:]
        gaps = [later - earlier for earlier, later in pairwise(after)]
        assert min(gaps) >= SHORTEST_WAIT_S
        assert max(gaps) <= LONGEST_WAIT_S + backend.latency_s + 0.001
        assert [up for up, _, _ in changes] == [False]

        backend.handler = lambda request: json_response({})
        returned_at = clock.now()
        await clock.sleep(LONGEST_WAIT_S + 1)
        assert sorted(done) == list(range(20))
        first = next(
            at for at, request in backend.requests if "/send/" in request.path and at > returned_at
        )
        assert first - returned_at <= LONGEST_WAIT_S + 0.1
        assert [up for up, _, _ in changes] == [False, True]
        assert changes[1][2] == pytest.approx(HOUR_S, abs=LONGEST_WAIT_S + 1)


async def test_a_request_during_an_outage_waits_without_an_http_request():
    clock = VirtualClock()
    backend = FakeBackend(clock, no_connection)
    transport = transport_on(backend)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(request_all, transport, 1, [])
        await clock.sleep(60)
        tasks.start_soon(request_all, transport, 50, [])
        await clock.sleep(600)
        assert len(backend.times("/send/")) == 1
        tasks.cancel_scope.cancel()


async def test_when_a_waiter_is_cancelled_the_next_one_probes():
    clock = VirtualClock()
    backend = FakeBackend(clock, no_connection)
    transport = transport_on(backend)
    done: list[int] = []
    async with clock.running(), anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as cancelled:
            cancelled.start_soon(request_all, transport, 1, [])
            await clock.sleep(5)
            tasks.start_soon(request_all, transport, 1, done)
            await clock.sleep(5)
            cancelled.cancel_scope.cancel()
        backend.handler = lambda request: json_response({})
        await clock.sleep(LONGEST_WAIT_S + 1)
        assert done == [0]
        times = backend.times()
        assert min(b - a for a, b in pairwise(times) if b < times[-1]) >= 1.0


async def test_a_single_lost_connection_is_not_announced_as_an_outage():
    clock = VirtualClock()
    backend = FakeBackend(clock, no_connection)
    changes = OutageChanges()
    done: list[int] = []
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(request_all, transport_on(backend, changes), 1, done)
        await clock.sleep(0.5)
        backend.handler = lambda request: json_response({})
        await clock.sleep(5)
    assert done == [0]
    assert not changes


@pytest.mark.parametrize("answered_before", [False, True])
async def test_a_first_timeout_at_start_is_announced_without_a_probe(answered_before):
    clock = VirtualClock()
    backend = FakeBackend(clock, lambda request: json_response({}))
    changes = OutageChanges()
    transport = transport_on(backend, changes)
    async with clock.running(), anyio.create_task_group() as tasks:
        if answered_before:
            await transport.request(Request("GET", "/x"))
        backend.handler, backend.latency_s = no_connection, 10.0
        tasks.start_soon(request_all, transport, 1, [])
        await clock.sleep(10.5)
        assert [change[0] for change in changes] == ([] if answered_before else [False])
        tasks.cancel_scope.cancel()


async def test_a_homeserver_that_answers_only_probes_is_one_outage_with_back_off():
    clock = VirtualClock()
    backend = FakeBackend(
        clock,
        lambda request: json_response({}) if "whoami" in request.path else no_connection(request),
    )
    changes = OutageChanges()
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(request_all, transport_on(backend, changes), 1, [])
        await clock.sleep(HOUR_S)
        assert len(backend.times("/send/")) < HOUR_S / 10
        tasks.cancel_scope.cancel()


async def test_a_second_outage_for_the_same_request_makes_all_others_wait():
    clock = VirtualClock()
    backend = FakeBackend(clock, cut_off)
    transport = transport_on(backend)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(request_all, transport, 1, [])
        await clock.sleep(0.5)
        # The homeserver answers the probe, and is gone again when the request is repeated.
        backend.handler = lambda request: (
            json_response({}) if "whoami" in request.path else html(request)
        )
        while len(backend.times("/send/")) < 2:
            await clock.sleep(0.01)
        backend.handler = html
        await clock.sleep(0.1)
        tasks.start_soon(request_all, transport, 20, [])
        await clock.sleep(600)
        after = backend.times()[2:]
        assert min(later - earlier for earlier, later in pairwise(after)) >= SHORTEST_WAIT_S
        tasks.cancel_scope.cancel()


async def test_one_request_without_answer_delays_the_others_only_shortly():
    clock = VirtualClock()
    backend = FakeBackend(
        clock, lambda request: html(request) if "/send/0" in request.path else json_response({})
    )
    transport = transport_on(backend)
    async with clock.running(), anyio.create_task_group() as tasks:

        async def others() -> None:
            while True:
                await transport.request(Request("PUT", "/other", body={}, bucket="send"))
                await clock.sleep(0.5)

        tasks.start_soon(others)
        started = clock.now()
        with pytest.raises(RequestRefused):
            await transport.request(Request("PUT", "/send/0", body={}, bucket="send"))
        given_up_s = clock.now() - started
        tasks.cancel_scope.cancel()
    assert given_up_s < 40
    assert 4 <= len(backend.times("/send/0")) <= 10
    others_at = backend.times("/other")
    assert max(later - earlier for earlier, later in pairwise(others_at)) < 3
    assert len(others_at) > given_up_s


async def test_a_slow_request_does_not_open_the_breaker_while_others_are_answered():
    clock = VirtualClock()
    too_slow = iter([True])

    def slow_at_first(request) -> HttpResponse:
        if "/slow" in request.path and next(too_slow, False):
            raise Unreachable("timeout", "no answer in time")
        return json_response({})

    backend = FakeBackend(clock, slow_at_first, latency_s=1.0)
    transport = transport_on(backend)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(transport.request, Request("PUT", "/other", body={}))
        await clock.sleep(0.5)
        await transport.request(Request("PUT", "/slow", body={}))
    # No probe was made.
    assert (len(backend.times("/slow")), len(backend.requests)) == (2, 3)


async def test_best_effort_requests_are_left_out_during_an_outage():
    clock = VirtualClock()
    backend = FakeBackend(clock, no_connection)
    transport = transport_on(backend)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(request_all, transport, 1, [])
        await clock.sleep(5)
        await transport.best_effort(Request("PUT", "/typing", body={}, bucket="send"))
        assert backend.times("/typing") == []
        tasks.cancel_scope.cancel()


def test_every_back_off_is_between_the_shortest_and_the_longest():
    jitter = random.Random(3)
    breaker = CircuitBreaker(VirtualClock(), jitter.random, OutageChanges())
    waits = [breaker.backoff_s(failures) for failures in range(1, 40) for _ in range(50)]
    assert min(waits) >= SHORTEST_WAIT_S
    assert max(waits) <= LONGEST_WAIT_S
    assert len(set(waits)) > 1000


def test_an_outdated_failure_does_not_open_the_breaker():
    breaker = CircuitBreaker(VirtualClock(), random.Random(1).random, OutageChanges())
    breaker.record_failure("too late", breaker.epoch - 1)
    assert breaker.is_closed


async def test_the_breaker_is_half_open_only_while_a_probe_is_under_way():
    clock = VirtualClock()
    breaker = CircuitBreaker(clock, random.Random(1).random, OutageChanges())
    states = []

    async def probe():
        states.append(breaker.state)
        return "no answer" if len(states) == 1 else None

    breaker.record_failure("connection refused", breaker.epoch)
    states_before = [breaker.state]
    async with clock.running():
        await breaker.wait_closed(probe)
    assert (states_before, states, breaker.state) == (["open"], ["half_open"] * 2, "closed")


async def test_a_cancelled_probe_leaves_the_breaker_open():
    clock = VirtualClock()
    breaker = CircuitBreaker(clock, random.Random(1).random, OutageChanges())
    breaker.record_failure("connection refused", breaker.epoch)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(breaker.wait_closed, anyio.sleep_forever)
        await clock.sleep(LONGEST_WAIT_S)
        tasks.cancel_scope.cancel()
    assert breaker.state == "open"
