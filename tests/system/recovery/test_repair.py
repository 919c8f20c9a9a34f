"""A room the live bot does not know gets one repair, then a diagnosis (contracts C7, C8, C10, R1, R2)."""

import time

import pytest

from tests.support.proxy import Hold, Proxy
from tests.system.recovery.bot_internals import BotInternals
from tests.system.recovery.conftest import MakeInternals
from tests.system.users import answer_to, notice, onboard, replies

pytestmark = pytest.mark.anyio

COMMANDS = (
    "!help",
    "!chats",
    "!settings",
    "!skills",
    "!skill on web-search",
    "!soul kind",
    "!safety",
    "!agent 1",
    "!context",
    "!load",
    "!cancel",
    "!yes",
    "!no",
    "!stop",
    "!list",
    "!remove all",
    "!rename Study",
    "!clear",
    "!nonsense",
)
COOL_DOWN_S = 60.0


@pytest.fixture
async def internals(make_internals: MakeInternals, proxy: Proxy) -> BotInternals:
    """A bot behind a proxy, which can hold the writes of a repair."""
    return await make_internals(MATRIX_HOMESERVER=proxy.url)


def is_binding(proxied) -> bool:
    return proxied.method == "PUT" and "/account_data/" in proxied.path


def transitions_of(room) -> list[tuple[str, str, str]]:
    return [(each["event"], each["source"], each["target"]) for each in room["transitions"]]


async def break_link(internals, onboarded) -> None:
    """Remove the chat from its Space while the bot is down."""
    assert await internals.bot.daemon.stop() == 0
    await internals.link(onboarded.space, onboarded.chat, via=())


async def failure_notices(user, room) -> list[str]:
    """Return the notices in a room that its state could not be restored."""
    return [event.body for event in await user.messages(room) if "restore" in event.body]


async def test_an_older_room_is_bound_by_its_first_message_which_is_answered(
    internals, proxy, agent, user
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    async with internals.account() as account:
        older = await account.create_room(invite=[user.user_id], name="From before")
    await internals.link(onboarded.space, older)
    await user.join(older)
    proxy.fault = lambda proxied: Hold() if is_binding(proxied) else None
    asked = await user.send_text(older, "do you know me?")
    await proxy.wait_until(lambda: len(proxy.faulted) == 1)
    # Its numbers are stored on the homeserver before they are used (C4).
    waiting = await internals.inspect(older)
    assert (waiting["state"], waiting["inbox_pending"], waiting["turn"]) == ("reconciling", 1, None)
    proxy.clear_fault()
    assert (await answer_to(user, older, asked)).body == "echo: do you know me?"
    (request,) = [each for each in agent.requests if each.message_id == asked]
    room = await internals.inspect(older)
    assert room["state"] == "bound"
    number = str(int((await internals.values())[onboarded.chat]["platform_chat_id"]) + 1)
    assert (room["chat_id"], room["platform_chat_id"]) == ("C2", number)
    assert (room["space_id"], room["matrix_user_id"]) == (onboarded.space, user.user_id)
    assert (room["name"], request.chat_id) == ("From before", number)
    assert transitions_of(room) == [
        ("user_wrote", "unregistered", "reconciling"),
        ("topology_confirmed", "reconciling", "bound"),
    ]
    binding = (await internals.bindings(older))[older]
    assert binding is not None
    assert (binding["chat_id"], binding["platform_chat_id"]) == ("C2", number)
    created = await onboarded.ask("!new Next")
    assert created.msgtype == "m.notice"
    assert {each["chat_id"] for each in (await internals.values()).values()} == {"C1", "C2", "C3"}


async def test_a_room_that_can_not_be_repaired_gets_one_notice(internals, agent, user):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    await break_link(internals, onboarded)
    report = await internals.start()
    assert onboarded.chat in {each["room_id"] for each in report["skipped"]}
    broken = await internals.inspect(onboarded.chat)
    assert broken["state"] == "failed"
    assert transitions_of(broken)[-2:] == [
        ("difference_found", "bound", "reconciling"),
        ("topology_refused", "reconciling", "failed"),
    ]
    assert all(each["reason"] for each in broken["transitions"])
    asked = [await user.send_text(onboarded.chat, "are you there?")]
    reported = await notice(user, onboarded.chat, "restore")
    assert "operator" in reported.body
    asked += [await user.send_text(onboarded.chat, text) for text in ("hello?", *COMMANDS)]
    # Another room still works; after its answer, all of the above is handled.
    await onboarded.ask("!help", onboarded.entry)
    # One for the failure, and once more for the commands after it (contracts C7, C8).
    assert len(await failure_notices(user, onboarded.chat)) == 2
    (warning,) = internals.warnings(onboarded.chat)
    assert (warning["level"], warning["matrix_user_id"]) == ("warning", user.user_id)
    assert warning["report"]["room_id"] == onboarded.chat
    assert warning["report"]["remarks"]
    failed = await internals.inspect(onboarded.chat)
    assert (failed["state"], failed["inbox_pending"]) == ("failed", len(asked))
    assert transitions_of(failed)[-2:] == [
        ("user_wrote", "failed", "reconciling"),
        ("topology_refused", "reconciling", "failed"),
    ]
    assert failed["report"]["remarks"] == warning["report"]["remarks"]
    assert [each for each in agent.requests if each.message_id in asked] == []
    # After a restart with the link restored, each of them is answered, in order.
    await internals.bot.daemon.stop()
    await internals.link(onboarded.space, onboarded.chat)
    await internals.start()
    for message_id in asked:
        await answer_to(user, onboarded.chat, message_id)
    given = [reply.answers for reply in await replies(user, onboarded.chat)]
    assert sorted(given) == sorted(asked)
    assert [each for each in given if each in asked[:2]] == asked[:2]
    assert len(await failure_notices(user, onboarded.chat)) == 2
    assert internals.bot.daemon.lines("actor_fault") == []


async def test_a_repair_is_retried_after_the_cool_down_and_waiting_messages_are_answered_in_order(
    internals, proxy, agent, user
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    await break_link(internals, onboarded)
    await internals.start()
    asked = [await user.send_text(onboarded.chat, "one")]
    await notice(user, onboarded.chat, "restore")
    asked += [await user.send_text(onboarded.chat, text) for text in ("two", "three")]
    await onboarded.ask("!help", onboarded.entry)
    # As if most of the minute had passed, so that it ends soon after the start.
    await internals.bot.daemon.stop()
    tried_at = time.time() - COOL_DOWN_S + 4.0
    internals.damage("UPDATE rooms SET repaired_at = ? WHERE room_id = ?", tried_at, onboarded.chat)
    state = f"/rooms/{onboarded.chat}/state"
    proxy.fault = lambda proxied: Hold() if proxied.path.endswith(state) else None
    await internals.start()
    await proxy.wait_until(lambda: len(proxy.faulted) == 1)
    assert proxy.faulted[0].at >= tried_at + COOL_DOWN_S
    await internals.link(onboarded.space, onboarded.chat)
    proxy.clear_fault()
    asked.append(await user.send_text(onboarded.chat, "four"))
    for message_id in asked:
        await answer_to(user, onboarded.chat, message_id)
    given = [reply.answers for reply in await replies(user, onboarded.chat)]
    assert given == asked
    assert [each.text for each in agent.requests if each.message_id in asked] == [
        "one",
        "two",
        "three",
        "four",
    ]
    room = await internals.inspect(onboarded.chat)
    # By the timer, or by a message where the start took longer than the rest of the minute.
    assert [(source, target) for _, source, target in transitions_of(room)[-2:]] == [
        ("failed", "reconciling"),
        ("reconciling", "bound"),
    ]
    assert len(internals.warnings(onboarded.chat)) == 1
    assert len(await failure_notices(user, onboarded.chat)) == 1
