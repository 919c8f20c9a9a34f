"""Sentences about the context of a chat and its saves (contracts K6, K7)."""

from collections.abc import Iterable

from machines.i18n.formatter import Formatter, escape, inline_code, with_detail


class Contexts(Formatter):
    """Answers to `!clear`, `!context`, `!save` and `!load`."""

    def context_cleared(self, has_saves: bool) -> str:
        """Answer `!clear`: what can be undone, and what can't (contract K12)."""
        cleared = self.format("context_cleared")
        return f"{cleared}\n\n{self.format('context_cleared_saves')}" if has_saves else cleared

    def context_page(self, name: str, tokens: int | None, saves: tuple[str, ...]) -> str:
        """Answer `!context`; `name` is the last save that was loaded or created, `tokens` the last count."""
        page = self.format(
            "context_page",
            state=self._state(name, saves),
            used=self.format("tokens", count=tokens) if tokens else self.format("no_tokens"),
        )
        if not saves:
            return page
        return "\n".join((page, "", self.format("context_saves"), "", *self._loads(saves)))

    def save_name(self, number: int) -> str:
        """Return a generated name of a save."""
        return self.format("save_name", number=number)

    def please_save(self, name: str) -> str:
        """Return the request to the agent to save the context (agent protocol, `context`)."""
        return self.format("please_save", name=escape(name))

    def please_load(self, name: str) -> str:
        """Return the request to the agent to load a saved context (agent protocol, `context`)."""
        return self.format("please_load", name=escape(name))

    def save_done(self, name: str) -> str:
        """Answer `!save` when the agent has saved the context."""
        return self.format("save_done", name=escape(name))

    def save_failed(self, name: str, code: str = "") -> str:
        """Answer `!save` when the agent could not save it; `code` is that of its error."""
        return with_detail(self.format("save_failed", name=escape(name)), _code(code))

    def load_list(self, saves: tuple[str, ...]) -> str:
        """Answer `!load`; the next plain number picks a save."""
        lines = (
            self.format("save_line", number=number, name=escape(name))
            for number, name in enumerate(saves, 1)
        )
        return "\n".join((self.format("saves_header"), "", *lines, "", self.format("saves_footer")))

    def load_none(self) -> str:
        """Answer `!load` when there are no saves."""
        return self.format("load_none")

    def load_unknown(self, wanted: str, saves: tuple[str, ...]) -> str:
        """Answer `!load` with an argument that is neither a number nor a name in the list."""
        first = self.format("load_unknown", wanted=inline_code(wanted))
        return "\n".join((first, "", *self._loads(saves)))

    def load_picked(self, name: str) -> str:
        """Answer the picked number when the agent has loaded the save."""
        return self.format("load_picked", name=escape(name))

    def load_failed(self, name: str, code: str = "") -> str:
        """Answer the picked number when the agent could not load the save; `code` is that of its error."""
        # An agent that reports an error does not change its mind; an absent one may come back.
        key = "load_refused" if code else "load_failed"
        return with_detail(self.format(key, name=escape(name)), _code(code))

    def load_left(self) -> str:
        """Answer `0` or `!cancel` to the list of saves."""
        return self.format("load_left")

    def load_invalid(self, count: int) -> str:
        """Answer a number that is not in the list of `count` saves."""
        return self.format("load_invalid", count=count)

    def _state(self, name: str, saves: tuple[str, ...]) -> str:
        if name:
            return self.format("context_named", name=escape(name))
        return self.format("context_fresh" if saves else "context_unsaved")

    def _loads(self, saves: tuple[str, ...]) -> Iterable[str]:
        return (
            self.format("context_save", number=number, name=escape(name))
            for number, name in enumerate(saves, 1)
        )


def _code(code: str) -> str:
    return inline_code(code) if code else ""
