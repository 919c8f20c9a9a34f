"""Retries, rate limits, poison requests and the end of the session, as seen by single requests."""

import email.utils
import gc
import json
import random
from itertools import pairwise

import anyio
import pytest

from machines.errors import CredentialsRefused, LoggedOut
from matrix.errors import Dropped, RequestRefused, ResponseTooLong, Unreachable
from matrix.http.backend import HttpResponse
from matrix.http.parsing import parse_json
from matrix.http.request import Request, client_path
from matrix.http.responses import classify
from matrix.http.transport import Transport
from tests.matrix.fake_backend import FakeBackend, error_response, json_response, no_connection
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

SEND = Request("PUT", "/send/1", body={"body": "x"}, bucket="send")
SYNC = Request("GET", "/sync", bucket="sync", retry_forever=True, long_poll=True)


class TransportFixture:
    """A transport on a fake backend that has a queue of responses for each path; the last one stays."""

    def __init__(self, seed: int = 5) -> None:
        self.clock = VirtualClock()
        self.responses: dict = {}
        self.changes: list[bool] = []
        self.backend = FakeBackend(self.clock, self.respond)
        self.transport = Transport(
            self.backend,
            self.clock,
            lambda up, reason, outage_s: self.changes.append(up),
            random.Random(seed).random,
        )
        self.transport.use_token("first")

    def respond(self, request):
        queue = self.responses.get(request.path, [])
        if not queue:
            return json_response({"done": True})
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def gaps(self, path):
        times = self.backend.times(path)
        return [b - a for a, b in pairwise(times)]


@pytest.fixture
def fixture():
    return TransportFixture()


async def test_the_token_is_never_in_the_url(fixture):
    async with fixture.clock.running():
        await fixture.transport.request(Request("GET", "/x", query={"a": "b"}))
    request = fixture.backend.requests[0][1]
    assert request.token == "first"
    assert "first" not in request.path + json.dumps(dict(request.query)) + repr(request)


@pytest.mark.parametrize(
    ("limited", "at_least_s"),
    [
        (error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=4200), 4.2),
        (json_response({"errcode": "M_LIMIT_EXCEEDED"}, 429, retry_after="7"), 7.0),
        (
            json_response(
                {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 900}, 429, retry_after="3"
            ),
            3.0,
        ),
        (error_response(429, "M_LIMIT_EXCEEDED"), 1.0),
        (error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms="soon"), 1.0),
        (error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=True), 1.0),
        (error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=float("inf")), 1.0),
        (HttpResponse(429, {}, b"<html>slow down</html>"), 1.0),
        (
            json_response(
                {},
                429,
                retry_after=email.utils.formatdate(500_009, usegmt=True),
                date=email.utils.formatdate(500_000, usegmt=True),
            ),
            9.0,
        ),
        (json_response({}, 429, retry_after=email.utils.formatdate(1_000_005, usegmt=True)), 4.9),
    ],
)
async def test_a_rate_limited_request_waits_as_long_as_the_server_asks(
    fixture, limited, at_least_s
):
    fixture.responses["/send/1"] = [limited, json_response({"event_id": "$1"})]
    async with fixture.clock.running():
        assert await fixture.transport.request(SEND) == {"event_id": "$1"}
    assert at_least_s <= fixture.gaps("/send/1")[0] < at_least_s + 1.2


async def test_after_a_429_requests_of_that_bucket_resume_one_by_one(fixture):
    limited = error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=5000)
    for number in range(20):
        fixture.responses[f"/send/{number}"] = [limited, json_response({})]
    fixture.backend.latency_s = 0.05
    async with fixture.clock.running(), anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(
                fixture.transport.request, Request("PUT", f"/send/{number}", body={}, bucket="send")
            )
        await fixture.clock.sleep(1)
        requests = len(fixture.backend.requests)
        assert await fixture.transport.request(Request("GET", "/read")) == {"done": True}
        assert len(fixture.backend.requests) == requests + 1
    later = fixture.backend.times("/send/")[20:]
    assert min(b - a for a, b in pairwise(later)) >= fixture.backend.latency_s
    assert later[0] - fixture.backend.times("/send/")[0] >= 5.0


async def test_after_a_429_the_pause_of_one_request_does_not_delay_its_bucket(fixture):
    limited = error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=1000)
    bad_gateway = HttpResponse(502, {}, b"<html>bad gateway</html>")
    fixture.responses["/send/limited"] = [limited, json_response({})]
    fixture.responses["/send/1"] = [bad_gateway, bad_gateway, json_response({})]
    async with fixture.clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(
            fixture.transport.request, Request("PUT", "/send/limited", body={}, bucket="send")
        )
        await fixture.clock.sleep(0.1)
        tasks.start_soon(fixture.transport.request, SEND)
        for number in range(10):
            other = Request("PUT", f"/send/other/{number}", body={}, bucket="send")
            await fixture.transport.request(other)
            await fixture.clock.sleep(0.5)
    # It pauses after its second failure, and other requests succeed meanwhile.
    assert fixture.backend.times("/send/other/1")[0] < fixture.backend.times("/send/1")[2]


async def test_a_request_that_waited_for_its_bucket_through_an_outage_opens_the_breaker_at_the_next(
    fixture,
):
    fixture.responses["/send/1"] = [
        error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=9000),
        HttpResponse(502, {}, b"<html>bad gateway</html>"),
        json_response({}),
    ]
    fixture.responses["/read"] = [
        HttpResponse(502, {}, b"<html>bad gateway</html>"),
        json_response({}),
    ]
    async with fixture.clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(fixture.transport.request, SEND)
        await fixture.clock.sleep(1)
        tasks.start_soon(
            fixture.transport.request, Request("PUT", "/send/other", body={}, bucket="send")
        )
        await fixture.clock.sleep(1)
        await fixture.transport.request(Request("GET", "/read"))
    failed_at = fixture.backend.times("/send/1")[1]
    after = [at for at in fixture.backend.times() if at > failed_at]
    assert after[0] - failed_at >= 1.0


async def test_under_a_rate_limit_only_droppable_requests_are_dropped(fixture):
    limited = error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=5000)
    fixture.responses["/send/1"] = [limited, json_response({"event_id": "$1"})]
    fixture.responses["/send/edit"] = [limited]
    edit = Request("PUT", "/send/edit", body={}, bucket="send", droppable=True)
    async with fixture.clock.running(), anyio.create_task_group() as tasks:
        with pytest.raises(Dropped):
            await fixture.transport.request(edit)
        assert fixture.transport.is_under_pressure
        with pytest.raises(Dropped):
            await fixture.transport.request(edit)
        await fixture.transport.best_effort(Request("PUT", "/typing", body={}, bucket="send"))
        tasks.start_soon(fixture.transport.request, SEND)
    assert len(fixture.backend.times("/send/edit")) == 1
    assert fixture.backend.times("/typing") == []


async def test_a_poison_request_is_refused_within_half_a_minute_while_others_succeed(fixture):
    fixture.responses["/send/1"] = [error_response(500)]
    async with fixture.clock.running(), anyio.create_task_group() as tasks:

        async def others() -> None:
            while True:
                await fixture.transport.request(
                    Request("PUT", "/send/other", body={}, bucket="send")
                )
                await fixture.clock.sleep(0.5)

        tasks.start_soon(others)
        started = fixture.clock.now()
        with pytest.raises(RequestRefused) as refused:
            await fixture.transport.request(SEND)
        assert fixture.clock.now() - started < 40
        tasks.cancel_scope.cancel()
    assert refused.value.status == 500
    assert 4 <= len(fixture.backend.times("/send/1")) <= 10
    # The others continued all the time.
    assert max(fixture.gaps("/send/other")) < 2
    assert fixture.changes == []


async def test_a_poison_request_without_others_is_refused_in_less_than_a_minute():
    for seed in range(100):
        fixture = TransportFixture(seed)
        fixture.responses["/send/1"] = [error_response(500)]
        async with fixture.clock.running():
            started = fixture.clock.now()
            with pytest.raises(RequestRefused):
                await fixture.transport.request(SEND)
            assert fixture.clock.now() - started < 60


async def test_a_server_that_fails_at_all_requests_makes_none_of_them_poison(fixture):
    fixture.backend.handler = lambda request: error_response(500)
    async with fixture.clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(fixture.transport.request, SEND)
        await fixture.clock.sleep(600)
        fixture.backend.handler = fixture.respond
    assert fixture.changes == [False, True]


async def test_no_message_is_lost_while_a_part_of_the_server_is_away(fixture):
    def half(request):
        return error_response(502) if "/send/" in request.path else json_response({})

    fixture.backend.handler = half
    async with fixture.clock.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(fixture.transport.request, SEND)
        await fixture.clock.sleep(600)
        assert len(fixture.backend.times("/send/")) < 200
        fixture.backend.handler = fixture.respond


@pytest.mark.parametrize(
    ("status", "errcode"), [(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND"), (400, "M_BAD_JSON")]
)
async def test_a_refusal_is_definite(fixture, status, errcode):
    fixture.responses["/send/1"] = [error_response(status, errcode)]
    async with fixture.clock.running():
        with pytest.raises(RequestRefused) as refused:
            await fixture.transport.request(SEND)
    assert (refused.value.status, refused.value.errcode) == (status, errcode)
    assert len(fixture.backend.requests) == 1


async def test_413_is_a_refusal_even_from_a_proxy(fixture):
    fixture.responses["/send/1"] = [HttpResponse(413, {}, b"<html>too large</html>")]
    async with fixture.clock.running():
        with pytest.raises(RequestRefused) as refused:
            await fixture.transport.request(SEND)
    assert refused.value.errcode == "M_TOO_LARGE"


async def test_a_soft_logout_ends_the_sync_at_once_and_all_others_wait(fixture):
    def ended(request):
        if request.token == "first":
            return error_response(401, "M_UNKNOWN_TOKEN", soft_logout=True)
        return json_response({"by": request.token})

    def hanging(request):
        return json_response({"late": True})

    results = []
    async with fixture.clock.running(), anyio.create_task_group() as tasks:

        async def sync() -> None:
            with pytest.raises(LoggedOut):
                await fixture.transport.request(SYNC)
            results.append(("sync ended", fixture.clock.now()))

        async def send() -> None:
            results.append(await fixture.transport.request(SEND))

        fixture.backend.latency_s = 30.0
        fixture.backend.handler = hanging
        tasks.start_soon(sync)
        await fixture.clock.sleep(1)
        fixture.backend.latency_s = 0.01
        fixture.backend.handler = ended
        ended_at = fixture.clock.now()
        tasks.start_soon(send)
        await fixture.clock.sleep(5)
        assert [result[0] for result in results] == ["sync ended"]
        assert results[0][1] - ended_at < 1
        with pytest.raises(LoggedOut):
            await fixture.transport.request(SYNC)
        requests = len(fixture.backend.requests)
        await fixture.clock.sleep(600)
        assert len(fixture.backend.requests) == requests
        fixture.transport.use_token("second")
        await fixture.clock.sleep(1)
    assert results[1] == {"by": "second"}


async def test_a_hard_logout_ends_every_request(fixture):
    fixture.responses["/send/1"] = [error_response(401, "M_UNKNOWN_TOKEN")]
    async with fixture.clock.running():
        with pytest.raises(CredentialsRefused, match="reset"):
            await fixture.transport.request(SEND)
        requests = len(fixture.backend.requests)
        with pytest.raises(CredentialsRefused):
            await fixture.transport.request(SYNC)
    assert len(fixture.backend.requests) == requests


async def test_a_refusal_of_the_old_token_after_a_new_login_is_not_a_logout(fixture):
    def ended(request):
        if request.token == "first":
            fixture.transport.use_token("second")
            return error_response(401, "M_UNKNOWN_TOKEN")
        return json_response({"by": request.token})

    fixture.backend.handler = ended
    async with fixture.clock.running():
        assert await fixture.transport.request(SEND) == {"by": "second"}


async def test_a_request_that_is_not_idempotent_is_not_repeated(fixture):
    fixture.backend.handler = no_connection
    async with fixture.clock.running():
        with pytest.raises(Unreachable):
            await fixture.transport.request(
                Request("POST", "/createRoom", body={}, idempotent=False)
            )
    assert len(fixture.backend.times("/createRoom")) == 1


async def test_a_sync_after_a_failure_is_no_long_poll(fixture):
    answers = [HttpResponse(502, {}, b"gone"), json_response({"next_batch": "s"})]
    fixture.responses["/sync"] = answers
    call = Request("GET", "/sync", {"timeout": "30000"}, {"timeout": "0"}, retry_forever=True)
    async with fixture.clock.running():
        await fixture.transport.request(call)
    requests = [request.query for _, request in fixture.backend.requests if request.path == "/sync"]
    assert requests == [{"timeout": "30000"}, {"timeout": "0"}]


async def test_bodies_are_cleaned_before_they_are_sent(fixture):
    async with fixture.clock.running():
        await fixture.transport.request(Request("PUT", "/x", body={"body": "a\ud800b"}))
    body = fixture.backend.requests[0][1].body
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
def test_any_json_that_a_user_can_cause_is_parsed(body, parsed):
    value = parse_json(body)
    assert parsed is None or value == parsed
    if b"deep" in body:
        assert (value["ok"], value["s"]) == (1, ']]}"')


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":', b"<html></html>", b"[" * 100_000])
def test_json_that_is_cut_off_is_unreachable(body):
    with pytest.raises(Unreachable):
        parse_json(body)


def test_ids_in_a_path_are_escaped():
    path = client_path("rooms", "!a/b:c?d#e", "state", "m.x", "")
    assert path == "/_matrix/client/v3/rooms/%21a%2Fb%3Ac%3Fd%23e/state/m.x/"
    assert client_path("rooms", "!ä/b") == "/_matrix/client/v3/rooms/%21%C3%A4%2Fb"


async def test_a_response_that_is_too_long_is_a_refusal_and_not_an_outage(fixture):
    def endless(request):
        raise ResponseTooLong("the answer is longer than 64 bytes")

    fixture.backend.handler = endless
    async with fixture.clock.running():
        with pytest.raises(RequestRefused, match="longer than 64 bytes") as refused:
            await fixture.transport.request(Request("GET", "/state"))
    assert (refused.value.status, refused.value.errcode) == (413, "M_TOO_LARGE")
    assert len(fixture.backend.times("/state")) == 1
    assert fixture.changes == []


@pytest.mark.parametrize("ending", [b'"]', b""], ids=["whole", "cut off"])
async def test_garbage_collection_is_paused_only_while_a_large_response_is_parsed(
    fixture, monkeypatch, ending
):
    collecting = []

    def classify_watched(large, now, read):
        collecting.append(gc.isenabled())
        return classify(large, now, read)

    monkeypatch.setattr("matrix.http.transport.classify", classify_watched)
    body = b'["' + b"x" * 2**21 + ending
    fixture.responses["/x"] = [HttpResponse(200, {}, body), json_response(["whole"])]
    async with fixture.clock.running():
        await fixture.transport.request(Request("GET", "/x"))
    assert collecting[0] is False
    assert gc.isenabled()
