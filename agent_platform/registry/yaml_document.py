"""A YAML file as plain values, with the line of each value, and descriptions of values for faults.

Nodes are composed and never constructed, so no tag can run code. Aliases and deep nesting are refused: the agents file
needs neither, and both can make a small file expand to a large one.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from agent_platform.errors import RegistryError, RegistryFault
from agent_platform.redaction import HIDDEN, may_be_secret, quoted

MAX_FILE_BYTES = 256 * 1024
_MAX_DEPTH = 8
_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
NOTHING = "nothing"
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_KINDS = {
    "tag:yaml.org,2002:int": "the number",
    "tag:yaml.org,2002:float": "the number",
    "tag:yaml.org,2002:bool": "the boolean",
    "tag:yaml.org,2002:timestamp": "the date",
}

Location = tuple[int | str, ...]
"""The path of a value in the document: keys and indexes, as pydantic gives them in `loc`."""


class Document:
    """A YAML document as plain values, and the node of each value and of its key.

    `value` consists of dicts, lists and texts, None for null and blank text, and the node itself for any other scalar.
    Keys that are not text, or repeated, are left out and listed in `faults`.
    """

    def __init__(self, file: Path, root: yaml.Node) -> None:
        self.file = file
        self.nodes: dict[Location, yaml.Node] = {}
        self.key_nodes: dict[Location, yaml.Node] = {}
        self.faults: list[RegistryFault] = []
        self.value = self._plain(root, ())

    def _plain(self, node: yaml.Node, location: Location) -> Any:
        self.nodes[location] = node
        match node:
            case yaml.MappingNode():
                return self._mapping(node, location)
            case yaml.SequenceNode():
                return [self._plain(item, (*location, n)) for n, item in enumerate(node.value)]
            case _ if describe(node) == NOTHING:
                return None
            case _:
                return text_of(node) or node

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in node.value:
            name = text_of(key)
            if name is None:
                found, expected = describe(key), "text as a key" + quotes_hint(key)
            elif name in fields:
                first = line_of(self.key_nodes[*location, name])
                found, expected = f"{quoted(name)} again (first on line {first})", "each key once"
            else:
                self.key_nodes[*location, name] = key
                fields[name] = self._plain(value, (*location, name))
                continue
            self.faults.append(RegistryFault(self.file, line_of(key), location, found, expected))
        return fields


def read_yaml(file: Path) -> Document:
    """Read a file with one YAML document.

    Raises:
        RegistryError: it can't be read, or is not one plain YAML document.
    """
    text = _read(file)
    try:
        _refuse_expansion(file, text)
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = f"the character U+{ord(text[error.position]):04X}"
        raise _error(file, line, found, "printable characters") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "; put names that begin with @ in quotes" if "'@'" in str(error.problem) else ""
        problem = _redacted(", ".join(filter(None, (error.context, error.problem))))
        found = f"a mistake in the YAML ({problem})"
        raise _error(file, mark.line + 1 if mark else None, found, f"YAML{hint}") from None
    except (ValueError, OverflowError):
        # PyYAML raises these for escapes and versions whose number is out of range.
        found = "a mistake in the YAML (a number out of range)"
        raise _error(file, None, found, "YAML") from None
    if root is None:
        raise _error(file, None, "an empty file", "a list under `agents`")
    return Document(file, root)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _error(file, None, f"no readable file ({reason})", "a YAML file") from None
    if len(data) > MAX_FILE_BYTES:
        raise _error(file, None, "a larger file", f"at most {MAX_FILE_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(file, line, "bytes that are no UTF-8", "UTF-8") from None


def _refuse_expansion(file: Path, text: str) -> None:
    """Refuse aliases and deep nesting in the events, whose parser is not recursive, unlike that of nodes."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            secret = may_be_secret(event.anchor or "")
            alias = "an alias" if secret else f"the alias *{event.anchor}"
            raise _error(file, line, alias, "its values written out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise _error(file, line, "lists in lists in lists", "nothing nested so deeply")


def _redacted(problem: str) -> str:
    """Replace quotations of the file that may be secrets in a message of PyYAML."""
    return re.sub("'[^']*'", lambda it: "'…'" if may_be_secret(it[0][1:-1]) else it[0], problem)


def _error(file: Path, line: int | None, found: str, expected: str) -> RegistryError:
    return RegistryError([RegistryFault(file, line, (), found, expected)])


def line_of(node: yaml.Node) -> int:
    """Return the line where a node begins, counted from 1."""
    return int(node.start_mark.line) + 1


def text_of(node: yaml.Node) -> str | None:
    """Return a node's text, or None for anything but one line of text that is not blank."""
    is_text = isinstance(node, yaml.ScalarNode) and node.tag == _TEXT and node.value.strip()
    return node.value if is_text and not _UNPRINTABLE.search(node.value) else None


def quotes_hint(node: yaml.Node) -> str:
    """Return a hint to put the value in quotes, or nothing if quotes would not make it a text."""
    return "; put it in quotes" if node.tag in _KINDS else ""


def describe(node: yaml.Node) -> str:
    """Return a description of a node's value for a fault, without secrets."""
    match node:
        case yaml.SequenceNode():
            return "a list"
        case yaml.MappingNode():
            return "a mapping"
        case yaml.ScalarNode(tag=tag, value=value) if tag == _NULL or not value.strip():
            return NOTHING
        case yaml.ScalarNode(value=value) if _UNPRINTABLE.search(value):
            return "several lines, or control characters"
        case yaml.ScalarNode(tag=tag, value=value) if may_be_secret(value) or may_be_secret(tag):
            return HIDDEN
        case yaml.ScalarNode(tag=tag, value=value) if tag in _KINDS:
            return f"{_KINDS[tag]} {value}"
        case yaml.ScalarNode(tag=tag, value=value) if tag == _TEXT:
            return quoted(value)
        case _:
            return f"a value of type {node.tag}"
