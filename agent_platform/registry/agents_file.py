"""What the agents file says, checked entry by entry; faults are collected, none is raised."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import yaml

from agent_platform.redaction import is_plainly_a_name
from agent_platform.registry.base_url import base_url_fault
from agent_platform.registry.yaml_document import Checker, describe, is_unset, nearest, quoted

_FILE_KEYS = ("agents", "user_agents")
_AGENT_KEYS = ("id", "label", "base_url", "workspace_path", "token_env")
# An id is a directory under the workspaces too: no separator, no leading dot.
_AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_USER_ID = re.compile(r"@[!-9;-~]+:[A-Za-z0-9.:\[\]-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"[!-~]+")

_ID_EXPECTED = "letters, digits, '.', '_' and '-', at most 64, the first a letter or digit"
_USER_EXPECTED = "a full Matrix id such as @ann:example.org"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the file is read in: the fallback address, the environment, whether both are needed."""

    base_url: str | None
    environ: Mapping[str, str] = field(repr=False)
    networked: bool


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """One item of `agents`, checked."""

    id: str
    label: str
    base_url: str | None
    workspace_path: str | None
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entries:
    """The file, checked; to be used only when there were no faults."""

    agents: tuple[AgentEntry, ...]
    user_agents: Mapping[str, str]


def read_entries(check: Checker, root: yaml.Node, surroundings: Surroundings) -> Entries:
    """Read the whole file, noting each fault in `check`."""
    top = check.mapping(root, "", "a mapping with the key `agents`")
    check.known_keys(root, "", top, _FILE_KEYS)
    agents: list[AgentEntry] = []
    lines: dict[str, int] = {}
    if (node := top.get("agents")) is None:
        if isinstance(root, yaml.MappingNode):
            check.fault(root, "agents", "nothing", "a list of agents")
    else:
        items = check.items(node, "agents", "a list of agents")
        if not items and isinstance(node, yaml.SequenceNode):
            check.fault(node, "agents", "an empty list", "at least one agent")
        for number, item in enumerate(items):
            agents.append(_agent(check, item, f"agents[{number}]", surroundings, lines))
    return Entries(tuple(agents), _user_agents(check, top.get("user_agents"), lines))


def _agent(
    check: Checker, node: yaml.Node, key: str, surroundings: Surroundings, lines: dict[str, int]
) -> AgentEntry:
    """Read one agent; `lines` gains the line of its id."""
    expected = "a mapping with `id` and `label`"
    entries = check.mapping(node, key, expected)
    check.known_keys(node, key, entries, _AGENT_KEYS)
    if not isinstance(node, yaml.MappingNode):
        return AgentEntry("", "", None, None, None)
    return AgentEntry(
        id=_agent_id(check, node, entries, f"{key}.id", lines),
        label=_required(check, node, entries, "label", key, "the name that users see") or "",
        base_url=_base_url(check, node, entries, f"{key}.base_url", surroundings),
        workspace_path=_workspace_path(check, entries.get("workspace_path"), key),
        token=_token(check, entries.get("token_env"), f"{key}.token_env", surroundings),
    )


def _required(
    check: Checker,
    node: yaml.Node,
    entries: Mapping[str, yaml.Node],
    name: str,
    key: str,
    expected: str,
) -> str | None:
    if name not in entries:
        check.fault(node, f"{key}.{name}", "nothing", expected)
        return None
    return check.text(entries[name], f"{key}.{name}", expected)


def _agent_id(
    check: Checker,
    node: yaml.Node,
    entries: Mapping[str, yaml.Node],
    key: str,
    lines: dict[str, int],
) -> str:
    value = _required(check, node, entries, "id", key.removesuffix(".id"), _ID_EXPECTED)
    if value is None:
        return ""
    at = entries["id"]
    if not _AGENT_ID.fullmatch(value):
        check.fault(at, key, quoted(value), _ID_EXPECTED)
    elif value in lines:
        found = f"{quoted(value)} again (first on line {lines[value]})"
        check.fault(at, key, found, "an id of its own")
    lines.setdefault(value, at.start_mark.line + 1)
    return value


def _base_url(
    check: Checker,
    node: yaml.Node,
    entries: Mapping[str, yaml.Node],
    key: str,
    surroundings: Surroundings,
) -> str | None:
    at = entries.get("base_url")
    if at is None or is_unset(at):
        if surroundings.base_url is None and surroundings.networked:
            expected = "a URL here or in AGENT_BASE_URL, which is unset"
            check.fault(at or node, key, "nothing", expected)
        return surroundings.base_url
    value = check.text(at, key, "a URL")
    if value is not None and (wrong := base_url_fault(value)):
        check.fault(at, key, *wrong)
    return value


def _workspace_path(check: Checker, at: yaml.Node | None, key: str) -> str | None:
    if at is None or is_unset(at):
        return None
    key = f"{key}.workspace_path"
    expected = "an absolute path without '..'"
    value = check.text(at, key, expected)
    if value is None:
        return None
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or "\0" in value:
        check.fault(at, key, quoted(value), expected)
    return value


def _token(
    check: Checker, at: yaml.Node | None, key: str, surroundings: Surroundings
) -> str | None:
    """Look a token up. What names no variable that is set may be the token itself, and is not repeated."""
    if at is None or is_unset(at):
        return None
    expected = "the name of an environment variable"
    if not isinstance(at, yaml.ScalarNode):
        check.fault(at, key, describe(at), expected)
        return None
    if not _VARIABLE.fullmatch(at.value):
        check.fault(at, key, "something that is no variable's name", expected)
        return None
    token = surroundings.environ.get(at.value, "").strip()
    if not token:
        if surroundings.networked:
            named = is_plainly_a_name(at.value)
            name = at.value if named else "a name that is not shown, because it may be the token"
            check.fault(at, key, f"{name}, which is unset", "a variable that holds the token")
        return None
    if not _TOKEN.fullmatch(token):
        found = f"{at.value}, whose value has spaces or control characters"
        check.fault(at, key, found, "a variable that holds the token")
    return token


def _user_agents(
    check: Checker, node: yaml.Node | None, lines: Mapping[str, int]
) -> dict[str, str]:
    chosen: dict[str, str] = {}
    if node is None or is_unset(node):
        return chosen
    entries = check.mapping(node, "user_agents", "a mapping of Matrix ids to agent ids")
    for user, at in entries.items():
        key = f"user_agents[{quoted(user)}]"
        if not _USER_ID.fullmatch(user) or len(user) > 255:
            check.fault(at, key, quoted(user), _USER_EXPECTED)
        agent = check.text(at, key, "an agent's id")
        if agent is None:
            continue
        if agent not in lines:
            known = nearest(agent, lines) or f"one of {', '.join(lines) or 'the agents above'}"
            check.fault(at, key, f"{quoted(agent)}, which is no agent's id", known)
        chosen[user] = agent
    return chosen
