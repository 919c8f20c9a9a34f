"""What the homeserver sees of a whole daemon while it is unreachable (contract L9)."""

import random
from collections import deque
from itertools import pairwise

import anyio
import pytest

from matrix.errors import RequestRefused, Unreachable
from matrix.http.backend import HttpAnswer
from matrix.http.circuit_breaker import LONGEST_WAIT_S, SHORTEST_WAIT_S, Gate
from matrix.http.request import Call
from matrix.http.transport import Transport
from tests.matrix.fake_network import FakeNetwork, answer, error, no_connection
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0


class Announcements(deque):
    """Collects what the gate says, as `on_change`."""

    def __call__(self, up: bool, reason: str, outage_s: float) -> None:
        self.append((up, reason, outage_s))


def transport_on(network: FakeNetwork, said: Announcements | None = None) -> Transport:
    transport = Transport(
        network,
        network.clock,
        said if said is not None else Announcements(),
        random.Random(7).random,
    )
    transport.use_token("token")
    return transport


async def ask_all(transport: Transport, count: int, done: list[int]) -> None:
    async def ask(number: int) -> None:
        await transport.request(Call("PUT", f"/send/{number}", body={}, lane="send"))
        done.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(ask, number)


def html(request) -> HttpAnswer:
    return HttpAnswer(502, {"content-type": "text/html"}, b"<html>Bad Gateway</html>")


def cut_off(request) -> HttpAnswer:
    return HttpAnswer(200, {}, b'{"next_batch": "s1", "rooms": {"jo')


def failing(request) -> HttpAnswer:
    return error(500)


def unavailable(request) -> HttpAnswer:
    return error(503, "M_UNKNOWN")


@pytest.mark.parametrize(
    "outage", [no_connection, html, cut_off, failing, unavailable], ids=lambda f: f.__name__
)
async def test_an_hour_of_outage_costs_at_most_one_request_a_second(outage):
    clock = VirtualClock()
    network = FakeNetwork(clock, outage)
    said = Announcements()
    done: list[int] = []
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(ask_all, transport_on(network, said), 20, done)
        await clock.sleep(HOUR_S)
        assert done == []
        # The twenty were under way when the first of them found out.
        after = network.times()[20:]
        gaps = [later - earlier for earlier, later in pairwise(after)]
        assert min(gaps) >= SHORTEST_WAIT_S
        assert max(gaps) <= LONGEST_WAIT_S + network.takes_s + 0.001
        assert [up for up, _, _ in said] == [False]

        network.behaviour = lambda request: answer({})
        returned_at = clock.now()
        await clock.sleep(LONGEST_WAIT_S + 1)
        assert sorted(done) == list(range(20))
        first = next(
            at for at, request in network.asked if "/send/" in request.path and at > returned_at
        )
        assert first - returned_at <= LONGEST_WAIT_S + 0.1
        assert [up for up, _, _ in said] == [False, True]
        assert said[1][2] == pytest.approx(HOUR_S, abs=LONGEST_WAIT_S + 1)


async def test_a_request_that_comes_during_an_outage_waits_and_makes_no_request_of_its_own():
    clock = VirtualClock()
    network = FakeNetwork(clock, no_connection)
    transport = transport_on(network)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(ask_all, transport, 1, [])
        await clock.sleep(60)
        tasks.start_soon(ask_all, transport, 50, [])
        await clock.sleep(600)
        assert len(network.times("/send/")) == 1
        tasks.cancel_scope.cancel()


async def test_a_waiter_that_gives_up_leaves_the_probing_to_the_next():
    clock = VirtualClock()
    network = FakeNetwork(clock, no_connection)
    transport = transport_on(network)
    done: list[int] = []
    async with clock.running(), anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(ask_all, transport, 1, [])
            await clock.sleep(5)
            tasks.start_soon(ask_all, transport, 1, done)
            await clock.sleep(5)
            impatient.cancel_scope.cancel()
        network.behaviour = lambda request: answer({})
        await clock.sleep(LONGEST_WAIT_S + 1)
        assert done == [0]
        times = network.times()
        assert min(b - a for a, b in pairwise(times) if b < times[-1]) >= 1.0


async def test_a_single_lost_connection_is_no_outage_worth_a_word():
    clock = VirtualClock()
    network = FakeNetwork(clock, no_connection)
    said = Announcements()
    done: list[int] = []
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(ask_all, transport_on(network, said), 1, done)
        await clock.sleep(0.5)
        network.behaviour = lambda request: answer({})
        await clock.sleep(5)
    assert done == [0]
    assert not said


async def test_a_homeserver_that_answers_probes_alone_is_one_outage_that_backs_off():
    clock = VirtualClock()
    network = FakeNetwork(
        clock, lambda request: answer({}) if "whoami" in request.path else no_connection(request)
    )
    said = Announcements()
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(ask_all, transport_on(network, said), 1, [])
        await clock.sleep(HOUR_S)
        assert len(network.times("/send/")) < HOUR_S / 10
        tasks.cancel_scope.cancel()


async def test_an_outage_that_strikes_a_request_for_the_second_time_holds_up_all_others():
    clock = VirtualClock()
    network = FakeNetwork(clock, cut_off)
    transport = transport_on(network)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(ask_all, transport, 1, [])
        await clock.sleep(0.5)
        # The homeserver is back for the probe, and gone when the request comes again.
        network.behaviour = lambda request: (
            answer({}) if "whoami" in request.path else html(request)
        )
        while len(network.times("/send/")) < 2:
            await clock.sleep(0.01)
        network.behaviour = html
        await clock.sleep(0.1)
        tasks.start_soon(ask_all, transport, 20, [])
        await clock.sleep(600)
        after = network.times()[2:]
        assert min(later - earlier for earlier, later in pairwise(after)) >= SHORTEST_WAIT_S
        tasks.cancel_scope.cancel()


async def test_a_request_that_alone_gets_no_answer_holds_the_others_up_for_moments_only():
    clock = VirtualClock()
    network = FakeNetwork(
        clock, lambda request: html(request) if "/send/0" in request.path else answer({})
    )
    transport = transport_on(network)
    async with clock.running(), anyio.create_task_group() as tasks:

        async def others() -> None:
            while True:
                await transport.request(Call("PUT", "/other", body={}, lane="send"))
                await clock.sleep(0.5)

        tasks.start_soon(others)
        started = clock.now()
        with pytest.raises(RequestRefused):
            await transport.request(Call("PUT", "/send/0", body={}, lane="send"))
        given_up_s = clock.now() - started
        tasks.cancel_scope.cancel()
    assert given_up_s < 40
    assert 4 <= len(network.times("/send/0")) <= 10
    others_at = network.times("/other")
    assert max(later - earlier for earlier, later in pairwise(others_at)) < 3
    assert len(others_at) > given_up_s


async def test_a_request_that_is_slow_while_others_are_answered_holds_nobody_up():
    clock = VirtualClock()
    too_slow = iter([True])

    def slow_at_first(request) -> HttpAnswer:
        if "/slow" in request.path and next(too_slow, False):
            raise Unreachable("timeout", "no answer in time")
        return answer({})

    network = FakeNetwork(clock, slow_at_first, takes_s=1.0)
    transport = transport_on(network)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(transport.request, Call("PUT", "/other", body={}))
        await clock.sleep(0.5)
        await transport.request(Call("PUT", "/slow", body={}))
    # And nothing else: nobody asked whether the homeserver is there.
    assert (len(network.times("/slow")), len(network.asked)) == (2, 3)


async def test_what_may_be_left_out_is_left_out_during_an_outage():
    clock = VirtualClock()
    network = FakeNetwork(clock, no_connection)
    transport = transport_on(network)
    async with clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(ask_all, transport, 1, [])
        await clock.sleep(5)
        await transport.best_effort(Call("PUT", "/typing", body={}, lane="send"))
        assert network.times("/typing") == []
        tasks.cancel_scope.cancel()


def test_every_wait_lies_between_the_shortest_and_the_longest():
    chances = random.Random(3)
    gate = Gate(VirtualClock(), chances.random, Announcements())
    waits = [gate.back_off_s(failures) for failures in range(1, 40) for _ in range(50)]
    assert min(waits) >= SHORTEST_WAIT_S
    assert max(waits) <= LONGEST_WAIT_S
    assert len(set(waits)) > 1000


def test_old_news_does_not_close_the_gate():
    gate = Gate(VirtualClock(), random.Random(1).random, Announcements())
    gate.failed("too late", gate.epoch - 1)
    assert gate.is_open
