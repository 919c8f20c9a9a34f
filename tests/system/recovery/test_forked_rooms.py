"""No room is lost when a full-state sync misses a part of the current state (contracts C1, C11, L3; fact 19).

Nothing here happens in the forked room after its fork, so that every start is shown the same half of it.
"""

from collections import Counter

import anyio
import pytest

from tests.support.agent_script import (
    End,
    Text,
    Wait,
    echo,
)
from tests.support.proxy import Proxy
from tests.system.recovery.bot_internals import BotInternals
from tests.system.recovery.conftest import MakeInternals
from tests.system.recovery.forks import (
    ENCRYPTION,
    encrypt_at_once,
    is_linked,
    link_at_once,
    misses_link,
    onboard_at_once,
    shown,
)
from tests.system.users import PARTIAL, onboard, replies, text_of

pytestmark = pytest.mark.anyio

BEGINNING = "It begins"
WHOLE = "It begins, and it ends."
STARTS = 2


@pytest.fixture
async def internals(make_internals: MakeInternals, proxy: Proxy) -> BotInternals:
    """A bot behind a proxy, which reports when a chat is linked."""
    return await make_internals(MATRIX_HOMESERVER=proxy.url)


class SlowAgent:
    """Sends the beginning, unless it is `silent`, and continues when `go_on` is set."""

    def __init__(self, *, silent=False):
        self.go_on = anyio.Event()
        self.silent = silent

    async def __call__(self, request):
        if not self.silent:
            yield Text(BEGINNING)
        yield Wait(self.go_on)
        yield Text(WHOLE.removeprefix(BEGINNING))
        yield End()


@pytest.fixture(params=["left out", "contradicted"])
async def mid_answer(request, internals, proxy, agent, make_user):
    """Kill the bot in the middle of its answer; the sync omits the link of the chat, or shows it as removed."""
    await internals.start()
    if request.param == "left out":
        onboarded = await onboard_at_once(internals, proxy, make_user)
    else:
        onboarded = await onboard(await make_user(), internals.bot.user_id)
    assert text_of(await onboarded.ask("are you there?")) == "echo: are you there?"
    values = await internals.values()
    agent.script = slow = SlowAgent()
    message_id = await onboarded.user.send_text(onboarded.chat, "tell me")
    begun = await onboarded.user.wait_for(lambda event: event.answers == message_id)
    assert begun.content[PARTIAL] is True
    await internals.bot.daemon.kill()
    if request.param == "contradicted":
        await link_at_once(internals, onboarded)
    return onboarded, values, slow, begun


async def asked(agent, message_id, times) -> None:
    """Wait until the agent has got a message that often."""
    while [request.message_id for request in agent.requests].count(message_id) < times:
        await agent.next_request(30.0)


async def answered_or_refused(internals, user, chat, known) -> None:
    """Wait until the bot answers in a chat, or logs that it does not."""
    daemon = internals.bot.daemon

    async def written() -> None:
        await user.wait_for(
            lambda event: (
                event.room_id == chat
                and event.sender == internals.bot.user_id
                and event.type in ("m.room.message", "m.room.encrypted")
                and event.event_id not in known
            )
        )
        group.cancel_scope.cancel()

    async def refused() -> None:
        pid = daemon.pid
        await daemon.wait_log(
            lambda line: (
                (line["event"], line.get("room_id"), line["pid"]) == ("order_refused", chat, pid)
            )
        )
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(written)
        group.start_soon(refused)


@pytest.mark.parametrize("lost", [False, True], ids=["with its database", "without"])
async def test_a_chat_whose_link_the_sync_misses_keeps_its_state_and_its_turn_continues(
    mid_answer, internals, agent, lost
):
    onboarded, values, slow, begun = mid_answer
    message_id = begun.answers
    rooms = 3 * len({value["matrix_user_id"] for value in values.values()})
    for start in range(1, STARTS + 1):
        assert await misses_link(internals, onboarded)
        if lost:
            internals.lose_database()
        report = await internals.start()
        assert (report["skipped"], report["conflicts"]) == ([], [])
        counted = (rooms, 0) if lost else (0, rooms)
        assert (report["rooms_recovered"], report["rooms_unchanged"]) == counted
        assert report["backfilled"] == 0
        assert await internals.values() == values
        await asked(agent, message_id, times=1 + start)
        if start < STARTS:
            await internals.bot.daemon.kill()
    slow.go_on.set()
    ended = await onboarded.user.wait_for(
        lambda event: event.answers == message_id and PARTIAL not in event.content
    )
    assert (ended.replaces, text_of(ended)) == (begun.event_id, WHOLE)
    assert text_of(await onboarded.ask("and then?")) == WHOLE
    assert (
        Counter(reply.answers for reply in await replies(onboarded.user, onboarded.chat))[
            message_id
        ]
        == 1
    )
    assert await misses_link(internals, onboarded)
    assert await is_linked(internals, onboarded)


@pytest.mark.parametrize("lost", [False, True], ids=["with its database", "without"])
async def test_a_chat_whose_encryption_the_sync_misses_gets_no_plaintext(
    internals, agent, user, lost
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    agent.script = SlowAgent(silent=True)
    chat, message_id = await encrypt_at_once(internals, onboarded)
    await asked(agent, message_id, times=1)
    await internals.bot.daemon.kill()
    before = {event.event_id for event in await user.messages(chat)}
    agent.script = echo
    for start in range(1, STARTS + 1):
        assert await shown(internals, chat, ENCRYPTION) is None
        if lost:
            internals.lose_database()
        await internals.start()
        if start == 1:
            await answered_or_refused(internals, user, chat, before)
        await onboarded.ask("are you there?")
        await internals.bot.daemon.kill()
        after = [event for event in await user.messages(chat) if event.event_id not in before]
        assert [event.body for event in after if event.sender == onboarded.bot and event.body] == []
