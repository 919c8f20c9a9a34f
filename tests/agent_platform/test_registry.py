from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_platform.errors import RegistryError
from agent_platform.registry.agents import load_registry, single_agent
from machines.ids import AgentId, UserId

EXAMPLE = Path(__file__).parents[2] / "config" / "agents.example.yaml"
ROOT = Path("/agents")


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text, *, base_url="http://fallback", environ=None, networked=True):
        file = Path("agents.yaml")
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_registry(
            file,
            base_url=base_url,
            workspace_dir=ROOT,
            environ=environ or {},
            networked=networked,
        )

    return load


GOOD = """\
agents:
  - id: a1
    label: First
  - id: b-2.x_y
    label: "Second: two"
    base_url: wss://b.example/x
    workspace_path: /srv/b
    token_env: B_TOKEN
user_agents:
  "@ann:example.org": b-2.x_y
"""


def test_a_registry_is_read_in_order_with_its_fallbacks(load):
    registry = load(GOOD, environ={"B_TOKEN": "s3cret\n"})
    first, second = registry.agents
    assert (first.id, first.label, first.base_url) == ("a1", "First", "http://fallback")
    assert (first.workspace, first.token) == (Path("/agents/a1"), None)
    assert (second.id, second.label) == ("b-2.x_y", "Second: two")
    assert second.base_url == "wss://b.example/x"
    assert (second.workspace, second.token) == (Path("/srv/b"), "s3cret")
    assert not registry.single
    assert "s3cret" not in repr(registry)


def test_users_get_their_default_agent_and_others_the_first(load):
    registry = load(GOOD, environ={"B_TOKEN": "t"})
    assert registry.default_for(UserId("@ann:example.org")) == "b-2.x_y"
    assert registry.default_for(UserId("@bob:example.org")) == "a1"


def test_an_agent_that_is_gone_is_not_found(load):
    registry = load(GOOD, environ={"B_TOKEN": "t"})
    assert registry.get(AgentId("a1")) is registry.agents[0]
    assert registry.get(AgentId("gone")) is None


def test_without_a_file_one_agent_answers_for_every_id():
    registry = single_agent("http://h", ROOT, "Agent")
    [agent] = registry.agents
    assert (agent.id, agent.base_url, agent.workspace) == ("default", "http://h", ROOT)
    assert registry.single
    assert registry.get(AgentId("from-an-older-registry")) is agent
    assert registry.default_for(UserId("@ann:example.org")) == agent.id


def test_the_mock_needs_neither_addresses_nor_tokens(load):
    registry = load("agents: [{id: a, label: A, token_env: T}]", base_url=None, networked=False)
    assert (registry.agents[0].base_url, registry.agents[0].token) == (None, None)


def test_the_example_file_is_a_registry():
    registry = load_registry(EXAMPLE, base_url="http://h", workspace_dir=ROOT, environ={})
    assert [agent.id for agent in registry.agents] == ["assistant", "coder"]
    assert registry.default_for(UserId("@ann:example.org")) == "coder"


ID_EXPECTED = "letters, digits, '.', '_' and '-', at most 64, the first a letter or digit"
URL_EXPECTED = "a URL such as https://agents.example.org (http, https, ws, wss; no query)"
HEAD = "agents:\n  - id: a1\n    label: A\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "agents.yaml: found an empty file; expected a list under `agents`"),
        ("# only a remark\n", "agents.yaml: found an empty file; expected a list under `agents`"),
        ("- a\n", "agents.yaml:1: found a list; expected a mapping with the key `agents`"),
        ("user_agents: {}", "agents.yaml:1: agents: found nothing; expected a list of agents"),
        ("agents:\n", "agents.yaml:1: agents: found nothing; expected a list of agents"),
        ("agents: []", "agents.yaml:1: agents: found an empty list; expected at least one agent"),
        ("agents: a1", 'agents.yaml:1: agents: found "a1"; expected a list of agents'),
        (
            "agents:\n  - a1\n",
            'agents.yaml:2: agents[0]: found "a1"; expected a mapping with `id` and `label`',
        ),
        (
            "agents:\n  - label: A\n",
            f"agents.yaml:2: agents[0].id: found nothing; expected {ID_EXPECTED}",
        ),
        (
            "agents:\n  - id: a1\n",
            "agents.yaml:2: agents[0].label: found nothing; expected the name that users see",
        ),
        (
            "agents:\n  - id: 7\n    label: A\n",
            f"agents.yaml:2: agents[0].id: found the number 7; expected {ID_EXPECTED}; "
            "put it in quotes",
        ),
        (
            "agents:\n  - id: a1\n    label: yes\n",
            "agents.yaml:3: agents[0].label: found the boolean yes; expected the name that users "
            "see; put it in quotes",
        ),
        (
            'agents:\n  - id: a1\n    label: "a\\nb"\n',
            "agents.yaml:3: agents[0].label: found several lines, or control characters; "
            "expected the name that users see",
        ),
        (
            "agents:\n  - id: ../up\n    label: A\n",
            f'agents.yaml:2: agents[0].id: found "../up"; expected {ID_EXPECTED}',
        ),
        (
            HEAD + "  - id: a1\n    label: B\n",
            'agents.yaml:4: agents[1].id: found "a1" again (first on line 2); '
            "expected an id of its own",
        ),
        (
            HEAD + "    lable: A\n",
            "agents.yaml:4: agents[0].lable: found an unknown key; "
            "expected label (a typing error?)",
        ),
        (
            HEAD + "    weather: A\n",
            "agents.yaml:4: agents[0].weather: found an unknown key; "
            "expected one of id, label, base_url, workspace_path, token_env",
        ),
        (
            HEAD + "? [id]\n: x\n",
            "agents.yaml:4: found a list; expected text as a key",
        ),
        (
            HEAD + "user_agent: {}\n",
            "agents.yaml:4: user_agent: found an unknown key; "
            "expected user_agents (a typing error?)",
        ),
        (
            HEAD + "    label: B\n",
            'agents.yaml:4: agents[0]: found "label" again (first on line 3); '
            "expected each key once",
        ),
        (
            HEAD + "    base_url: ftp://x\n",
            f'agents.yaml:4: agents[0].base_url: found "ftp://x"; expected {URL_EXPECTED}',
        ),
        (
            HEAD + "    base_url: [a]\n",
            "agents.yaml:4: agents[0].base_url: found a list; expected a URL",
        ),
        (
            HEAD + "    workspace_path: srv/a\n",
            'agents.yaml:4: agents[0].workspace_path: found "srv/a"; '
            "expected an absolute path without '..'",
        ),
        (
            HEAD + "    workspace_path: /srv/../etc\n",
            'agents.yaml:4: agents[0].workspace_path: found "/srv/../etc"; '
            "expected an absolute path without '..'",
        ),
        (
            HEAD + "    token_env: NOT_SET\n",
            "agents.yaml:4: agents[0].token_env: found NOT_SET, which is unset; "
            "expected a variable that holds the token",
        ),
        (
            HEAD + "    token_env: BROKEN\n",
            "agents.yaml:4: agents[0].token_env: found BROKEN, whose value has spaces or control "
            "characters; expected a variable that holds the token",
        ),
        (
            HEAD + "    token_env: sk-live-secret\n",
            "agents.yaml:4: agents[0].token_env: found something that is no variable's name; "
            "expected the name of an environment variable",
        ),
        (
            HEAD + 'user_agents:\n  "ann": a1\n',
            'agents.yaml:5: user_agents["ann"]: found "ann"; '
            "expected a full Matrix id such as @ann:example.org",
        ),
        (
            HEAD + 'user_agents:\n  "@ann:x": a11\n',
            'agents.yaml:5: user_agents["@ann:x"]: found "a11", which is no agent\'s id; '
            "expected a1 (a typing error?)",
        ),
        (
            HEAD + 'user_agents:\n  "@ann:x": zebra\n',
            'agents.yaml:5: user_agents["@ann:x"]: found "zebra", which is no agent\'s id; '
            "expected one of a1",
        ),
        (
            HEAD + 'user_agents:\n  "@ann:x": a1\n  "@ann:x": a1\n',
            'agents.yaml:6: user_agents: found "@ann:x" again (first on line 5); '
            "expected each key once",
        ),
        (
            HEAD + "user_agents:\n  @ann:x: a1\n",
            "agents.yaml:5: found a mistake in the YAML (while scanning for the next token, found "
            "character '@' that cannot start any token); "
            "expected YAML; put names that begin with @ in quotes",
        ),
        (
            "agents:\n  - id: a\n   label: b\n",
            "agents.yaml:3: found a mistake in the YAML (while parsing a block collection, "
            "expected <block end>, but found '<block mapping start>'); expected YAML",
        ),
        (
            "agents: []\n---\nagents: []\n",
            "agents.yaml:2: found a mistake in the YAML (expected a single document in the stream, "
            "but found another document); expected YAML",
        ),
        (
            "a: &x [1]\nagents: *x\n",
            "agents.yaml:2: found the alias *x; expected its values written out",
        ),
        (
            "agents: " + "[" * 100_000,
            "agents.yaml:1: found lists in lists in lists; expected nothing nested so deeply",
        ),
        (
            b"agents:\n  - id: \xff\n",
            "agents.yaml:2: found bytes that are no UTF-8; expected UTF-8",
        ),
        (
            b"agents:\n  - id: a\0b\n",
            "agents.yaml:2: found the character U+0000; expected printable characters",
        ),
        (b"#" * 300_000, "agents.yaml: found a larger file; expected at most 256 KiB"),
        (
            'agents: "\\UFFFFFFFF"',
            "agents.yaml: found a mistake in the YAML (a number out of range); expected YAML",
        ),
        (
            "!!python/object/apply:os.system [ls]",
            "agents.yaml:1: found a list; expected a mapping with the key `agents`",
        ),
    ],
)
def test_each_fault_names_its_line_what_was_found_and_what_is_expected(load, text, fault):
    with pytest.raises(RegistryError) as caught:
        load(text, environ={"BROKEN": "two words"})
    assert str(caught.value) == fault


def test_an_agent_without_an_address_is_a_fault(load):
    with pytest.raises(RegistryError) as caught:
        load(HEAD, base_url=None)
    assert str(caught.value) == (
        "agents.yaml:2: agents[0].base_url: found nothing; "
        "expected a URL here or in AGENT_BASE_URL, which is unset"
    )


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    for file, why in [
        (tmp_path / "none.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ]:
        with pytest.raises(RegistryError) as caught:
            load_registry(file, base_url=None, workspace_dir=ROOT, environ={})
        assert str(caught.value) == f"{file}: found no readable file ({why}); expected a YAML file"


def test_all_faults_are_found_at_once_in_the_order_of_the_file(load):
    with pytest.raises(RegistryError) as caught:
        load(
            "agent: 1\n"
            "agents:\n"
            "  - id: a/b\n"
            "    base_url: nowhere\n"
            "  - id: ok\n"
            "    label: Fine\n"
            "    token_env: MISSING\n"
            "  - id: ok\n"
            "    label: Twice\n"
            "user_agents:\n"
            '  "@ann:x": okay\n'
        )
    assert [(fault.line, fault.key) for fault in caught.value.faults] == [
        (1, "agent"),
        (3, "agents[0].id"),
        (3, "agents[0].label"),
        (4, "agents[0].base_url"),
        (7, "agents[1].token_env"),
        (8, "agents[2].id"),
        (11, 'user_agents["@ann:x"]'),
    ]


PIECES = st.sampled_from(
    [
        *HEAD,
        *'[]{}|~@"',
        "\n",
        "  ",
        "- ",
        ": ",
        "*a",
        "&a ",
        "!!t ",
        "<<",
        "\\U",
        "%YAML ",
        "---\n",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join) | st.binary(max_size=60))
def test_any_file_is_a_registry_or_has_faults(load, text):
    try:
        outcome = repr(load(text).agents)
    except RegistryError as error:
        outcome = str(error)
    assert outcome.encode()


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "    token_env: {}\n",
        HEAD + "    base_url: {}\n",
        HEAD + "    base_url: https://user:{}@agents.example.org\n",
        HEAD + "    base_url: https://agents.example.org/?token={}\n",
        HEAD + "    workspace_path: {}\n",
        HEAD + "    token_env: *{}\n",
        HEAD + "    token_env: !{} x\n",
        HEAD + "    label: !{} x\n",
        HEAD + "    base_url: !!int {}\n",
        "agents:\n  - id: {}/x\n    label: A\nuser_agents: {{'@ann:x': a1}}\n",
        HEAD + "    {}: {{a: 1, a: 2}}\n",
        HEAD + "    {}: x\n",
        HEAD + "    {}: x\n    {}: y\n",
        HEAD + '    "token_env {}": x\n',
        "{}: x\n" + HEAD,
        "agents: {}\n",
        "agents: [{}]\n",
        "agents:\n  - id: {}/x\n    label: A\n",
        HEAD + 'user_agents: {{"@ann:x": {}}}\n',
        HEAD + 'user_agents: {{"{}": a1}}\n',
        "agents: &{0} [&{0} 1]\n",
    ],
)
@pytest.mark.parametrize("token", ["syt_bGFtYmRh_aXqWvJkLmNoPqRs_0aBcDe", "sk_live_4eC39HqLyjWD"])
def test_a_token_in_the_wrong_place_is_not_shown(load, text, token):
    with pytest.raises(RegistryError) as caught:
        load(text.replace("{}", token).replace("{0}", token).replace("{{", "{").replace("}}", "}"))
    assert token not in str(caught.value)


def test_a_very_long_value_is_not_shown_and_costs_no_time(load):
    with pytest.raises(RegistryError) as caught:
        load(HEAD + f"    workspace_path: '{':' * 200_000}'\n")
    assert "a value that is not shown" in str(caught.value)


@pytest.mark.parametrize("token", ["hunter", "Correct_Horse", "AKIAIOSFODNN7EXAMPLE", "x4f9", "T"])
def test_an_unset_variable_is_named_only_when_it_is_certainly_no_token(load, token):
    with pytest.raises(RegistryError) as caught:
        load(HEAD + f"    token_env: {token}\n")
    assert str(caught.value) == (
        "agents.yaml:4: agents[0].token_env: found a name that is not shown, because it may be the"
        " token, which is unset; expected a variable that holds the token"
    )
