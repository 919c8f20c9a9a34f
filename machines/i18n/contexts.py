"""Sentences about the context of a chat and its saves (contracts K6, K7)."""

from machines.i18n.formatter import Formatter, plain


class Contexts(Formatter):
    """Answers to `!clear`, `!context`, `!save` and `!load`."""

    def context_cleared(self) -> str:
        """Answer `!clear`."""
        return self.format("context_cleared")

    def context_page(self, name: str, tokens: int | None, saves: tuple[str, ...]) -> str:
        """Answer `!context`; `name` is the save that was loaded or made last, `tokens` the last count."""
        return self.format(
            "context_page",
            name=plain(name) or "–",
            tokens="–" if tokens is None else self.format("tokens", count=tokens),
            saves=", ".join(map(plain, saves)) or "–",
        )

    def save_name(self, number: int) -> str:
        """The generated name of a save."""
        return self.format("save_name", number=number)

    def please_save(self, name: str) -> str:
        """The text that asks the agent to keep the context (agent protocol, `context`)."""
        return self.format("please_save", name=plain(name))

    def please_load(self, name: str) -> str:
        """The text that asks the agent to go back to a kept context (agent protocol, `context`)."""
        return self.format("please_load", name=plain(name))

    def save_done(self, name: str) -> str:
        """Answer `!save` when the agent has kept the context."""
        return self.format("save_done", name=plain(name))

    def save_failed(self, name: str) -> str:
        """Answer `!save` when the agent could not keep it."""
        return self.format("save_failed", name=plain(name))

    def load_list(self, saves: tuple[str, ...]) -> str:
        """Answer `!load`; the next plain number picks."""
        lines = (
            self.format("save_line", number=number, name=plain(name))
            for number, name in enumerate(saves, 1)
        )
        return "\n".join((self.format("saves_header"), "", *lines, "", self.format("saves_footer")))

    def load_none(self) -> str:
        """Answer `!load` when nothing was saved."""
        return self.format("load_none")

    def load_picked(self, name: str) -> str:
        """Answer the picked number when the agent has gone back to the save."""
        return self.format("load_picked", name=plain(name))

    def load_failed(self, name: str) -> str:
        """Answer the picked number when the agent could not go back to the save."""
        return self.format("load_failed", name=plain(name))

    def load_left(self) -> str:
        """Answer `0` or `!cancel` to the list of saves."""
        return self.format("load_left")

    def load_invalid(self, count: int) -> str:
        """Answer a number that is not in the list of `count` saves."""
        return self.format("load_invalid", count=count)
