"""Agents files as an operator writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One agent of the file; its label is its id with a capital."""

    id: str
    base_url: str
    token_env: str = ""

    @property
    def label(self) -> str:
        """The label shown to users."""
        return self.id.capitalize()


def write_registry(
    file: Path, *entries: Entry, user_agents: Mapping[str, str] | None = None
) -> None:
    """Write an agents file, in one step as a careful operator does."""
    lines = ["agents:"]
    for entry in entries:
        lines += [f"  - id: {entry.id}", f"    label: {entry.label}"]
        lines += [f"    base_url: {entry.base_url}"]
        lines += [f"    token_env: {entry.token_env}"] if entry.token_env else []
    if user_agents:
        lines += ["user_agents:", *(f'  "{user}": {id_}' for user, id_ in user_agents.items())]
    fresh = file.with_suffix(".new")
    fresh.write_text("\n".join([*lines, ""]))
    fresh.replace(file)
