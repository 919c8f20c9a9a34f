"""The homeserver in memory answers as Synapse does: each test runs against both."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from sandbox.errors import MatrixRefused
from sandbox.session import escaped
from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser
from tests.support.memory_homeserver.homeserver import Homeserver
from tests.support.memory_homeserver.process import MemoryHomeserver
from tests.support.memory_homeserver.rooms import Refused

LogIn = Callable[[str], Awaitable[MatrixUser]]
CHILD = "m.space.child"
FORK_ATTEMPTS = 40


@pytest.fixture(scope="module")
async def memory_server() -> AsyncIterator[MemoryHomeserver]:
    async with MemoryHomeserver() as server:
        yield server


@pytest.fixture(params=["memory", "synapse"])
async def log_in(
    request: pytest.FixtureRequest, memory_server: MemoryHomeserver, synapse: Synapse
) -> AsyncIterator[LogIn]:
    """Log a new user in, on either homeserver."""
    async with AsyncExitStack() as users:

        async def log_in(name: str) -> MatrixUser:
            localpart = f"{name}-{uuid.uuid4().hex[:8]}"
            if request.param == "synapse":
                await synapse.register(localpart, "secret")
            url = synapse.url if request.param == "synapse" else memory_server.url
            return await users.enter_async_context(MatrixUser(url, localpart, "secret"))

        yield log_in


Fork = Callable[[MatrixUser, MatrixUser, str, str], Awaitable[None]]


@pytest.fixture
def fork(request: pytest.FixtureRequest, memory_server: MemoryHomeserver) -> Fork:
    """Let one user link a chat into a Space while another writes there, until a sync misses the link."""
    on_synapse = request.node.callspec.params["log_in"] == "synapse"

    async def fork(ann: MatrixUser, bob: MatrixUser, space_id: str, chat_id: str) -> None:
        for number in range(FORK_ATTEMPTS):
            content = {"via": ["localhost"], "order": f"{number}"}
            if on_synapse:
                async with anyio.create_task_group() as both:
                    both.start_soon(ann.send_state, space_id, CHILD, content, chat_id)
                    both.start_soon(bob.send_text, space_id, "hello")
            else:
                await memory_server.fork(space_id, bob.user_id)
                await ann.send_state(space_id, CHILD, content, chat_id)
                await bob.send_text(space_id, "hello")
            if await links_shown(ann, space_id) != [content]:
                return
        pytest.fail("the room does not fork")

    return fork


async def links_shown(
    user: MatrixUser, space_id: str, since: str = "", full_state: str = "false"
) -> list[Any]:
    """Return the links of a Space as the state of a sync shows them, with no timeline at all."""
    wanted = {"state": {"types": [CHILD]}, "timeline": {"not_types": ["*"]}}
    answer = await sync(user, since, full_state=full_state, room=wanted)
    room = answer.get("rooms", {}).get("join", {}).get(space_id, {"state": {"events": []}})
    return [event["content"] for event in room["state"]["events"]]


async def sync(
    user: MatrixUser,
    since: str = "",
    timeout_ms: int = 0,
    full_state: str = "false",
    **wanted: Any,
) -> Any:
    # Synapse caches the response of an initial sync with the same filter.
    unique = {"account_data": {"not_types": [uuid.uuid4().hex]}}
    params = {"timeout": str(timeout_ms), "filter": json.dumps(wanted | unique)}
    params["full_state"] = full_state
    if since:
        params["since"] = since
    return await user.request("GET", "/sync", params=params)


async def test_an_invitation_becomes_a_membership(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    room_id = await ann.create_room(invite=[bob.user_id], name="Tea")
    invited = (await sync(bob, room={"rooms": ["!none:localhost"]}))["rooms"]["invite"][room_id]
    kinds = {event["type"] for event in invited["invite_state"]["events"]}
    assert {"m.room.create", "m.room.name", "m.room.member"} <= kinds
    await bob.join(room_id)
    assert await bob.joined_rooms() == [room_id]
    assert await ann.members(room_id) == {ann.user_id: "join", bob.user_id: "join"}
    await bob.leave(room_id)
    await bob.request("POST", f"/rooms/{escaped(room_id)}/forget", {})
    assert await bob.joined_rooms() == []
    with pytest.raises(MatrixRefused, match="403 M_FORBIDDEN"):
        await bob.send_text(room_id, "still here")


async def test_a_long_poll_ends_with_news_and_with_its_time(log_in: LogIn) -> None:
    ann = await log_in("ann")
    room_id = await ann.create_room()
    start = (await sync(ann))["next_batch"]
    quiet = await sync(ann, start, timeout_ms=50)
    assert room_id not in quiet.get("rooms", {}).get("join", {})
    sent = await ann.send_text(room_id, "news")
    news = await sync(ann, quiet["next_batch"], timeout_ms=20_000)
    timeline = news["rooms"]["join"][room_id]["timeline"]
    assert [event["event_id"] for event in timeline["events"]] == [sent]
    assert not timeline["limited"]


async def test_history_continues_a_limited_timeline_without_loss_or_repetition(
    log_in: LogIn,
) -> None:
    ann = await log_in("ann")
    room_id = await ann.create_room()
    since = (await sync(ann))["next_batch"]
    sent = [await ann.send_text(room_id, str(n)) for n in range(7)]
    answer = await sync(ann, since, room={"timeline": {"limit": 3}})
    timeline = answer["rooms"]["join"][room_id]["timeline"]
    assert timeline["limited"]
    assert [event["event_id"] for event in timeline["events"]] == sent[4:]
    missing: list[str] = []
    start = since
    for _ in range(4):
        params = {"dir": "f", "from": start, "to": timeline["prev_batch"], "limit": "2"}
        page = await ann.request("GET", f"/rooms/{escaped(room_id)}/messages", params=params)
        missing += [event["event_id"] for event in page["chunk"]]
        if "end" not in page:
            break
        start = page["end"]
    assert missing == sent[:4]
    backwards = {"dir": "b", "limit": "2"}
    page = await ann.request("GET", f"/rooms/{escaped(room_id)}/messages", params=backwards)
    assert [event["event_id"] for event in page["chunk"]] == sent[:4:-1]


async def test_a_transaction_is_carried_out_once(log_in: LogIn) -> None:
    ann = await log_in("ann")
    room_id = await ann.create_room()
    content = {"msgtype": "m.text", "body": "once"}
    first = await ann.send_event(room_id, "m.room.message", content, txn_id="t1")
    assert await ann.send_event(room_id, "m.room.message", content, txn_id="t1") == first
    assert await ann.send_event(room_id, "m.room.message", content, txn_id="t2") != first
    assert sum(event.body == "once" for event in await ann.messages(room_id)) == 2


async def test_account_data_is_kept_for_its_owner_and_synced(log_in: LogIn) -> None:
    ann = await log_in("ann")
    room_id = await ann.create_room()
    since = (await sync(ann))["next_batch"]
    assert await ann.account_data("org.example.note", room_id) is None
    path = f"/user/{escaped(ann.user_id)}/rooms/{escaped(room_id)}/account_data/org.example.note"
    await ann.request("PUT", path, {"text": "kept"})
    assert await ann.account_data("org.example.note", room_id) == {"text": "kept"}
    room = (await sync(ann, since))["rooms"]["join"][room_id]
    note = {"type": "org.example.note", "content": {"text": "kept"}}
    assert note in room["account_data"]["events"]
    whole = (await sync(ann))["rooms"]["join"][room_id]
    assert note in whole["account_data"]["events"]


async def test_a_space_and_its_topology_are_read_back(log_in: LogIn) -> None:
    ann = await log_in("ann")
    creation = {"type": "m.space", "org.example.nonce": "n1"}
    space_id = await ann.create_room(creation_content=creation)
    chat_id = await ann.create_room()
    await ann.send_state(space_id, "m.space.child", {"via": ["localhost"]}, chat_id)
    assert await ann.state_content(space_id, "m.space.child", chat_id) == {"via": ["localhost"]}
    create = await ann.state_content(space_id, "m.room.create")
    assert create is not None
    assert create | creation == create
    assert create["room_version"] == "12"
    assert await ann.state_content(space_id, "m.space.child", "!none") is None


async def test_a_full_state_sync_shows_old_account_data_again(log_in: LogIn) -> None:
    ann = await log_in("ann")
    room_id = await ann.create_room()
    path = f"/user/{escaped(ann.user_id)}/rooms/{escaped(room_id)}/account_data/org.example.kept"
    await ann.request("PUT", path, {"kept": True})
    since = (await sync(ann))["next_batch"]
    await ann.send_text(room_id, "news")
    params = {"timeout": "0", "since": since}
    news = await ann.request("GET", "/sync", params=params)
    assert news["rooms"]["join"][room_id].get("account_data", {"events": []})["events"] == []
    whole = await ann.request("GET", "/sync", params=params | {"full_state": "true"})
    data = whole["rooms"]["join"][room_id]["account_data"]["events"]
    assert [event["content"] for event in data if event["type"] == "org.example.kept"] == [
        {"kept": True}
    ]


async def test_events_of_a_sync_have_no_room_id_and_members_are_loaded_lazily(
    log_in: LogIn,
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    room_id = await ann.create_room(invite=[bob.user_id], name="Tea")
    await bob.join(room_id)
    wanted = {
        "state": {"lazy_load_members": True},
        "timeline": {"limit": 1, "types": ["m.room.message"]},
    }
    shown = []
    for speaker in (None, ann, bob):
        if speaker is not None:
            await speaker.send_text(room_id, "here")
        room = (await sync(ann, room=wanted))["rooms"]["join"][room_id]
        events = room["state"]["events"] + room["timeline"]["events"]
        # Synapse leaves it in a create event of room version 12.
        assert {event["type"] for event in events if "room_id" in event} <= {"m.room.create"}
        shown.append({e["state_key"] for e in events if e["type"] == "m.room.member"})
    both = {ann.user_id, bob.user_id}
    assert shown == [both, {ann.user_id}, both]
    assert all(event.room_id == room_id for event in await ann.messages(room_id))


async def test_one_state_event_is_read_whole(log_in: LogIn) -> None:
    ann = await log_in("ann")
    room_id = await ann.create_room()
    first = await ann.send_state(room_id, "m.room.name", {"name": "Tea"})
    sent = await ann.send_state(room_id, "m.room.name", {"name": "Coffee"})
    path = f"/rooms/{escaped(room_id)}/state/m.room.name/"
    event = await ann.request("GET", path, params={"format": "event"})
    assert (event["event_id"], event["sender"], event["room_id"]) == (sent, ann.user_id, room_id)
    assert (event["type"], event["state_key"]) == ("m.room.name", "")
    assert event["content"] == {"name": "Coffee"}
    # Synapse always has the id of the replaced event here, and the rest only sometimes.
    assert event["unsigned"]["replaces_state"] == first
    with pytest.raises(MatrixRefused, match="404 M_NOT_FOUND"):
        await ann.request(
            "GET", f"/rooms/{escaped(room_id)}/state/m.room.topic/", params={"format": "event"}
        )


async def test_a_sync_misses_a_state_event_beside_the_last_event(log_in: LogIn, fork: Fork) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    space_id = await ann.create_room(invite=[bob.user_id], creation_content={"type": "m.space"})
    chat_id = await ann.create_room()
    await bob.join(space_id)
    await fork(ann, bob, space_id, chat_id)
    link = await ann.state_content(space_id, CHILD, chat_id)
    assert link is not None
    since = (await sync(ann))["next_batch"]
    for _ in range(2):
        assert link not in await links_shown(ann, space_id)
        assert link not in await links_shown(ann, space_id, since, full_state="true")
        state = await ann.room_state(space_id)
        assert link in [event.content for event in state if event.type == CHILD]
        members = (await ann.members(space_id)).items()
        assert members == {ann.user_id: "join", bob.user_id: "join"}.items()
    # The long poll has it in its timeline; it is shown again with the event that follows both ends.
    await bob.send_text(space_id, "anybody here?")
    wanted = {"state": {"types": [CHILD]}, "timeline": {"types": ["m.room.message"]}}
    room = (await sync(ann, since, room=wanted))["rooms"]["join"][space_id]
    assert [event["content"] for event in room["state"]["events"]] == [link]
    assert await links_shown(ann, space_id) == [link]
    assert await links_shown(ann, space_id, since, full_state="true") == [link]


async def test_a_sync_misses_a_join_beside_a_later_state_event() -> None:
    async with (
        MemoryHomeserver() as memory_server,
        MatrixUser(memory_server.url, "ann") as ann,
        MatrixUser(memory_server.url, "bob") as bob,
    ):
        space_id = await ann.create_room(invite=[bob.user_id], creation_content={"type": "m.space"})
        await memory_server.fork(space_id, ann.user_id)
        await bob.join(space_id)
        await bob.send_text(space_id, "this stands on bob's side")
        await ann.send_state(space_id, CHILD, {"via": ["localhost"]}, "!chat")
        wanted = {"state": {"types": ["m.room.member"]}, "timeline": {"types": [CHILD]}}
        room = (await sync(ann, room=wanted))["rooms"]["join"][space_id]
        shown = {e["state_key"]: e["content"]["membership"] for e in room["state"]["events"]}
        assert shown == {ann.user_id: "join", bob.user_id: "invite"}
        assert (await ann.members(space_id))[bob.user_id] == "join"
        assert await links_shown(ann, space_id) == [{"via": ["localhost"]}]


async def test_a_transaction_is_known_after_its_sender_has_left(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    room_id = await ann.create_room(invite=[bob.user_id])
    await bob.join(room_id)
    content = {"msgtype": "m.text", "body": "once"}
    first = await bob.send_event(room_id, "m.room.message", content, txn_id="t1")
    await bob.leave(room_id)
    assert await bob.send_event(room_id, "m.room.message", content, txn_id="t1") == first
    with pytest.raises(MatrixRefused, match="403 M_FORBIDDEN"):
        await bob.send_event(room_id, "m.room.message", content, txn_id="t2")


async def test_the_same_state_again_is_no_new_event(log_in: LogIn) -> None:
    ann = await log_in("ann")
    room_id = await ann.create_room()
    first = await ann.send_state(room_id, "m.room.topic", {"topic": "tea"})
    assert await ann.send_state(room_id, "m.room.topic", {"topic": "tea"}) == first
    assert await ann.send_state(room_id, "m.room.topic", {"topic": "milk"}) != first


async def test_a_redaction_removes_the_content(log_in: LogIn) -> None:
    ann = await log_in("ann")
    room_id = await ann.create_room()
    sent = await ann.send_text(room_id, "secret")
    await ann.redact(room_id, sent)
    (event,) = [event for event in await ann.messages(room_id) if event.event_id == sent]
    assert event.content == {}


async def test_a_new_login_of_a_device_ends_its_earlier_token() -> None:
    """As in the specification, which Synapse does not follow here."""
    server = Homeserver("localhost")
    first, _ = server.log_in("@ann:localhost", "PHONE")
    other, _ = server.log_in("@ann:localhost", "LAPTOP")
    second, _ = server.log_in("@ann:localhost", "PHONE")
    assert server.session(other) == ("@ann:localhost", "LAPTOP")
    assert server.session(second) == ("@ann:localhost", "PHONE")
    with pytest.raises(Refused, match="Unknown access token"):
        server.session(first)


async def test_a_filter_leaves_out_senders(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    room_id = await ann.create_room(invite=[bob.user_id])
    await bob.join(room_id)
    asked = await bob.send_text(room_id, "question")
    await ann.send_text(room_id, "answer")
    timeline = {"types": ["m.room.message"], "not_senders": [ann.user_id], "limit": 1}
    room = (await sync(ann, room={"timeline": timeline}))["rooms"]["join"][room_id]
    assert [event["event_id"] for event in room["timeline"]["events"]] == [asked]


async def test_the_members_of_an_allowed_room_join_without_an_invitation(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    space = await ann.create_room(creation_content={"type": "m.space"})
    allow = {"type": "m.room_membership", "room_id": space}
    rule = {"join_rule": "restricted", "allow": [allow]}
    room = await ann.create_room(
        initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": rule}]
    )
    assert await ann.state_content(room, "m.room.join_rules") == rule
    with pytest.raises(MatrixRefused):
        await bob.join(room)
    path = f"/rooms/{escaped(space)}/invite"
    await ann.request("POST", path, {"user_id": bob.user_id, "reason": "Here it is."})
    invited = await ann.state_content(space, "m.room.member", bob.user_id)
    assert invited is not None
    assert invited["reason"] == "Here it is."
    await bob.join(space)
    await bob.join(room)
    assert (await ann.members(room))[bob.user_id] == "join"
