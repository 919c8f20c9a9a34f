"""A user's preferences: one set for all of their chats, sent with every message to an agent (contracts K4, K5)."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from machines.ids import AgentId

SKILLS: Mapping[str, bool] = {
    "web-search": True,
    "fetch-url": True,
    "files": True,
    "browser": False,
    "email": False,
    "image-generation": False,
}
"""The skills that an agent may use, with their defaults."""

SAFETY: Mapping[str, bool] = {
    "email-send": True,
    "file-delete": True,
    "social-post": True,
}
"""The actions that need a confirmation, with their defaults."""

MAX_SOUL_LENGTH = 2000
Group = Literal["skills", "safety"]
DEFAULTS: Mapping[Group, Mapping[str, bool]] = {"skills": SKILLS, "safety": SAFETY}


class Preferences(Struct, frozen=True):
    """The preferences of a user; only differences from the defaults are stored.

    `agent_id` is the agent of new chats; `soul` is the user's text about how the agent should behave; `language` is
    the language of the bot's sentences, empty for the configured one. A user who chooses the configured language keeps
    it when the configuration changes.
    """

    agent_id: AgentId | None = None
    soul: str = ""
    skills: Mapping[str, bool] = field(default_factory=dict)
    safety: Mapping[str, bool] = field(default_factory=dict)
    language: str = ""

    def switches(self, group: Group) -> dict[str, bool]:
        """Return every switch of a group with its current value."""
        chosen = self.skills if group == "skills" else self.safety
        return {name: chosen.get(name, default) for name, default in DEFAULTS[group].items()}

    def switched(self, group: Group, name: str, on: bool) -> "Preferences":
        """Return these preferences with one switch set."""
        chosen = dict(self.skills if group == "skills" else self.safety)
        chosen.pop(name, None)
        if DEFAULTS[group][name] != on:
            chosen[name] = on
        return replace(self, skills=chosen) if group == "skills" else replace(self, safety=chosen)

    def settings(self, default_language: str) -> dict[str, Any]:
        """Return the `settings` of the agent protocol: only differences from the defaults."""
        chosen = {
            "soul": self.soul,
            "skills": dict(self.skills),
            "safety": dict(self.safety),
            "language": self.language if self.language != default_language else "",
        }
        return {key: value for key, value in chosen.items() if value}
