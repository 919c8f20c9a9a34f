"""YAML as nodes that know their line, and the few checks of shape that the agents file needs.

Nodes rather than values: values have lost their lines, their duplicate keys, and the difference
between `on` and `"on"`. Nothing is ever constructed, so that no tag can run code. Aliases and deep
nesting are refused while reading: the agents file needs neither, and both are ways to make a small
file large.
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from agent_platform.errors import RegistryError, RegistryFault
from agent_platform.redaction import HIDDEN, may_be_secret
from agent_platform.surrogates import without_surrogates

MAX_FILE_BYTES = 256 * 1024
_MAX_DEPTH = 8
_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_NOTHING = "nothing"
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_KINDS = {
    "tag:yaml.org,2002:int": "the number",
    "tag:yaml.org,2002:float": "the number",
    "tag:yaml.org,2002:bool": "the boolean",
    "tag:yaml.org,2002:timestamp": "the date",
}


def parse_file(file: Path) -> yaml.Node:
    """Return the root node of a YAML file.

    Raises:
        RegistryError: it can't be read, or is not one plain YAML document.
    """
    text = _read(file)
    try:
        _refuse_tricks(file, text)
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = f"the character U+{ord(text[error.position]):04X}"
        raise _error(file, line, found, "printable characters") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "; put names that begin with @ in quotes" if "'@'" in str(error.problem) else ""
        problem = _without_secrets(", ".join(filter(None, (error.context, error.problem))))
        found = f"a mistake in the YAML ({problem})"
        raise _error(file, mark.line + 1 if mark else None, found, f"YAML{hint}") from None
    except (ValueError, OverflowError):
        # PyYAML lets these through for escapes and versions whose number is out of range.
        found = "a mistake in the YAML (a number out of range)"
        raise _error(file, None, found, "YAML") from None
    if root is None:
        raise _error(file, None, "an empty file", "a list under `agents`")
    return root


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


def _refuse_tricks(file: Path, text: str) -> None:
    """Walk the events, which takes no recursion, before the nodes are built, which does."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            alias = (
                "an alias" if may_be_secret(event.anchor or "") else f"the alias *{event.anchor}"
            )
            raise _error(file, line, alias, "its values written out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise _error(file, line, "lists in lists in lists", "nothing nested so deeply")


def _without_secrets(problem: str) -> str:
    """Leave out what PyYAML quotes of the file where that may be a secret."""
    return re.sub(
        "'[^']*'", lambda found: "'…'" if may_be_secret(found[0][1:-1]) else found[0], problem
    )


def _error(file: Path, line: int | None, found: str, expected: str) -> RegistryError:
    return RegistryError([RegistryFault(file, line, "", found, expected)])


class Checker:
    """Reads nodes as what they should be, and collects a fault wherever one is something else."""

    def __init__(self, file: Path) -> None:
        self.faults: list[RegistryFault] = []
        self._file = file

    def fault(self, node: yaml.Node, key: str, found: str, expected: str) -> None:
        """Note that `found` stands at `node` where `expected` should."""
        line = node.start_mark.line + 1
        self.faults.append(RegistryFault(self._file, line, key, found, expected))

    def mapping(self, node: yaml.Node, key: str, expected: str) -> dict[str, yaml.Node]:
        """Return the entries of a mapping with plain texts as keys; nothing else is one."""
        entries: dict[str, yaml.Node] = {}
        lines: dict[str, int] = {}
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, key, describe(node), expected)
            return entries
        for name_node, value in node.value:
            name = self.text(name_node, key, "text as a key")
            if name is None:
                continue
            if name in entries:
                found = f"{quoted(name)} again (first on line {lines[name]})"
                self.fault(name_node, key, found, "each key once")
            else:
                entries[name] = value
                lines[name] = name_node.start_mark.line + 1
        return entries

    def known_keys(
        self, node: yaml.Node, key: str, entries: Mapping[str, object], known: Iterable[str]
    ) -> None:
        """Note each key that means nothing, with the one that was probably meant."""
        names = list(known)
        if not isinstance(node, yaml.MappingNode):
            return
        for name_node, _ in node.value:
            name = name_node.value
            if name in entries and name not in names:
                expected = nearest(name, names) or f"one of {', '.join(names)}"
                if may_be_secret(name):
                    self.fault(name_node, key, f"an unknown key: {HIDDEN}", expected)
                    continue
                path = f"{key}.{name}" if key else name
                self.fault(name_node, path, "an unknown key", expected)

    def items(self, node: yaml.Node, key: str, expected: str) -> list[yaml.Node]:
        """Return the items of a list."""
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self.fault(node, key, describe(node), expected)
        return []

    def text(self, node: yaml.Node, key: str, expected: str) -> str | None:
        """Return one line of text that is not empty; numbers and booleans want quotes."""
        if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT and node.value.strip():
            value: str = node.value
            if _UNPRINTABLE.search(value):
                self.fault(node, key, "several lines, or control characters", expected)
                return None
            return value
        quotes = "; put it in quotes" if node.tag in _KINDS else ""
        self.fault(node, key, describe(node), expected + quotes)
        return None


def is_unset(node: yaml.Node | None) -> bool:
    """Tell whether an optional key is absent or empty, which is the same."""
    return node is None or (isinstance(node, yaml.ScalarNode) and describe(node) == _NOTHING)


def describe(node: yaml.Node) -> str:
    """Say what stands at a node, in the operator's words."""
    match node:
        case yaml.SequenceNode():
            return "a list"
        case yaml.MappingNode():
            return "a mapping"
        case yaml.ScalarNode(tag=tag, value=value) if tag == _NULL or not value.strip():
            return _NOTHING
        case yaml.ScalarNode(tag=tag, value=value) if tag in _KINDS:
            return f"{_KINDS[tag]} {value}"
        case yaml.ScalarNode(tag=tag, value=value) if tag == _TEXT:
            return quoted(value)
        case _ if may_be_secret(node.tag):
            return HIDDEN
        case _:
            return f"a value of type {node.tag}"


def quoted(value: str) -> str:
    """Return a value as it may stand in a message: on one line, in quotes, not too long, and no secret."""
    if may_be_secret(value):
        return HIDDEN
    value = without_surrogates(value)
    return json.dumps(value if len(value) <= 80 else value[:79] + "…", ensure_ascii=False)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, as a suggestion."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"{close[0]} (a typing error?)" if close else None
