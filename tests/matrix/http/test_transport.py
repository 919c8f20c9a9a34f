"""What a single request meets, and what becomes of it."""

import email.utils
import gc
import json
import random
from itertools import pairwise

import anyio
import pytest

from machines.errors import CredentialsRefused, LoggedOut
from matrix.errors import AnswerTooLong, Dropped, RequestRefused, Unreachable
from matrix.http.backend import HttpAnswer
from matrix.http.parsing import parse_json
from matrix.http.request import Call, client_path
from matrix.http.responses import judge
from matrix.http.transport import Transport
from tests.matrix.fake_network import FakeNetwork, answer, error, no_connection
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

SEND = Call("PUT", "/send/1", body={"body": "x"}, lane="send")
SYNC = Call("GET", "/sync", lane="sync", patient=True, long_poll=True)


class World:
    """A transport on a network whose answers to one path are a queue."""

    def __init__(self, dice: int = 5) -> None:
        self.clock = VirtualClock()
        self.answers: dict = {}
        self.said: list[bool] = []
        self.network = FakeNetwork(self.clock, self.respond)
        self.transport = Transport(
            self.network,
            self.clock,
            lambda up, reason, outage_s: self.said.append(up),
            random.Random(dice).random,
        )
        self.transport.use_token("first")

    def respond(self, request):
        queue = self.answers.get(request.path, [])
        if not queue:
            return answer({"done": True})
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def gaps(self, path):
        times = self.network.times(path)
        return [b - a for a, b in pairwise(times)]


@pytest.fixture
def world():
    return World()


async def test_the_token_travels_in_its_header_and_never_in_the_url(world):
    async with world.clock.running():
        await world.transport.request(Call("GET", "/x", query={"a": "b"}))
    request = world.network.asked[0][1]
    assert request.token == "first"
    assert "first" not in request.path + json.dumps(dict(request.query)) + repr(request)


@pytest.mark.parametrize(
    ("limited", "at_least_s"),
    [
        (error(429, "M_LIMIT_EXCEEDED", retry_after_ms=4200), 4.2),
        (answer({"errcode": "M_LIMIT_EXCEEDED"}, 429, retry_after="7"), 7.0),
        (answer({"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 900}, 429, retry_after="3"), 3.0),
        (error(429, "M_LIMIT_EXCEEDED"), 1.0),
        (error(429, "M_LIMIT_EXCEEDED", retry_after_ms="soon"), 1.0),
        (error(429, "M_LIMIT_EXCEEDED", retry_after_ms=True), 1.0),
        (error(429, "M_LIMIT_EXCEEDED", retry_after_ms=float("inf")), 1.0),
        (HttpAnswer(429, {}, b"<html>slow down</html>"), 1.0),
        (
            answer(
                {},
                429,
                retry_after=email.utils.formatdate(500_009, usegmt=True),
                date=email.utils.formatdate(500_000, usegmt=True),
            ),
            9.0,
        ),
        (answer({}, 429, retry_after=email.utils.formatdate(1_000_005, usegmt=True)), 4.9),
    ],
)
async def test_a_limit_is_waited_out_as_long_as_the_server_says(world, limited, at_least_s):
    world.answers["/send/1"] = [limited, answer({"event_id": "$1"})]
    async with world.clock.running():
        assert await world.transport.request(SEND) == {"event_id": "$1"}
    assert at_least_s <= world.gaps("/send/1")[0] < at_least_s + 1.2


async def test_after_a_limit_requests_of_that_kind_come_back_one_by_one(world):
    limited = error(429, "M_LIMIT_EXCEEDED", retry_after_ms=5000)
    for number in range(20):
        world.answers[f"/send/{number}"] = [limited, answer({})]
    world.network.takes_s = 0.05
    async with world.clock.running(), anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(
                world.transport.request, Call("PUT", f"/send/{number}", body={}, lane="send")
            )
        await world.clock.sleep(1)
        asked = len(world.network.asked)
        assert await world.transport.request(Call("GET", "/read")) == {"done": True}
        assert len(world.network.asked) == asked + 1
    later = world.network.times("/send/")[20:]
    assert min(b - a for a, b in pairwise(later)) >= world.network.takes_s
    assert later[0] - world.network.times("/send/")[0] >= 5.0


async def test_after_a_limit_nobody_waits_for_a_request_that_rests(world):
    limited = error(429, "M_LIMIT_EXCEEDED", retry_after_ms=1000)
    bad_gateway = HttpAnswer(502, {}, b"<html>bad gateway</html>")
    world.answers["/send/limited"] = [limited, answer({})]
    world.answers["/send/1"] = [bad_gateway, bad_gateway, answer({})]
    async with world.clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(
            world.transport.request, Call("PUT", "/send/limited", body={}, lane="send")
        )
        await world.clock.sleep(0.1)
        tasks.start_soon(world.transport.request, SEND)
        for number in range(10):
            other = Call("PUT", f"/send/other/{number}", body={}, lane="send")
            await world.transport.request(other)
            await world.clock.sleep(0.5)
    # It rests after its second failure, and meanwhile somebody else finds the homeserver well.
    assert world.network.times("/send/other/1")[0] < world.network.times("/send/1")[2]


async def test_what_waited_in_its_lane_through_an_outage_closes_the_gate_at_the_next_one(world):
    world.answers["/send/1"] = [
        error(429, "M_LIMIT_EXCEEDED", retry_after_ms=9000),
        HttpAnswer(502, {}, b"<html>bad gateway</html>"),
        answer({}),
    ]
    world.answers["/read"] = [HttpAnswer(502, {}, b"<html>bad gateway</html>"), answer({})]
    async with world.clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(world.transport.request, SEND)
        await world.clock.sleep(1)
        tasks.start_soon(world.transport.request, Call("PUT", "/send/other", body={}, lane="send"))
        await world.clock.sleep(1)
        await world.transport.request(Call("GET", "/read"))
    failed_at = world.network.times("/send/1")[1]
    after = [at for at in world.network.times() if at > failed_at]
    assert after[0] - failed_at >= 1.0


async def test_under_a_limit_what_may_be_dropped_is_dropped_and_nothing_else(world):
    limited = error(429, "M_LIMIT_EXCEEDED", retry_after_ms=5000)
    world.answers["/send/1"] = [limited, answer({"event_id": "$1"})]
    world.answers["/send/edit"] = [limited]
    edit = Call("PUT", "/send/edit", body={}, lane="send", droppable=True)
    async with world.clock.running(), anyio.create_task_group() as tasks:
        with pytest.raises(Dropped):
            await world.transport.request(edit)
        assert world.transport.is_pressed
        with pytest.raises(Dropped):
            await world.transport.request(edit)
        await world.transport.best_effort(Call("PUT", "/typing", body={}, lane="send"))
        tasks.start_soon(world.transport.request, SEND)
    assert len(world.network.times("/send/edit")) == 1
    assert world.network.times("/typing") == []


async def test_a_body_that_alone_breaks_the_server_is_given_up_within_half_a_minute(world):
    world.answers["/send/1"] = [error(500)]
    async with world.clock.running(), anyio.create_task_group() as tasks:

        async def others() -> None:
            while True:
                await world.transport.request(Call("PUT", "/send/other", body={}, lane="send"))
                await world.clock.sleep(0.5)

        tasks.start_soon(others)
        started = world.clock.now()
        with pytest.raises(RequestRefused) as refused:
            await world.transport.request(SEND)
        assert world.clock.now() - started < 40
        tasks.cancel_scope.cancel()
    assert refused.value.status == 500
    assert 4 <= len(world.network.times("/send/1")) <= 10
    # The others went on all the time.
    assert max(world.gaps("/send/other")) < 2
    assert world.said == []


async def test_such_a_body_is_given_up_in_a_quiet_daemon_too_in_less_than_a_minute():
    for dice in range(100):
        world = World(dice)
        world.answers["/send/1"] = [error(500)]
        async with world.clock.running():
            started = world.clock.now()
            with pytest.raises(RequestRefused):
                await world.transport.request(SEND)
            assert world.clock.now() - started < 60


async def test_a_server_that_fails_at_everything_for_long_makes_nothing_poison(world):
    world.network.behaviour = lambda request: error(500)
    async with world.clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(world.transport.request, SEND)
        await world.clock.sleep(600)
        world.network.behaviour = world.respond
    assert world.said == [False, True]


async def test_a_part_of_the_server_that_is_away_loses_no_message(world):
    def half(request):
        return error(502) if "/send/" in request.path else answer({})

    world.network.behaviour = half
    async with world.clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(world.transport.request, SEND)
        await world.clock.sleep(600)
        assert len(world.network.times("/send/")) < 200
        world.network.behaviour = world.respond


@pytest.mark.parametrize(
    ("status", "errcode"), [(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND"), (400, "M_BAD_JSON")]
)
async def test_a_refusal_is_definite(world, status, errcode):
    world.answers["/send/1"] = [error(status, errcode)]
    async with world.clock.running():
        with pytest.raises(RequestRefused) as refused:
            await world.transport.request(SEND)
    assert (refused.value.status, refused.value.errcode) == (status, errcode)
    assert len(world.network.asked) == 1


async def test_too_large_is_a_refusal_even_from_a_proxy(world):
    world.answers["/send/1"] = [HttpAnswer(413, {}, b"<html>too large</html>")]
    async with world.clock.running():
        with pytest.raises(RequestRefused) as refused:
            await world.transport.request(SEND)
    assert refused.value.errcode == "M_TOO_LARGE"


async def test_a_soft_logout_is_told_to_sync_at_once_and_waited_out_by_all_others(world):
    def ended(request):
        if request.token == "first":
            return error(401, "M_UNKNOWN_TOKEN", soft_logout=True)
        return answer({"by": request.token})

    def hanging(request):
        return answer({"late": True})

    results = []
    async with world.clock.running(), anyio.create_task_group() as tasks:

        async def sync() -> None:
            with pytest.raises(LoggedOut):
                await world.transport.request(SYNC)
            results.append(("sync ended", world.clock.now()))

        async def send() -> None:
            results.append(await world.transport.request(SEND))

        world.network.takes_s = 30.0
        world.network.behaviour = hanging
        tasks.start_soon(sync)
        await world.clock.sleep(1)
        world.network.takes_s = 0.01
        world.network.behaviour = ended
        told_at = world.clock.now()
        tasks.start_soon(send)
        await world.clock.sleep(5)
        assert [result[0] for result in results] == ["sync ended"]
        assert results[0][1] - told_at < 1
        with pytest.raises(LoggedOut):
            await world.transport.request(SYNC)
        asked = len(world.network.asked)
        await world.clock.sleep(600)
        assert len(world.network.asked) == asked
        world.transport.use_token("second")
        await world.clock.sleep(1)
    assert results[1] == {"by": "second"}


async def test_a_hard_logout_ends_every_request(world):
    world.answers["/send/1"] = [error(401, "M_UNKNOWN_TOKEN")]
    async with world.clock.running():
        with pytest.raises(CredentialsRefused, match="reset"):
            await world.transport.request(SEND)
        asked = len(world.network.asked)
        with pytest.raises(CredentialsRefused):
            await world.transport.request(SYNC)
    assert len(world.network.asked) == asked


async def test_an_old_tokens_refusal_after_a_new_login_is_no_logout(world):
    def ended(request):
        if request.token == "first":
            world.transport.use_token("second")
            return error(401, "M_UNKNOWN_TOKEN")
        return answer({"by": request.token})

    world.network.behaviour = ended
    async with world.clock.running():
        assert await world.transport.request(SEND) == {"by": "second"}


async def test_what_must_not_be_repeated_is_not(world):
    world.network.behaviour = no_connection
    async with world.clock.running():
        with pytest.raises(Unreachable):
            await world.transport.request(Call("POST", "/createRoom", body={}, repeatable=False))
    assert len(world.network.times("/createRoom")) == 1


async def test_a_sync_after_a_failure_asks_for_an_answer_at_once(world):
    answers = [HttpAnswer(502, {}, b"gone"), answer({"next_batch": "s"})]
    world.answers["/sync"] = answers
    call = Call("GET", "/sync", {"timeout": "30000"}, {"timeout": "0"}, patient=True)
    async with world.clock.running():
        await world.transport.request(call)
    asked = [request.query for _, request in world.network.asked if request.path == "/sync"]
    assert asked == [{"timeout": "30000"}, {"timeout": "0"}]


async def test_bodies_are_cleaned_before_they_are_sent(world):
    async with world.clock.running():
        await world.transport.request(Call("PUT", "/x", body={"body": "a\ud800b"}))
    body = world.network.asked[0][1].body
    assert body is not None
    assert "\ud800" not in json.loads(body)["body"]


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (b'{"a": NaN}', None),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": None}),
        (b'{"ok": 1, "deep": ' + b"[" * 50_000 + b"]" * 50_000 + b', "s": "]]}\\""}', None),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
    ],
)
def test_json_that_a_user_can_cause_is_read(body, parsed):
    value = parse_json(body)
    assert parsed is None or value == parsed
    if b"deep" in body:
        assert (value["ok"], value["s"]) == (1, ']]}"')


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":', b"<html></html>", b"[" * 100_000])
def test_json_that_is_cut_off_is_no_answer(body):
    with pytest.raises(Unreachable):
        parse_json(body)


def test_ids_in_a_path_are_escaped():
    path = client_path("rooms", "!a/b:c?d#e", "state", "m.x", "")
    assert path == "/_matrix/client/v3/rooms/%21a%2Fb%3Ac%3Fd%23e/state/m.x/"
    assert client_path("rooms", "!ä/b") == "/_matrix/client/v3/rooms/%21%C3%A4%2Fb"


async def test_an_answer_that_is_too_long_is_a_refusal_and_no_outage(world):
    def endless(request):
        raise AnswerTooLong("the answer is longer than 64 bytes")

    world.network.behaviour = endless
    async with world.clock.running():
        with pytest.raises(RequestRefused, match="longer than 64 bytes") as refused:
            await world.transport.request(Call("GET", "/state"))
    assert (refused.value.status, refused.value.errcode) == (413, "M_TOO_LARGE")
    assert len(world.network.times("/state")) == 1
    assert world.said == []


@pytest.mark.parametrize("ending", [b'"]', b""], ids=["whole", "cut off"])
async def test_garbage_is_left_alone_while_a_large_answer_is_parsed_and_no_longer(
    world, monkeypatch, ending
):
    collecting = []

    def judge_watched(large, now, read):
        collecting.append(gc.isenabled())
        return judge(large, now, read)

    monkeypatch.setattr("matrix.http.transport.judge", judge_watched)
    body = b'["' + b"x" * 2**21 + ending
    world.answers["/x"] = [HttpAnswer(200, {}, body), answer(["whole"])]
    async with world.clock.running():
        await world.transport.request(Call("GET", "/x"))
    assert collecting[0] is False
    assert gc.isenabled()
