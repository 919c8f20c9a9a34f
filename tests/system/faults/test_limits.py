"""Agents with endless answers of several kinds: one plain end, and other rooms are not affected (E13, D14)."""

import json
import time
from collections.abc import AsyncIterator

import pytest

from machines.i18n import catalog_for
from sandbox.synapse import Synapse
from tests.support.agent_script import Raw, SendFile, Step, Text, Tool, Update
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.system.conftest import register_bot
from tests.system.users import PARTIAL, PASSWORD, OnboardedUser, onboard, text_of

pytestmark = pytest.mark.anyio

MAX_KB, MAX_TURN_S = 20, 4.0
A_LITTLE_S = 6.0
CATALOG = catalog_for("en", "Lambda")
QUESTION = {"kind": "confirmation", "id": "c", "title": "Sure? " * 500, "description": "…" * 9_000}
HUGE = 4 * 1024 * 1024 - 200

TOO_LONG: dict[str, Step] = {
    "words": Text("word " * 20),
    "4 MiB of text": Text("x" * HUGE),
}
TOO_SLOW: dict[str, Step] = {
    "empty words": Text(""),
    "tools": Tool("search\n" * 1_000),
    "progress": Update({"kind": "progress", "text": "reading " * 1_000}),
    "questions": Update(QUESTION),
    "files": SendFile("a/" * 2_000 + "b"),
    "frames that nobody knows": Raw('{"type":"NEW"}'),
    "4 MiB of results": Raw(
        json.dumps({"type": "AGENT_EVENT_TOOL_RESULT", "result": [1] * (HUGE // 4)})
    ),
}


@pytest.fixture(scope="module")
async def two_users(
    synapse: Synapse, session_agent: AgentServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[OnboardedUser, OnboardedUser]]:
    """Two users of a bot with small limits of time and length."""
    bot = await register_bot(
        synapse,
        tmp_path_factory.mktemp("limits"),
        session_agent,
        AGENT_MAX_ANSWER_KB=str(MAX_KB),
        AGENT_MAX_TURN_S=str(MAX_TURN_S),
        SURFACES_LOG_LEVEL="info",
    )
    users = [await synapse.register(f"a-limited-user-{n}", PASSWORD) for n in range(2)]
    async with (
        bot.daemon as daemon,
        MatrixUser(synapse.url, users[0], PASSWORD) as one,
        MatrixUser(synapse.url, users[1], PASSWORD) as other,
    ):
        await daemon.wait_live()
        yield await onboard(one, bot.user_id), await onboard(other, bot.user_id)


@pytest.mark.parametrize("kind", [*TOO_LONG, *TOO_SLOW])
async def test_an_endless_answer_is_ended_and_other_rooms_are_answered(two_users, agent, kind):
    onboarded, other = two_users
    step = TOO_LONG.get(kind) or TOO_SLOW[kind]

    async def script(request):
        if request.text != "endless":
            yield Text(f"echo: {request.text}")
            yield Raw('{"type":"AGENT_EVENT_END","tokens_used":1}')
        while request.text == "endless":
            yield step

    agent.script = script
    asked_before = len(agent.requests)
    began = time.monotonic()
    asked = await onboarded.user.send_text(onboarded.chat, "endless")
    waits = []
    for number in range(3):
        began_other = time.monotonic()
        assert text_of(await other.ask(f"{kind} {number}")) == f"echo: {kind} {number}"
        waits.append(time.monotonic() - began_other)
    sentence = CATALOG.answer_too_long() if kind in TOO_LONG else CATALOG.agent_gave_up("too_slow")
    end = await onboarded.user.wait_for(
        lambda event: (
            event.answers == asked and PARTIAL not in event.content and sentence in text_of(event)
        ),
        30.0,
    )
    assert time.monotonic() - began < MAX_TURN_S + A_LITTLE_S
    assert max(waits) < A_LITTLE_S
    assert len(text_of(end)) < MAX_KB * 1024 + 500
    (request,) = [each for each in agent.requests[asked_before:] if each.message_id == asked]
    await agent.connections[request.connection - 1].closed.wait()
    assert text_of(await onboarded.ask("and now?")) == "echo: and now?"
