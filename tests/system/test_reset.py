"""`reset` on a real homeserver: what it leaves, what it does not touch, and the dry run (contract section 12)."""

import json
import random

import pytest

from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Answer
from tests.system.commands import command, files, typing
from tests.system.users import PASSWORD, onboard

pytestmark = pytest.mark.anyio

SERVER = ("reset", "--mode", "server-leave-forget", "--json")
SITUATIONS = 3


async def use_bot(bot, user):
    """Run the bot through an onboarding and a conversation, and kill it."""
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(user, bot.user_id, name="Hello")
    await bot.daemon.kill()
    return onboarded


def witness(bot, url):
    """Return the bot's session."""
    session = json.loads((bot.daemon.directory / "matrix_store" / "session.json").read_text())
    return MatrixUser(url, bot.user_id, access_token=session["access_token"])


async def memberships(account):
    return {*await account.joined_rooms()}, {*await account.rooms_invited()}


async def test_a_dry_run_only_reads_and_the_real_run_does_what_it_listed(
    make_bot, proxy, synapse, user
):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    onboarded = await use_bot(bot, user)
    invited = await user.create_room(invite=[bot.user_id], name="Still open")
    async with witness(bot, synapse.url) as account:
        rooms = {onboarded.entry, onboarded.space, onboarded.chat}
        assert await memberships(account) == (rooms, {invited})
        devices, left = await account.devices(), files(bot.daemon.directory)
        already = len(proxy.requests)

        planned = await command(bot, *SERVER, "--dry-run")
        assert planned.code == 0, planned.err
        assert {proxied.method for proxied in proxy.requests[already:]} == {"GET"}
        assert (await account.devices(), files(bot.daemon.directory)) == (devices, left)
        assert await memberships(account) == (rooms, {invited})
        names = {line["room_id"]: line["name"] for line in planned.json["server"]}
        assert names.keys() == rooms | {invited}
        assert (names[onboarded.chat], names[onboarded.entry], names[invited]) == (
            *("Chat 1", "Hello", "Still open"),
        )

        done = await command(bot, *SERVER, "--yes")
        assert done.code == 0, done.err
        assert await memberships(account) == (set(), set())
        assert (await account.devices(), files(bot.daemon.directory)) == (devices, left)
        expected = planned.json | {"dry_run": False}
        for line in expected["server"]:
            line["action"] = "declined" if line["room_id"] == invited else "left_and_forgotten"
        assert done.json == expected

    assert (await user.members(onboarded.chat))[bot.user_id] == "leave"
    assert onboarded.chat in await user.joined_rooms(), "no room is deleted on the server"
    again = await command(bot, *SERVER, "--dry-run")
    assert again.json["server"] == []


async def test_a_room_that_cant_be_left_is_reported_and_the_others_are_done(
    make_bot, proxy, synapse, user
):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    onboarded = await use_bot(bot, user)
    refusal = json.dumps({"errcode": "M_FORBIDDEN", "error": "not today"}).encode()

    def refuse(proxied):
        of_chat = onboarded.chat.removeprefix("!") in proxied.path
        return Answer(403, refusal) if proxied.write and of_chat else None

    proxy.fault = refuse
    done = await command(bot, *SERVER, "--yes")
    assert done.code == 1
    assert done.err.count("\n") == 1
    lines = {line["room_id"]: line for line in done.json["server"]}
    assert lines.pop(onboarded.chat)["action"] == "failed"
    assert {line["action"] for line in lines.values()} == {"left_and_forgotten"}
    async with witness(bot, synapse.url) as account:
        assert await account.joined_rooms() == [onboarded.chat]
    proxy.clear_fault()
    assert (await command(bot, *SERVER, "--yes")).json["server"] == [
        {"room_id": onboarded.chat, "name": "Chat 1", "action": "left_and_forgotten"}
    ]


async def test_rate_limits_of_the_homeserver_are_respected(make_bot, proxy, synapse, user):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    await use_bot(bot, user)
    limited = json.dumps({"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 300}).encode()
    answered = []

    def limit_the_first_two(proxied):
        if proxied.write and len(answered) < 2:
            answered.append(proxied)
            return Answer(429, limited)
        return None

    already = len(proxy.writes)
    proxy.fault = limit_the_first_two
    done = await command(bot, *SERVER, "--yes")
    assert done.code == 0, done.err
    first, second, third, *_ = (proxied.at for proxied in proxy.writes[already:])
    assert min(second - first, third - second) >= 0.3
    async with witness(bot, synapse.url) as account:
        assert await memberships(account) == (set(), set())


async def test_without_a_session_it_logs_in_and_out_and_leaves_no_device(make_bot, synapse, user):
    bot = await make_bot()
    room = await user.create_room(invite=[bot.user_id], name="Hello")
    async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as account:
        devices = [device["device_id"] for device in await account.devices()]
        assert len(devices) == 1, "the witness's own"
        planned = await command(bot, *SERVER, "--dry-run")
        assert [line["room_id"] for line in planned.json["server"]] == [room]
        assert await account.rooms_invited() == [room]
        assert files(bot.daemon.directory) == {}
        done = await command(bot, *SERVER, "--yes")
        assert done.code == 0, done.err
        assert (await user.members(room))[bot.user_id] == "leave"
        assert [device["device_id"] for device in await account.devices()] == devices
    assert files(bot.daemon.directory) == {}


async def test_a_configured_token_is_used_as_it_is(make_bot, synapse, user):
    bot = await make_bot()
    room = await user.create_room(invite=[bot.user_id], name="Hello")
    async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as account:
        token = account.access_token
        settings = {"MATRIX_PASSWORD": "", "MATRIX_ACCESS_TOKEN": token}
        planned = await command(bot, *SERVER, "--dry-run", **settings)
        assert [line["room_id"] for line in planned.json["server"]] == [room]
        assert (await command(bot, *SERVER, "--yes", **settings)).code == 0
        assert len(await account.devices()) == 1, "and it still works"
    assert files(bot.daemon.directory) == {}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"MATRIX_PASSWORD": "wrong"}, 3),
        ({"MATRIX_PASSWORD": "", "MATRIX_ACCESS_TOKEN": "nobody's"}, 3),
        ({"MATRIX_HOMESERVER": "http://127.0.0.1:1"}, 1),
    ],
)
async def test_a_refusal_of_the_homeserver_is_printed_in_one_line(make_bot, settings, code):
    result = await command(await make_bot(), *SERVER, "--dry-run", **settings)
    assert (result.code, result.out) == (code, "")
    assert result.err.count("\n") == 1
    assert "wrong" not in result.err


async def test_on_a_terminal_it_is_done_only_when_confirmed_in_writing(make_bot, synapse, user):
    bot = await make_bot()
    room = await user.create_room(invite=[bot.user_id], name="Hello")
    with typing("yes, please") as terminal:
        refused = await command(bot, *SERVER, stdin=terminal)
    assert (refused.code, refused.out) == (2, "")
    assert (await user.members(room))[bot.user_id] == "invite"
    async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as account:
        assert len(await account.devices()) == 1, "the witness's own, and none of the refused run"
    with typing(bot.user_id) as terminal:
        done = await command(bot, *SERVER, stdin=terminal)
    assert done.code == 0, done.err
    assert "would turn down" in done.err
    assert (await user.members(room))[bot.user_id] == "leave"


async def test_it_refuses_while_a_daemon_runs_and_asks_the_homeserver_nothing(
    make_bot, proxy, user
):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(user, bot.user_id)
    already = len(proxy.requests)
    for arguments in (("reset",), (*SERVER, "--yes")):
        result = await command(bot, *arguments)
        assert (result.code, result.out) == (5, "")
    asked = [proxied.path.rsplit("/", 1)[-1] for proxied in proxy.requests[already:]]
    assert not {"login", "whoami", "joined_rooms", "leave"} & set(asked)
    left = files(bot.daemon.directory / "matrix_store")
    already = len(proxy.requests)
    async with witness(bot, proxy.url) as account:
        devices = await account.devices()
        for mode in ("local-only", "server-leave-forget"):
            shown = await command(bot, "reset", "--mode", mode, "--dry-run")
            assert "A daemon is running: the real run refuses (exit 5)" in shown.out
            planned = await command(bot, "reset", "--mode", mode, "--dry-run", "--json")
            assert planned.code == 0, planned.err
            assert planned.err.count("\n") == 1
            assert "held by another daemon" in planned.err
            assert "the real run refuses (exit 5)" in planned.err
        assert await account.devices() == devices
    assert not any(proxied.path.endswith("/login") for proxied in proxy.requests[already:])
    assert files(bot.daemon.directory / "matrix_store") == left
    assert {line["room_id"] for line in planned.json["server"]} == {
        *(onboarded.entry, onboarded.space, onboarded.chat),
    }
    assert bot.user_id in await user.members(onboarded.chat)
    await onboarded.ask("are you still there?")


async def test_after_a_local_reset_the_bot_finds_its_rooms_again(make_bot, synapse, user):
    bot = await make_bot()
    onboarded = await use_bot(bot, user)
    done = await command(bot, "reset", "--json")
    assert done.code == 0, done.err
    assert files(bot.daemon.directory) == {}
    await bot.daemon.start()
    await bot.daemon.wait_live()
    assert (await onboarded.ask("do you remember?")).answers
    found = await command(bot, "inspect-room", onboarded.chat, "--json")
    assert (found.json["state"], found.json["chat_id"]) == ("bound", "C1")


async def test_generated_accounts_end_as_their_dry_runs_list(make_bot, make_user, synapse):
    chance = random.Random(12)
    bot = await make_bot()
    users = [await make_user() for _ in range(2)]
    async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as account:
        for _ in range(SITUATIONS):
            expected, invited = {}, set()
            for number in range(chance.randint(0, 4)):
                name = chance.choice(["", f"Room {number}", "Чат"])
                options = {"name": name} if name else {}
                kind = chance.choice(["invited", "joined", "own", "left", "kicked"])
                user = chance.choice(users)
                if kind == "own":
                    room = await account.create_room(invite=[user.user_id], **options)
                else:
                    room = await user.create_room(invite=[bot.user_id], **options)
                if kind in ("joined", "left"):
                    await account.join(room)
                if kind == "left":
                    await account.leave(room)
                if kind == "kicked":
                    await user.kick(room, bot.user_id)
                if kind in ("invited", "joined", "own"):
                    expected[room] = name
                if kind == "invited":
                    invited.add(room)
            planned = await command(bot, *SERVER, "--dry-run")
            done = await command(bot, *SERVER, "--yes")
            for result, left, declined in (
                (planned, "would_leave_and_forget", "would_decline"),
                (done, "left_and_forgotten", "declined"),
            ):
                assert result.code == 0, result.err
                for line in result.json["server"]:
                    assert line["action"] == (declined if line["room_id"] in invited else left)
                lines = {line["room_id"]: line["name"] for line in result.json["server"]}
                assert lines == expected
            assert await memberships(account) == (set(), set())
