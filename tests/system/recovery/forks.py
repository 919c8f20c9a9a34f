"""Creates forks: sends two events at the same time until the homeserver's full-state sync misses one (fact 19).

Both follow the same event. The room has two ends until its next event. Its current state has both sides, but a sync
shows the state after the last event.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import anyio

from tests.support.matrix_user import MatrixUser
from tests.support.proxy import ProxiedRequest, Proxy
from tests.system.conftest import MakeUser
from tests.system.recovery.bot_internals import BotInternals
from tests.system.recovery.recovery_fixture import open_chat
from tests.system.users import OnboardedUser, notice

ATTEMPTS = 20
CHILD = "m.space.child"
ENCRYPTION = "m.room.encryption"
_MEGOLM = {"algorithm": "m.megolm.v1.aes-sha2"}


async def shown(
    internals: BotInternals, room: str, event_type: str, state_key: str = ""
) -> dict[str, Any] | None:
    """Return a state event's content as a full-state sync shows it to the bot; None when it is left out."""
    never = f"org.example.never.{uuid.uuid4().hex}"  # a repeated request would get its old response (fact 18)
    wanted = {
        "presence": {"not_types": ["*", never]},
        "room": {"state": {"types": [event_type]}, "timeline": {"not_types": ["*"]}},
    }
    query = {"timeout": "0", "full_state": "true", "filter": json.dumps(wanted)}
    async with internals.account() as account:
        answer = await account.request("GET", "/sync", params=query)
    for event in answer["rooms"]["join"][room]["state"]["events"]:
        if event["state_key"] == state_key:
            content: dict[str, Any] = event["content"]
            return content
    return None


async def is_linked(internals: BotInternals, onboarded: OnboardedUser) -> bool:
    """Whether the current state of the Space has the chat, whatever a sync shows."""
    async with internals.account() as account:
        return bool(await account.state_content(onboarded.space, CHILD, onboarded.chat))


async def misses_link(internals: BotInternals, onboarded: OnboardedUser) -> bool:
    """Whether a full-state sync shows the bot a Space without its chat."""
    link = await shown(internals, onboarded.space, CHILD, onboarded.chat)
    return not (link or {}).get("via")


# -- the Space and its chat


async def onboard_at_once(
    internals: BotInternals, proxy: Proxy, make_user: MakeUser
) -> OnboardedUser:
    """Onboard users one by one; each joins the Space at the moment when the bot links the chat.

    Returns the first of them whose link the sync misses. The bot is live behind the proxy.
    """
    for _ in range(ATTEMPTS):
        onboarded = await _come_at_the_link(await make_user(), internals.bot.user_id, proxy)
        if await misses_link(internals, onboarded):
            assert await is_linked(internals, onboarded)
            return onboarded
    raise AssertionError(f"no room forked in {ATTEMPTS} attempts")


async def _come_at_the_link(user: MatrixUser, bot: str, proxy: Proxy) -> OnboardedUser:
    linking = anyio.Event()
    rooms: list[str] = []

    def watch(proxied: ProxiedRequest) -> None:
        path = proxied.path.split("/")
        if proxied.method == "PUT" and CHILD in path:
            rooms.extend(unquote(path[path.index(CHILD) + step]) for step in (-2, 1))
            linking.set()

    proxy.fault = watch
    entry = await user.create_room(invite=[bot])
    with anyio.fail_after(30):
        await linking.wait()
    proxy.clear_fault()
    space, chat = rooms
    await user.join(space)
    await user.join(chat)
    await notice(user, chat)
    await notice(user, entry)
    return OnboardedUser(user, bot, entry, space, chat)


async def link_at_once(internals: BotInternals, onboarded: OnboardedUser) -> None:
    """Remove the link of a chat and set it again at the same time as the user writes; the bot is down.

    A sync then shows the link as it was in between: removed.
    """
    assert not internals.bot.daemon.running
    link = {"via": ["localhost"]}
    for _ in range(ATTEMPTS):
        await internals.link(onboarded.space, onboarded.chat, via=())
        async with internals.account() as account:
            await _both(account, onboarded.user, onboarded.space, (CHILD, link, onboarded.chat))
        if await misses_link(internals, onboarded):
            assert await is_linked(internals, onboarded)
            return
    raise AssertionError(f"the Space did not fork in {ATTEMPTS} attempts")


async def _both(
    account: MatrixUser, user: MatrixUser, room: str, state: tuple[str, Mapping[str, Any], str]
) -> None:
    """Set a state event with the bot's session while a user sends an event that the bot never reads."""
    async with anyio.create_task_group() as group:
        group.start_soon(account.send_state, room, *state)
        group.start_soon(user.send_event, room, "org.example.note", {})


# -- encryption


async def encrypt_at_once(internals: BotInternals, onboarded: OnboardedUser) -> tuple[str, str]:
    """Encrypt a chat at the same time as the user writes there; return the chat and the question.

    A chat can be encrypted once, so that each attempt uses a new one. The bot is live.
    """
    for number in range(ATTEMPTS):
        chat = await open_chat(onboarded, f"Secrets {number}")
        asked: list[str] = []

        async def ask(chat: str = chat, asked: list[str] = asked) -> None:
            asked.append(await onboarded.user.send_text(chat, "tell me"))

        async with internals.account() as account, anyio.create_task_group() as group:
            group.start_soon(account.send_state, chat, ENCRYPTION, _MEGOLM)
            group.start_soon(ask)
        if await shown(internals, chat, ENCRYPTION) is None:
            return chat, asked[0]
    raise AssertionError(f"no chat forked in {ATTEMPTS} attempts")
