"""Users on a real homeserver: they send, receive and wait for events."""

import uuid
from collections.abc import AsyncIterator

import anyio
import pytest

from sandbox.errors import MatrixRefused, WaitTimeout
from sandbox.room_event import ANSWERS
from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser


async def new_user(synapse: Synapse, name: str) -> MatrixUser:
    localpart = f"{name}-{uuid.uuid4().hex[:8]}"
    await synapse.register(localpart, "secret")
    return MatrixUser(synapse.url, localpart, "secret")


@pytest.fixture
async def ann(synapse: Synapse) -> AsyncIterator[MatrixUser]:
    async with await new_user(synapse, "ann") as ann:
        yield ann


@pytest.fixture
async def bob(synapse: Synapse) -> AsyncIterator[MatrixUser]:
    async with await new_user(synapse, "bob") as bob:
        yield bob


async def room_of(ann: MatrixUser, bob: MatrixUser) -> str:
    room_id = await ann.create_room(invite=[bob.user_id])
    await bob.join(room_id)
    return room_id


async def test_an_invitation_is_seen_and_accepted(ann: MatrixUser, bob: MatrixUser) -> None:
    room_id = await ann.create_room(invite=[bob.user_id], name="Tea")
    invitation = await bob.wait_for(lambda event: event.content.get("membership") == "invite")
    assert (invitation.room_id, invitation.sender) == (room_id, ann.user_id)
    assert await bob.rooms_invited() == [room_id]
    await bob.join(room_id)
    assert await bob.rooms_invited() == []
    assert await ann.members(room_id) == {ann.user_id: "join", bob.user_id: "join"}
    assert await bob.state_content(room_id, "m.room.name") == {"name": "Tea"}
    assert await bob.state_content(room_id, "m.room.topic") is None


async def test_waiting_ends_when_a_message_is_sent(ann: MatrixUser, bob: MatrixUser) -> None:
    room_id = await room_of(ann, bob)
    received: list[str] = []

    async def listen(word: str) -> None:
        received.append((await bob.wait_for(lambda event: event.body == word)).body)

    async with anyio.create_task_group() as group:
        group.start_soon(listen, "one")
        group.start_soon(listen, "two")
        await ann.send_text(room_id, "two")
        await ann.send_text(room_id, "one")
    assert sorted(received) == ["one", "two"]


async def test_a_wait_timeout_shows_the_last_events(ann: MatrixUser) -> None:
    room_id = await ann.create_room()
    await ann.send_text(room_id, "something else")
    with pytest.raises(WaitTimeout, match="something else"):
        await ann.wait_for(lambda event: event.body == "the right thing", timeout_s=0.3)


async def test_a_gap_in_the_timeline_is_filled_in_order(ann: MatrixUser, bob: MatrixUser) -> None:
    room_id = await room_of(ann, bob)
    await bob.wait_for(lambda event: event.content.get("membership") == "join")
    sent = [str(n) for n in range(105)]
    for text in sent:
        await ann.send_text(room_id, text)
    await bob.wait_for(lambda event: event.body == sent[-1])
    assert [event.body for event in bob.stream.seen if event.type == "m.room.message"] == sent
    history = await bob.messages(room_id)
    assert history[0].type == "m.room.create"
    assert [event.body for event in history if event.type == "m.room.message"] == sent


async def test_an_edit_counts_only_from_the_author(ann: MatrixUser, bob: MatrixUser) -> None:
    room_id = await room_of(ann, bob)
    question = await bob.send_text(room_id, "question")
    answer = await ann.send_text(room_id, "ans", **{ANSWERS: question})
    await ann.edit(room_id, answer, "answer")
    await bob.edit(room_id, answer, "forged")
    assert await bob.latest_text(room_id, answer) == "answer"
    assert [event.event_id for event in await bob.replies_to(room_id, question)] == [answer]
    await ann.redact(room_id, answer)
    assert await bob.replies_to(room_id, question) == []


async def test_account_data_and_devices_are_read_back(ann: MatrixUser) -> None:
    room_id = await ann.create_room(encrypted=True)
    assert await ann.state_content(room_id, "m.room.encryption") is not None
    assert await ann.account_data("org.example.note", room_id) is None
    path = f"/user/{ann.user_id}/rooms/{room_id}/account_data/org.example.note"
    await ann.request("PUT", path, {"text": "kept"})
    assert await ann.account_data("org.example.note", room_id) == {"text": "kept"}
    assert [device["device_id"] for device in await ann.devices()] == [ann.device_id]


async def test_a_token_continues_a_session_without_a_new_device(
    synapse: Synapse, ann: MatrixUser
) -> None:
    token = ann.access_token
    async with MatrixUser(synapse.url, ann.user_id, access_token=token) as same:
        assert same.user_id == ann.user_id
        assert same.device_id == ann.device_id
        assert len(await same.devices()) == 1


async def test_a_refusal_names_the_request_and_the_reason(ann: MatrixUser, bob: MatrixUser) -> None:
    room_id = await ann.create_room()
    with pytest.raises(MatrixRefused, match=r"POST .*/join/.*403 M_FORBIDDEN"):
        await bob.join(room_id)
