"""The agents file as pydantic models, and pydantic's errors as faults with line and key (contract A2)."""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
)

from agent_platform.errors import RegistryError, RegistryFault
from agent_platform.redaction import is_variable_name, may_be_secret, quoted
from agent_platform.registry.base_url import base_url_fault
from agent_platform.registry.yaml_document import (
    NOTHING,
    Document,
    Location,
    describe,
    line_of,
    quotes_hint,
    read_yaml,
    text_of,
)

_AGENT_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_USER_ID = r"^@[!-9;-~]+:[A-Za-z0-9.:\[\]-]+$"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class _Context:
    """What the validators need besides the value."""

    base_url: str | None
    environ: Mapping[str, str]
    networked: bool
    id_lines: Mapping[str, int]
    """The ids of all agents, each with the line of the first agent that has it."""
    seen_ids: set[str] = field(default_factory=set)


class _Refused(ValueError):
    """A value that a validator refuses; by default the description of the field says what is expected."""

    def __init__(self, found: str, expected: str | None = None) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected


def _check_id(value: str, info: ValidationInfo[_Context]) -> str:
    if value in info.context.seen_ids:
        first = info.context.id_lines[value]
        raise _Refused(f"{quoted(value)} again (first on line {first})", "an id of its own")
    info.context.seen_ids.add(value)
    return value


def _check_base_url(value: str | None, info: ValidationInfo[_Context]) -> str | None:
    if value is None:
        if info.context.base_url is None and info.context.networked:
            raise _Refused(NOTHING, "a URL here or in AGENT_BASE_URL, which is unset")
    elif fault := base_url_fault(value):
        raise _Refused(*fault)
    return value


def _check_workspace_path(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts:
        raise _Refused(quoted(value))
    return value


def _check_token_env(value: Any, info: ValidationInfo[_Context]) -> Any:
    """Check that the variable holds a token. An invalid name may be the token itself, so it is not shown."""
    name = value.value if isinstance(value, yaml.ScalarNode) else value
    if not isinstance(name, str):
        return value  # The type of the field accepts None and refuses everything else.
    if not _VARIABLE.fullmatch(name):
        raise _Refused("something that is no variable's name")
    token = info.context.environ.get(name, "").strip()
    found = None
    if token and not _TOKEN.fullmatch(token):
        found = f"{name}, whose value has spaces or control characters"
    elif not token and info.context.networked:
        shown = is_variable_name(name)
        found = name if shown else "a name that is not shown, because it may be the token"
        found += ", which is unset"
    if found:
        raise _Refused(found, "a variable that holds the token")
    return name


def _check_user_agent(value: str, info: ValidationInfo[_Context]) -> str:
    ids = info.context.id_lines
    if value not in ids:
        raise _Refused(f"{quoted(value)}, which is no agent's id", _suggested(value, ids))
    return value


class _Model(BaseModel, strict=True, frozen=True, extra="forbid", hide_input_in_errors=True):
    pass


class AgentEntry(_Model):
    """One item of `agents`. A fault shows the description of its field as what is expected."""

    # An id is also the name of a directory: no separator, no leading dot.
    id: Annotated[str, Field(pattern=_AGENT_ID), AfterValidator(_check_id)] = Field(
        description="letters, digits, '.', '_' and '-', at most 64, the first a letter or digit"
    )
    label: str = Field(description="the name that users see")
    base_url: Annotated[str | None, AfterValidator(_check_base_url)] = Field(
        None, validate_default=True, description="a URL"
    )
    workspace_path: Annotated[str, AfterValidator(_check_workspace_path)] | None = Field(
        None, description="an absolute path without '..'"
    )
    token_env: Annotated[str | None, BeforeValidator(_check_token_env)] = Field(
        None, description="the name of an environment variable"
    )


_UserId = Annotated[str, Field(pattern=_USER_ID, max_length=255)]
_UserAgent = Annotated[str, AfterValidator(_check_user_agent)]


class AgentsFile(_Model):
    """The whole file."""

    agents: list[AgentEntry] = Field(min_length=1, description="a list of agents")
    user_agents: dict[_UserId, _UserAgent] | None = Field(
        None, description="a mapping of Matrix ids to agent ids"
    )


def read_agents_file(
    file: Path, base_url: str | None, environ: Mapping[str, str], *, networked: bool
) -> AgentsFile:
    """Read and check the file.

    Raises:
        RegistryError: with every fault, in the order of the file.
    """
    document = read_yaml(file)
    id_lines: dict[str, int] = {}
    for location, node in document.nodes.items():
        is_id = location[:1] == ("agents",) and location[2:] == ("id",)
        if is_id and (name := text_of(node)):
            id_lines.setdefault(name, line_of(node))
    faults = document.faults
    try:
        context = _Context(base_url, environ, networked, id_lines)
        content = AgentsFile.model_validate(document.value, context=context)
    except ValidationError as error:
        faults += [
            _fault(document, details["loc"], details["type"], details.get("ctx", {}).get("error"))
            for details in error.errors(include_url=False, include_input=False)
        ]
    else:
        if not faults:
            return content
    raise RegistryError(sorted(faults, key=lambda fault: fault.line or 0))


def _fault(document: Document, location: Location, kind: str, raised: object) -> RegistryFault:
    # A missing value is on the line of its mapping, and the id of a user on the line of its value.
    node = document.nodes.get(location) or document.nodes[location[:-1]]
    expected = _expected(location)
    match kind:
        case "value_error" if isinstance(raised, _Refused):
            found, expected = raised.found, raised.expected or expected
        case "missing":
            found = NOTHING
        case "too_short":
            found, expected = "an empty list", "at least one agent"
        case "extra_forbidden":
            node, found = document.key_nodes[location], "an unknown key"
        case "string_type":
            found, expected = describe(node), expected + quotes_hint(node)
        case _:
            key_node = document.key_nodes.get(location[:-1], node)
            found = describe(node if location in document.nodes else key_node)
    return RegistryFault(document.file, line_of(node), location, found, expected)


def _expected(location: Location) -> str:
    match location:
        case ("agents", int()):
            return "a mapping with `id` and `label`"
        case ("user_agents", _):
            return "an agent's id"
        case ("user_agents", _, _):
            return "a full Matrix id such as @ann:example.org"
        case (*parents, str(name)):
            fields = (AgentEntry if parents else AgentsFile).model_fields
            return fields[name].description or "" if name in fields else _suggested(name, fields)
        case _:
            return "a mapping with the key `agents`"


def _suggested(name: str, names: Collection[str]) -> str:
    """Return the known name that was probably meant, or all known names except possible secrets."""
    shown = [known for known in names if not may_be_secret(known)]
    close = difflib.get_close_matches(name, shown, n=1)
    if close:
        return f"{close[0]} (a typing error?)"
    return f"one of {', '.join(shown) or 'the agents above'}"
