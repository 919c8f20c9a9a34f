"""A list too long for one event has several parts, also after a kill and a lost database (D2, D7, D12)."""

import re

import pytest

from tests.support.proxy import Hold
from tests.system.chat_commands.registry_file import Entry, write_registry
from tests.system.users import PARTIAL, onboard

pytestmark = pytest.mark.anyio

PART = "org.lambda.surfaces.part"
AGENTS = [f"agent-{number}-{'x' * 50}" for number in range(300)]


@pytest.fixture
async def many_agents(make_bot, agent, proxy, tmp_path):
    file = tmp_path / "agents.yaml"
    write_registry(file, *(Entry(id_, agent.url) for id_ in AGENTS))
    return await make_bot(MATRIX_AGENT_REGISTRY_PATH=str(file), MATRIX_HOMESERVER=proxy.url)


async def parts_of(onboarded, message_id):
    """Return the parts of an answer after their edits."""
    events = await onboarded.user.replies_to(onboarded.chat, message_id)
    parts = [event for event in events if not event.replaces]
    return [await onboarded.user.latest_content(onboarded.chat, part.event_id) for part in parts]


def check_whole(parts):
    assert [part[PART] for part in parts] == list(range(1, len(parts) + 1))
    assert len(parts) > 1
    assert all(part["msgtype"] == "m.notice" and PARTIAL not in part for part in parts)
    listed = re.findall(r"agent-\d+-x+", "\n".join(part["body"] for part in parts).lower())
    assert sorted(set(listed)) == sorted(AGENTS)


def is_whole(event, message_id):
    """Whether this edit ends the answer."""
    return event.answers == message_id and event.replaces and PARTIAL not in event.content


async def test_a_list_too_long_for_one_event_comes_in_parts(many_agents, user):
    async with many_agents.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, many_agents.user_id)
        message_id = await user.send_text(onboarded.chat, "!agent")
        await user.wait_for(lambda event: is_whole(event, message_id))
        check_whole(await parts_of(onboarded, message_id))


async def test_a_list_that_was_cut_off_is_completed_with_the_database_lost(
    many_agents, user, proxy
):
    daemon = many_agents.daemon
    await daemon.start()
    await daemon.wait_live()
    onboarded = await onboard(user, many_agents.user_id)
    proxy.fault = lambda proxied: Hold() if re.search(r"%24[^/]*\.2$", proxied.path) else None
    message_id = await user.send_text(onboarded.chat, "!agent")
    await user.wait_for(lambda event: event.answers == message_id)
    await daemon.kill()
    # On a busy machine another part may be in the room as well; the answer is not complete.
    first, *_ = await parts_of(onboarded, message_id)
    assert first[PARTIAL] is True

    proxy.clear_fault()
    for file in daemon.directory.glob("lambda_matrix.db*"):
        file.unlink()
    await daemon.start()
    await user.wait_for(lambda event: is_whole(event, message_id))
    check_whole(await parts_of(onboarded, message_id))
