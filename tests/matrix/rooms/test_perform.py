"""Orders are carried out on a real Synapse, and repeating them changes nothing."""

import pytest

from machines.events.orders import (
    CreateRoom,
    Done,
    EnsureInvited,
    Joined,
    JoinRoom,
    LinkChild,
    LookUpName,
    NameFound,
    NameRoom,
    RedactMessage,
    Refused,
    RejectInvite,
    RoomCreated,
    SendMessage,
    StoreBinding,
)
from machines.ids import EventId, RoomId, TxnId, UserId
from matrix import MatrixClient
from matrix.rooms.initial_state import restricted_to
from sandbox.errors import MatrixRefused

pytestmark = pytest.mark.anyio

TXN = TxnId("txn-1")


async def created(bot: MatrixClient, order: CreateRoom) -> RoomId:
    outcome = await bot.perform(order, TXN)
    assert isinstance(outcome, RoomCreated)
    return outcome.room_id


async def test_a_user_can_talk_in_a_chat_but_neither_invite_nor_change_it(bot, person, account):
    space = await created(bot, CreateRoom("s", "Space", UserId(person.user_id), space=True))
    chat = await created(bot, CreateRoom("c", "Chat 1", UserId(person.user_id), parent=space))
    await person.join(chat)
    await person.join(space)
    assert await person.send_text(chat, "hello")
    for room in (space, chat):
        for attempt in (
            person.invite(room, account.user_id.replace("bot", "nobody")),
            person.send_state(room, "m.room.name", {"name": "Mine"}),
            person.send_state(room, "m.room.avatar", {"url": "mxc://a/b"}),
            person.send_state(room, "m.space.child", {"via": ["localhost"]}, chat),
            person.send_state(room, "org.example.any", {}),
            person.send_state(room, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"}),
            person.kick(room, account.user_id),
        ):
            with pytest.raises(MatrixRefused) as refused:
                await attempt
            assert refused.value.errcode == "M_FORBIDDEN"


async def test_space_and_chat_are_private_and_link_each_other(bot, person):
    space = await created(bot, CreateRoom("s", "Lambda — Me", UserId(person.user_id), space=True))
    chat = await created(bot, CreateRoom("c", "Chat 1", UserId(person.user_id), parent=space))
    assert isinstance(await bot.perform(LinkChild(space, chat), TXN), Done)
    await person.join(space)
    await person.join(chat)

    create = await person.state_content(space, "m.room.create")
    assert create is not None
    assert (create["type"], create["org.lambda.surfaces.nonce"]) == ("m.space", "s")
    child = await person.state_content(space, "m.space.child", chat)
    assert child == {"via": ["localhost"]}
    parent = await person.state_content(chat, "m.space.parent", space)
    assert parent == {"via": ["localhost"], "canonical": True}
    assert await person.state_content(space, "m.room.join_rules") == {"join_rule": "invite"}
    assert await person.state_content(chat, "m.room.join_rules") == restricted_to(space)
    assert await person.state_content(chat, "m.room.guest_access") == {"guest_access": "forbidden"}
    assert await person.state_content(chat, "m.room.name") == {"name": "Chat 1"}


async def test_a_room_is_created_once_even_if_another_process_repeats_the_order(
    bot, open_bot, person
):
    order = CreateRoom("nonce-1", "Chat 1", UserId(person.user_id))
    first = await created(bot, order)
    assert await created(bot, order) == first
    after_restart = await open_bot()
    assert await created(after_restart, order) == first
    assert await person.rooms_invited() == [first]


async def test_a_nonce_in_a_room_of_somebody_else_is_ignored(bot, person, account):
    trap = await person.create_room(
        invite=[account.user_id],
        creation_content={"org.lambda.surfaces.nonce": "nonce-2"},
    )
    await bot.perform(JoinRoom(RoomId(trap)), TXN)
    assert await created(bot, CreateRoom("nonce-2", "Chat", UserId(person.user_id))) != trap


async def test_a_message_sent_twice_under_one_transaction_id_is_one_event(bot, person):
    chat = await created(bot, CreateRoom("c", "Chat 1", UserId(person.user_id)))
    await person.join(chat)
    order = SendMessage(chat, "**hi**", answers=EventId("$asked"))
    first = await bot.perform(order, TxnId("t-1"))
    assert isinstance(first, Done)
    assert await bot.perform(order, TxnId("t-1")) == first
    assert [event.event_id for event in await person.replies_to(chat, "$asked")] == [first.event_id]

    edit = SendMessage(chat, "bye", edits=TxnId("t-1"), edits_event_id=first.event_id)
    assert isinstance(await bot.perform(edit, TxnId("t-2")), Done)
    assert await person.latest_text(chat, str(first.event_id)) == "bye"


@pytest.mark.parametrize("invited", [False, True], ids=["put out", "and invited again"])
async def test_a_sent_message_is_recognised_after_the_bot_left_the_room(
    bot, open_bot, person, account, invited
):
    room = RoomId(await person.create_room(invite=[account.user_id]))
    await bot.perform(JoinRoom(room), TXN)
    hello = SendMessage(room, "hello", answers=EventId("$1"))
    sent = await bot.perform(hello, TxnId("m"))
    assert isinstance(sent, Done)
    await person.kick(room, account.user_id)
    if invited:
        await person.invite(room, account.user_id)
    restarted = await open_bot()
    assert await restarted.perform(hello, TxnId("m")) == sent
    refused = await restarted.perform(hello, TxnId("another"))
    assert isinstance(refused, Refused)
    assert refused.kind == "forbidden"


async def test_a_message_can_be_redacted(bot, person):
    chat = await created(bot, CreateRoom("c", "Chat 1", UserId(person.user_id)))
    await person.join(chat)
    sent = await bot.perform(SendMessage(chat, "oops"), TxnId("t-1"))
    assert isinstance(sent, Done)
    order = RedactMessage(chat, TxnId("t-1"), redacts_event_id=sent.event_id)
    assert isinstance(await bot.perform(order, TxnId("t-2")), Done)
    assert await person.latest_content(chat, str(sent.event_id)) == {}


async def test_nothing_is_written_into_an_encrypted_room_in_plaintext(bot, person, account):
    room = RoomId(await person.create_room(invite=[account.user_id], encrypted=True))
    assert await bot.perform(JoinRoom(room), TXN) == Joined(room, encrypted=True)
    outcome = await bot.perform(SendMessage(room, "secret"), TXN)
    assert isinstance(outcome, Refused)
    assert outcome.kind == "encrypted"
    assert not [e for e in await person.messages(room) if e.type == "m.room.message"]


async def test_a_room_that_becomes_encrypted_is_not_written_to_any_more(bot, person, account):
    room = RoomId(await person.create_room(invite=[account.user_id]))
    assert await bot.perform(JoinRoom(room), TXN) == Joined(room, encrypted=False)
    batch, _ = await bot.initial_sync(None)
    assert isinstance(await bot.perform(SendMessage(room, "hello"), TXN), Done)
    await person.send_state(room, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    await bot.sync(batch.token)
    outcome = await bot.perform(SendMessage(room, "hello"), TxnId("t-2"))
    assert isinstance(outcome, Refused)


async def test_only_a_user_who_left_is_invited_again(bot, person):
    user = UserId(person.user_id)
    chat = await created(bot, CreateRoom("c", "Chat 1", user))
    assert await bot.perform(EnsureInvited(chat, user), TXN) == Done()
    await person.join(chat)
    assert await bot.perform(EnsureInvited(chat, user), TXN) == Done()
    events = await person.messages(chat)
    await person.leave(chat)
    assert await bot.perform(EnsureInvited(chat, user), TXN) == Done()
    assert chat in await person.rooms_invited()
    assert sum(e.content.get("membership") == "invite" for e in events) == 1


async def test_an_invitation_is_rejected_and_a_repetition_is_not_an_error(bot, person, account):
    room = RoomId(await person.create_room(invite=[account.user_id]))
    reject = RejectInvite(room, "Ask the operator.")
    assert await bot.perform(reject, TXN) == Done()
    assert await bot.perform(reject, TXN) == Done()
    left = await person.state_content(room, "m.room.member", account.user_id)
    assert (left["membership"], left["reason"]) == ("leave", "Ask the operator.")
    assert isinstance(await bot.perform(JoinRoom(room), TXN), Refused)


async def test_a_name_is_the_display_name_or_else_the_localpart(bot, person):
    localpart = person.user_id[1:].partition(":")[0]
    await person.set_display_name("Grace  \n Hopper")
    found = await bot.perform(LookUpName(UserId(person.user_id)), TXN)
    assert found == NameFound("Grace Hopper")
    await person.set_display_name("")
    assert await bot.perform(LookUpName(UserId(person.user_id)), TXN) == NameFound(localpart)
    nobody = UserId("@nobody-at-all:localhost")
    assert await bot.perform(LookUpName(nobody), TXN) == NameFound("nobody-at-all")


async def test_a_binding_and_a_name_are_stored_on_the_server(bot, person):
    chat = await created(bot, CreateRoom("c", "Chat 1", UserId(person.user_id)))
    assert await bot.perform(StoreBinding(chat, {"chat_id": "C1"}), TXN) == Done()
    assert isinstance(await bot.perform(NameRoom(chat, "Plans"), TXN), Done)
    room = (await bot.observe_room(chat)).rooms[chat]
    assert (room.binding, room.name) == ({"chat_id": "C1"}, "Plans")


async def test_a_refusal_of_the_homeserver_is_an_outcome(bot, person, account):
    gone = RoomId(await person.create_room())
    for order in (
        SendMessage(gone, "hi"),
        NameRoom(gone, "x"),
        EnsureInvited(gone, account.user_id),
    ):
        outcome = await bot.perform(order, TXN)
        assert isinstance(outcome, Refused)
        assert outcome.kind == "forbidden"


async def test_an_edit_of_a_message_that_was_never_sent_is_refused(bot, person):
    chat = await created(bot, CreateRoom("c", "Chat 1", UserId(person.user_id)))
    outcome = await bot.perform(SendMessage(chat, "x", edits=TxnId("never")), TXN)
    assert isinstance(outcome, Refused)


async def test_the_read_position_is_stored_on_the_server(bot, person):
    chat = await created(bot, CreateRoom("c", "Chat 1", UserId(person.user_id)))
    await person.join(chat)
    asked = EventId(await person.send_text(chat, "hello"))
    assert await bot.read_position(chat) is None
    await bot.mark_read(chat, asked, None)
    await bot.show_typing(chat, True)
    await bot.show_typing(chat, False)
    assert await bot.read_position(chat) is None
    await bot.mark_read(chat, asked, asked)
    assert await bot.read_position(chat) == asked
