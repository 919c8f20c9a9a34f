"""The quoted message of a request: read once for a turn, within a limited time (contract D18)."""

import anyio
from msgspec.structs import replace

from actors import quotes
from actors.quotes import MAX_CACHED_QUOTES, Quotes
from machines.events.agent import AgentRequest, Quoted
from machines.ids import AgentId, EventId, RoomId
from tests.actors.fakes import FakeHomeserver, InlineDatabase, ManualClock, RuntimeFixture

ROOM = RoomId("!room")
QUOTED = Quoted("agent", "an earlier answer")


def request(message_id: str = "$1", quoted_event: str | None = "$0") -> AgentRequest:
    event = EventId(quoted_event) if quoted_event is not None else None
    return AgentRequest(AgentId("default"), "1", message_id, "what?", quoted_event=event)


def homeserver_of(tmp_path) -> FakeHomeserver:
    homeserver = FakeHomeserver(InlineDatabase(tmp_path / "a.db"), ManualClock())
    homeserver.quotable[EventId("$0")] = QUOTED
    return homeserver


async def test_every_attempt_of_a_turn_sends_the_same_quote(tmp_path):
    homeserver = homeserver_of(tmp_path)
    read = Quotes(homeserver)
    first = await read.add_to(request(), ROOM)
    homeserver.quotable[EventId("$0")] = Quoted("agent", "edited meanwhile")
    assert await read.add_to(request(), ROOM) == first == replace(request(), quoted=QUOTED)
    assert homeserver.calls == ["quoted $0"]
    assert (await read.add_to(request("$2"), ROOM)).quoted != QUOTED


async def test_a_request_without_a_quote_reads_nothing(tmp_path):
    homeserver = homeserver_of(tmp_path)
    plain = request(quoted_event=None)
    assert await Quotes(homeserver).add_to(plain, ROOM) == plain
    assert homeserver.calls == []


async def test_a_message_that_does_not_exist_is_not_quoted(tmp_path):
    homeserver = homeserver_of(tmp_path)
    missing = request(quoted_event="$unknown")
    assert await Quotes(homeserver).add_to(missing, ROOM) == missing


async def test_a_homeserver_that_does_not_respond_delays_the_request_only_for_a_time(
    tmp_path, monkeypatch
):
    homeserver = homeserver_of(tmp_path)
    homeserver.delay_s = 1e9
    read = Quotes(homeserver)
    with monkeypatch.context() as patch, anyio.fail_after(5):
        patch.setattr(quotes, "QUOTE_TIMEOUT_S", 0.0)
        assert (await read.add_to(request(), ROOM)).quoted is None
    homeserver.delay_s = 0.0
    assert (await read.add_to(request(), ROOM)).quoted == QUOTED


async def test_the_number_of_kept_quotes_is_limited(tmp_path):
    homeserver = homeserver_of(tmp_path)
    read = Quotes(homeserver)
    for number in range(MAX_CACHED_QUOTES + 1):
        await read.add_to(request(f"${number + 1}"), ROOM)
    await read.add_to(request("$2"), ROOM)
    assert len(homeserver.calls) == MAX_CACHED_QUOTES + 1
    await read.add_to(request("$1"), ROOM)
    assert len(homeserver.calls) == MAX_CACHED_QUOTES + 2


async def test_a_quote_is_read_again_after_a_kill(tmp_path):
    fixture = RuntimeFixture(tmp_path / "a.db")
    (chat,) = fixture.with_chats()
    fixture.homeserver.quotable[EventId("$0")] = QUOTED
    fixture.agents.silent.add("what?")
    question = replace(fixture.message(chat, "what?"), replies_to=EventId("$0"))
    async with fixture.running(killed=True):
        fixture.homeserver.next_sync(question)
        await fixture.clock.advance(1.0)
    fixture.agents.silent.clear()
    async with fixture.running():
        await fixture.clock.advance(5.0)
    first, second = fixture.agents.requests
    assert first == second
    assert first.quoted == QUOTED


async def test_a_command_quotes_nothing(tmp_path):
    fixture = RuntimeFixture(tmp_path / "a.db")
    (chat,) = fixture.with_chats()
    save = replace(fixture.message(chat, "!save one"), replies_to=EventId("$0"))
    async with fixture.running():
        fixture.homeserver.next_sync(save)
        await fixture.clock.advance(1.0)
    (asked,) = fixture.agents.requests
    assert (asked.quoted_event, asked.quoted) == (None, None)
    assert "quoted $0" not in fixture.homeserver.calls
