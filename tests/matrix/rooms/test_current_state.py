"""Doubtful parts of a sync are read from the current state of a real Synapse, within limits (contracts L3, C12)."""

import anyio
import pytest
from msgspec.structs import replace

from machines.events.orders import CreateRoom, LinkChild, Refused, SendMessage, StoreBinding
from machines.ids import RoomId, TxnId, UserId
from machines.room.topology import ObservedRoom, Topology
from machines.room.unconfirmed import Unconfirmed
from matrix import MatrixClient
from matrix.http.backend import HttpRequest, HttpResponse
from matrix.http.nio_backend import NioBackend
from matrix.rooms.observe import MAX_REPAIR_REQUESTS
from tests.matrix.sync.test_syncing import TXN, created, entry_room

pytestmark = pytest.mark.anyio

FORGED_CLAIMS = 300


class CountingBackend:
    """Makes real requests and records them; with `content_only`, as to a homeserver without `format=event`."""

    def __init__(self, url: str, *, content_only: bool = False) -> None:
        self._backend = NioBackend(url)
        self._content_only = content_only
        self.paths: list[str] = []

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        self.paths.append(request.path)
        if self._content_only:
            kept = {key: value for key, value in request.query.items() if key != "format"}
            request = replace(request, query=kept)
        return await self._backend(request)

    async def aclose(self) -> None:
        await self._backend.aclose()


@pytest.fixture(params=[False, True], ids=["events", "contents"])
def content_only(request):
    return request.param


@pytest.fixture
async def counting(account, content_only):
    backend = CountingBackend(account.homeserver, content_only=content_only)
    yield backend
    await backend.aclose()


@pytest.fixture
async def fresh(account, bot, counting):
    """Another process of the bot, whose requests are recorded."""
    client = MatrixClient(account, on_change=lambda up, reason, outage_s: None, backend=counting)
    await client.login()
    counting.paths.clear()
    return client


def without_links(shown: Topology) -> Topology:
    rooms = {room_id: replace(room, children=()) for room_id, room in shown.rooms.items()}
    return replace(shown, rooms=rooms)


async def test_a_link_that_a_sync_left_out_is_read(bot, fresh, person, account):
    user = UserId(person.user_id)
    space = await created(bot, CreateRoom("s", "Lambda", user, space=True))
    chat = await created(bot, CreateRoom("c", "Chat 1", user, parent=space))
    await bot.perform(LinkChild(space, chat), TXN)
    _, shown = await fresh.initial_sync(None)
    confirmed = await fresh.confirm(
        without_links(shown), Unconfirmed(links=frozenset({(space, chat)}))
    )
    assert confirmed.rooms == shown.rooms
    claimed = await fresh.confirm(without_links(shown), Unconfirmed(parents=frozenset({chat})))
    assert claimed.rooms == shown.rooms


async def test_a_link_that_was_never_set_stays_absent(bot, fresh, person, account):
    user = UserId(person.user_id)
    space = await created(bot, CreateRoom("s", "Lambda", user, space=True))
    chat = await created(bot, CreateRoom("c", "Chat 1", user, parent=space))
    _, shown = await fresh.initial_sync(None)
    unconfirmed = Unconfirmed(links=frozenset({(space, chat)}), parents=frozenset({chat}))
    assert (await fresh.confirm(shown, unconfirmed)).rooms == shown.rooms


async def test_a_name_and_a_room_that_a_sync_left_out_are_read(bot, fresh, person, account):
    user = UserId(person.user_id)
    space = await created(bot, CreateRoom("s", "Lambda", user, space=True))
    chat = await created(bot, CreateRoom("c", "Chat 1", user, parent=space))
    entry = await entry_room(bot, person, account)
    content = {"chat_id": "C1", "room_type": "chat"}
    await bot.perform(StoreBinding(chat, content), TXN)
    _, shown = await fresh.initial_sync(None)
    nameless = replace(shown.rooms[chat], name=None)
    less = replace(shown, rooms={space: shown.rooms[space], chat: nameless})
    unconfirmed = Unconfirmed(
        names=frozenset({chat}), memberships=frozenset({entry, RoomId("!nowhere")})
    )
    confirmed = (await fresh.confirm(less, unconfirmed)).rooms
    assert confirmed[chat].name == "Chat 1"
    assert (confirmed[entry].created_by, confirmed[entry].invited_by) == (user, user)
    assert set(confirmed) == {space, chat, entry}
    bare = ObservedRoom(chat, None, 0)
    unconfirmed = Unconfirmed(creators=frozenset({chat}))
    confirmed = (await fresh.confirm(replace(shown, rooms={chat: bare}), unconfirmed)).rooms
    assert (confirmed[chat].created_by, confirmed[chat].nonce) == (account.user_id, "c")
    assert (confirmed[chat].name, confirmed[chat].binding) == ("Chat 1", content)


async def test_forged_claims_cost_a_repair_no_request(bot, fresh, counting, person, account):
    entry = await entry_room(bot, person, account)
    async with anyio.create_task_group() as claims:
        for number in range(FORGED_CLAIMS):
            claims.start_soon(
                person.send_state, entry, "m.space.parent", {"via": ["localhost"]}, f"!s{number}"
            )
    seen = (await fresh.observe_room(entry)).rooms
    assert seen[entry].invited_by == person.user_id
    assert len(counting.paths) <= MAX_REPAIR_REQUESTS


async def test_a_repair_is_limited_even_if_the_bot_has_many_spaces(
    bot, fresh, counting, person, account
):
    user = UserId(person.user_id)
    for number in range(MAX_REPAIR_REQUESTS + 5):
        await created(bot, CreateRoom(f"s{number}", "Lambda", user, space=True))
    lost = await created(bot, CreateRoom("c", "Chat 1", user))
    await fresh.initial_sync(None)
    counting.paths.clear()
    assert set((await fresh.observe_room(lost)).rooms) == {lost}
    assert len(counting.paths) <= MAX_REPAIR_REQUESTS


async def test_the_space_named_by_the_local_rows_is_found_among_many(bot, fresh, person, account):
    user = UserId(person.user_id)
    spaces = [
        await created(bot, CreateRoom(f"s{number}", "Lambda", user, space=True))
        for number in range(MAX_REPAIR_REQUESTS + 5)
    ]
    chat = await created(bot, CreateRoom("c", "Chat 1", user))
    last = max(spaces)
    await bot.perform(LinkChild(last, chat), TXN)
    await fresh.initial_sync(None)
    assert set((await fresh.observe_room(chat, [last])).rooms) == {chat, last}


async def test_a_space_inside_a_space_is_shown_with_the_outer_one(bot, fresh, person, account):
    user = UserId(person.user_id)
    outer = await created(bot, CreateRoom("o", "Outer", user, space=True))
    space = await created(bot, CreateRoom("s", "Lambda", user, space=True))
    chat = await created(bot, CreateRoom("c", "Chat 1", user, parent=space))
    await bot.perform(LinkChild(space, chat), TXN)
    await fresh.initial_sync(None)
    await bot.perform(LinkChild(outer, space), TXN)
    seen = (await fresh.observe_room(chat)).rooms
    assert [child.room_id for child in seen[outer].children] == [space]


async def test_a_sync_is_not_trusted_that_a_room_is_unencrypted(bot, fresh, person, account):
    room = await entry_room(bot, person, account, encrypted=True)
    _, shown = await fresh.initial_sync(None)
    assert shown.rooms[room].encrypted
    stale = replace(shown, rooms={room: replace(shown.rooms[room], encrypted=False)})
    another = await _with_topology(fresh, stale, account)
    outcome = await another.perform(SendMessage(room, "in plaintext"), TxnId("plain"))
    assert isinstance(outcome, Refused)
    assert outcome.kind == "encrypted"


async def _with_topology(fresh, shown: Topology, account) -> MatrixClient:
    """Return a client that knows only this topology."""
    backend = fresh._transport._backend
    another = MatrixClient(account, on_change=lambda up, reason, outage_s: None, backend=backend)
    await another.login()
    await another.confirm(shown, Unconfirmed())
    return another
