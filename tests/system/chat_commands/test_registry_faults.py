"""A faulty agents file: exit 2, and one line with file, line, key, what was found and what is expected (A2, E10)."""

import pytest

from tests.system.commands import command

pytestmark = pytest.mark.anyio

GOOD = "agents:\n  - id: one\n    label: One\n    base_url: http://127.0.0.1:9\n"
# The file; line; key; part of the found value; part of the expected value.
FAULTS = {
    "no agents": ("user_agents: {}\n", 1, "agents", "nothing", "a list of agents"),
    "an empty list": ("agents: []\n", 1, "agents", "an empty list", "at least one agent"),
    "not YAML": (f"{GOOD}  - id: [two\n", 6, "", "a mistake in the YAML", "YAML"),
    "an unknown key": (f"{GOOD}    adress: x\n", 5, "agents[0].adress", "key", "base_url"),
    "no label": (f"{GOOD}  - id: two\n", 5, "agents[1].label", "nothing", "the name that users see"),
    "the same id twice": (
        f"{GOOD}  - {{id: one, label: Two}}\n", 5, "agents[1].id", "line 2", "an id of its own",
    ),
    "an id that is a path": (
        f"{GOOD}  - {{id: ../two, label: Two}}\n", 5, "agents[1].id", '"../two"', "letters, digits",
    ),
    "an address of another kind": (
        f"{GOOD}  - {{id: two, label: Two, base_url: 'ftp://x'}}\n",
        5, "agents[1].base_url", "ftp://x", "wss",
    ),
    "a workspace outside": (
        f"{GOOD}    workspace_path: ../two\n", 5, "agents[0].workspace_path", '"../two"', "absolute",
    ),
    "a token that is not there": (
        f"{GOOD}    token_env: NO_SUCH_TOKEN\n",
        5, "agents[0].token_env", "NO_SUCH_TOKEN", "a variable that holds the token",
    ),
    "a user with an agent of nobody": (
        f'{GOOD}user_agents:\n  "@ann:example.org": two\n',
        6, 'user_agents["@ann:example.org"]', '"two"', "one",
    ),
    "a user that is none": (
        f"{GOOD}user_agents:\n  ann: one\n", 6, 'user_agents["ann"]', '"ann"', "@ann:example.org",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "key", "found", "expected"), FAULTS.values(), ids=FAULTS)
async def test_a_fault_ends_the_start_with_one_line_about_it(
    make_bot, tmp_path, text, line, key, found, expected
):
    file = tmp_path / "agents.yaml"
    file.write_text(text)
    bot = await make_bot(MATRIX_AGENT_REGISTRY_PATH=str(file))
    result = await command(bot, "run")
    assert result.code == 2
    (only,) = result.err.splitlines()
    position = f"{file}:{line}: {key}" if key else f"{file}:{line}"
    assert "MATRIX_AGENT_REGISTRY_PATH" in only
    assert position in only
    before, _, after = only.partition("; expected ")
    assert found in before.partition("found ")[2]
    assert expected in after


async def test_all_faults_are_reported_at_once(make_bot, tmp_path):
    file = tmp_path / "agents.yaml"
    file.write_text("agents:\n  - label: One\n    base_url: ftp://x\n    port: 3\n")
    bot = await make_bot(MATRIX_AGENT_REGISTRY_PATH=str(file), SURFACES_LOCALE="fr")
    result = await command(bot, "run")
    assert result.code == 2
    (only,) = result.err.splitlines()
    for part in ("SURFACES_LOCALE", "agents[0].id", "agents[0].base_url", "agents[0].port"):
        assert part in only
