"""Agents by an agents file: which user gets which, tokens, reloading; and one agent without it (A2-A5, K5, E5)."""

import json

import pytest

from machines.i18n import AgentLine, catalog_for
from tests.support.matrix_user import MatrixUser
from tests.system.chat_commands.agents_fixture import TOKENS, AgentsFixture, open_servers
from tests.system.chat_commands.localized_user import open_chat
from tests.system.chat_commands.registry_file import Entry
from tests.system.conftest import register_bot
from tests.system.users import PASSWORD, onboard, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
FAVOURITE = "beta"


@pytest.fixture(scope="module")
async def three_agents(synapse, session_agent, tmp_path_factory):
    """A bot with three agents and two users; the first agent is the default of all but the second user."""
    directory = tmp_path_factory.mktemp("agents")
    users = [await synapse.register(f"a-client-{number}", PASSWORD) for number in range(2)]
    file = directory / "agents.yaml"
    async with open_servers() as servers:
        more = {"MATRIX_AGENT_REGISTRY_PATH": str(file), "AGENT_BASE_URL": "", **TOKENS}
        bot = await register_bot(synapse, directory, session_agent, **more)
        agents = AgentsFixture(servers, file, bot, {users[1]: FAVOURITE})
        agents.write(*servers)
        async with (
            bot.daemon as daemon,
            MatrixUser(synapse.url, users[0], PASSWORD) as ann,
            MatrixUser(synapse.url, users[1], PASSWORD) as bob,
        ):
            await daemon.wait_live()
            yield agents, await onboard(ann, bot.user_id), await onboard(bob, bot.user_id)


@pytest.fixture
async def agents(three_agents):
    """The agents and their bot, with the whole file at the beginning and at the end."""
    agents, ann, _ = three_agents
    yield agents
    agents.write(*agents.servers)
    await agents.reload()
    await ann.run_command("!agent alpha", ann.entry)


@pytest.fixture
def ann(three_agents):
    return three_agents[1]


@pytest.fixture
def bob(three_agents):
    return three_agents[2]


async def who_answers(agents, onboarded, room=None):
    """Send a message and return the one agent that got it."""
    answer = await onboarded.ask("who are you?", room)
    ((name, _),) = agents.asked(answer.answers)
    return name


def listed(agents, selected):
    return CATALOG.agent_list(
        AgentLine(number, name, name.capitalize(), name == selected)
        for number, name in enumerate(agents.servers, 1)
    )


async def test_the_default_is_the_agent_of_the_users_entry_or_the_first_one(agents, ann, bob):
    assert await who_answers(agents, ann) == "alpha"
    assert await who_answers(agents, bob) == FAVOURITE
    assert await bob.run_command("!agent") == listed(agents, FAVOURITE)


async def test_each_agent_gets_only_its_token_and_no_log_line_has_one(agents, ann, bob):
    for onboarded, agent, token in ((ann, "alpha", "ALPHA_TOKEN"), (bob, "beta", "BETA_TOKEN")):
        assert await who_answers(agents, onboarded) == agent
        headers = agents.servers[agent].requests[-1].headers
        assert headers["authorization"] == f"Bearer {TOKENS[token]}"
    await ann.run_command("!agent gamma")
    assert await who_answers(agents, ann, await open_chat(ann, "Bare")) == "gamma"
    assert "authorization" not in agents.servers["gamma"].requests[-1].headers
    daemon = agents.bot.daemon
    logged = "\n".join([*map(json.dumps, daemon.log), *daemon.other_output])
    assert logged
    for secret in (*TOKENS.values(), PASSWORD, "who are you?"):
        assert secret not in logged


async def test_an_agent_is_selected_by_number_or_id_for_new_chats_only(agents, ann, bob):
    first = ann.chat
    assert await ann.run_command("!agent 3", ann.entry) == CATALOG.agent_selected("Gamma")
    assert await ann.run_command("!agent", ann.entry) == listed(agents, "gamma")
    third = await open_chat(ann, "Third")
    assert await ann.run_command("!agent beta") == CATALOG.agent_bound_elsewhere("Beta", "Alpha")
    second = await open_chat(ann, "Second")
    assert await ann.run_command("!agent 2", second) == CATALOG.agent_selected("Beta")
    for wrong in ("0", "4", "delta", "Beta", "2 3", "-1"):
        assert await ann.run_command(f"!agent {wrong}") == CATALOG.agent_unknown(wrong)
    assert await ann.run_command("!agent") == listed(agents, "beta")
    by_room = {first: "alpha", third: "gamma", second: "beta"}
    assert {room: await who_answers(agents, ann, room) for room in by_room} == by_room
    contexts = [agents.servers[name].requests[-1].chat_id for name in by_room.values()]
    assert len({*contexts}) == len(by_room)
    assert await who_answers(agents, bob) == FAVOURITE


async def test_a_reloaded_file_adds_and_removes_agents(agents, ann):
    await ann.run_command("!agent gamma")
    going = await open_chat(ann, "Going")
    assert await who_answers(agents, ann, going) == "gamma"

    async with open_servers(("delta",)) as servers:
        agents.write("alpha", "beta", more=(Entry("delta", servers["delta"].url),))
        assert (await agents.reload())["agents"] == ["alpha", "beta", "delta"]
        assert await ann.run_command("!agent delta") == CATALOG.agent_bound_elsewhere(
            "Delta", "Alpha"
        )
        coming = await open_chat(ann, "Coming")
        answer = await ann.ask("who are you?", coming)
        assert [request.message_id for request in servers["delta"].requests] == [answer.answers]

        connections = [len(server.connections) for server in agents.servers.values()]
        assert await ann.run_command("and you?", going) == CATALOG.stale_agent("gamma")
        assert "!new" in CATALOG.stale_agent("gamma")
        assert CATALOG.format("chat_stale") in await ann.run_command("!chats")
        assert [len(server.connections) for server in agents.servers.values()] == connections
        assert len(servers["delta"].connections) == 1

    agents.write(*agents.servers)
    await agents.reload()
    assert await who_answers(agents, ann, going) == "gamma"
    assert await ann.run_command("and you?", coming) == CATALOG.stale_agent("delta")


async def test_the_default_replaces_a_selected_agent_that_was_removed(agents, ann):
    await ann.run_command("!agent gamma")
    agents.write("alpha", "beta")
    await agents.reload()
    assert "**Alpha**" in await ann.run_command("!settings")
    assert await who_answers(agents, ann, await open_chat(ann, "Default")) == "alpha"


async def test_a_broken_file_is_ignored_and_logged(agents, ann):
    await ann.run_command("!agent gamma")
    room = await open_chat(ann, "Unmoved")
    agents.file.write_text("agents:\n  - id: alpha\n    label: Alpha\n    base_ulr: http://x\n")
    line = await agents.reload("registry_refused")
    assert line["level"] == "error"
    for part in (f"{agents.file}:4", "agents[0].base_ulr", "found", "expected", "base_url"):
        assert part in line["reason"]
    agents.file.unlink()
    assert str(agents.file) in (await agents.reload("registry_refused"))["reason"]
    assert await who_answers(agents, ann, room) == "gamma"
    assert await ann.run_command("!agent") == listed(agents, "gamma")
    assert agents.bot.daemon.running


async def test_without_a_file_there_is_one_agent_and_nothing_is_stale(
    make_bot, user, agent, tmp_path
):
    file = tmp_path / "agents.yaml"
    bot = await make_bot(MATRIX_AGENT_REGISTRY_PATH=str(file))
    agents = AgentsFixture({"gone": agent}, file, bot, {})
    agents.write("gone")
    daemon = bot.daemon
    await daemon.start()
    await daemon.wait_live()
    onboarded = await onboard(user, bot.user_id)
    before = await onboarded.ask("hello")
    assert await daemon.stop() == 0
    del daemon.environment["MATRIX_AGENT_REGISTRY_PATH"]
    forms = (
        {"AGENT_WS_URL": f"{agent.url.replace('http', 'ws')}/v1/agent_ws/4242/"},
        {"AGENT_WS_URL": f"{agent.url}/agent_ws/"},
        {"AGENT_WS_URL": agent.url},
        # The older name is read only when the other is unset.
        {"AGENT_BASE_URL": agent.url, "AGENT_WS_URL": "ws://127.0.0.1:9/v1/agent_ws/1/"},
    )
    contexts = {each.chat_id for each in agent.requests if each.message_id == before.answers}
    for form in forms:
        daemon.environment |= {"AGENT_BASE_URL": "", **form}
        await daemon.start()
        await daemon.wait_live()
        answer = await onboarded.ask("hello")
        assert text_of(answer) == "echo: hello"
        contexts |= {each.chat_id for each in agent.requests if each.message_id == answer.answers}
        assert CATALOG.format("chat_stale") not in await onboarded.run_command("!chats")
        assert await daemon.stop() == 0
    assert len(contexts) == 1
    assert "4242" not in contexts
