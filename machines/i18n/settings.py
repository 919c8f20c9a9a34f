"""Sentences about settings: skills, soul, safety rules and the selected agent (contracts K4, K5)."""

from collections.abc import Iterable

from msgspec import Struct

from machines.i18n.formatter import Formatter, as_written, escape, inline_code


class Switch(Struct, frozen=True):
    """A skill or a safety rule, and whether it is on."""

    name: str
    on: bool


class AgentLine(Struct, frozen=True):
    """One row of `!agent`; `selected` marks the agent of new chats."""

    number: int
    agent_id: str
    label: str
    selected: bool = False


class Settings(Formatter):
    """Answers to `!settings` and to the commands that change settings."""

    def settings_page(
        self, agent: str, skills: tuple[str, ...], soul: str, safety: tuple[str, ...]
    ) -> str:
        """Answer `!settings`: the selected agent, the skills and safety rules that are on, the soul."""
        return self.format(
            "settings_page",
            agent=escape(agent),
            language=self.format("language_name"),
            skills=self.names(skills),
            soul=escape(soul) or self.format("none"),
            safety=self.names(safety),
        )

    def language_name(self) -> str:
        """Return the name of this language in this language."""
        return self.format("language_name")

    def language_shown(self, choices: Iterable[Formatter]) -> str:
        """Answer `!language`: this language, and the choices, each in its own language (contract K13)."""
        return "\n".join((self.format("language_shown"), "", *_choices(choices)))

    def language_set(self) -> str:
        """Answer `!language en|ru`, in the chosen language."""
        return self.format("language_set")

    def language_unknown(self, wanted: str, choices: Iterable[Formatter]) -> str:
        """Answer `!language` with another argument."""
        first = self.format("language_unknown", wanted=as_written(wanted))
        return "\n".join((first, "", *_choices(choices)))

    def skills_list(self, skills: Iterable[Switch]) -> str:
        """Answer `!skills`."""
        return self._switches("skills_header", "no_skills", skills)

    def skill_switched(self, name: str, on: bool) -> str:
        """Answer `!skill on|off`."""
        return self.format("skill_switched", name=inline_code(name), state=self.on_or_off(on))

    def skill_unknown(self, name: str, known: tuple[str, ...]) -> str:
        """Answer `!skill` with an unknown name."""
        return self.format("skill_unknown", name=as_written(name), known=self.names(known))

    def soul_shown(self, soul: str) -> str:
        """Answer `!soul`."""
        if not soul.strip():
            return self.format("no_soul")
        quote = "\n".join(f"> {line}" for line in soul.strip().splitlines())
        return self.format("soul_shown", soul=quote)

    def soul_set(self) -> str:
        """Answer `!soul <text>`."""
        return self.format("soul_set")

    def soul_cleared(self) -> str:
        """Answer a `!soul` that removes the text."""
        return self.format("soul_cleared")

    def soul_too_long(self, limit: int) -> str:
        """Answer a soul of more than `limit` characters."""
        return self.format("soul_too_long", limit=limit)

    def safety_list(self, rules: Iterable[Switch]) -> str:
        """Answer `!safety`."""
        return self._switches("safety_header", "no_safety", rules)

    def safety_switched(self, name: str, on: bool) -> str:
        """Answer `!safety on|off`."""
        return self.format("safety_switched", name=inline_code(name), state=self.on_or_off(on))

    def safety_unknown(self, name: str, known: tuple[str, ...]) -> str:
        """Answer `!safety` with an unknown name."""
        return self.format("safety_unknown", name=as_written(name), known=self.names(known))

    def agent_list(self, agents: Iterable[AgentLine]) -> str:
        """Answer `!agent`."""
        lines = (
            self.format(
                "agent_line_selected" if agent.selected else "agent_line",
                number=agent.number,
                label=escape(agent.label),
                agent=inline_code(agent.agent_id),
            )
            for agent in agents
        )
        return "\n".join(
            (self.format("agents_header"), "", *lines, "", self.format("agents_footer"))
        )

    def agent_selected(self, label: str) -> str:
        """Answer `!agent <number|id>` in the entry room or in a chat that has this agent."""
        return self.format("agent_selected", label=escape(label))

    def agent_bound_here(self, label: str) -> str:
        """Answer `!agent <number|id>` in a room that had no agent yet."""
        return self.format("agent_bound_here", label=escape(label))

    def agent_bound_elsewhere(self, label: str, here: str) -> str:
        """Answer `!agent <number|id>` in a chat that is bound to another agent, `here`."""
        return self.format("agent_bound_elsewhere", label=escape(label), here=escape(here))

    def agent_unknown(self, wanted: str) -> str:
        """Answer `!agent` with an argument that is neither an id nor a number in the list."""
        return self.format("agent_unknown", wanted=as_written(wanted))

    def _switches(self, header: str, none: str, switches: Iterable[Switch]) -> str:
        lines = [
            self.format(
                "switch_line", name=inline_code(switch.name), state=self.on_or_off(switch.on)
            )
            for switch in switches
        ]
        return "\n".join((self.format(header), "", *lines)) if lines else self.format(none)


def _choices(choices: Iterable[Formatter]) -> Iterable[str]:
    return (each.format("language_choice", code=each.locale) for each in choices)
