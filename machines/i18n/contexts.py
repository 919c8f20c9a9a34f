"""What is said about what the agent remembers of a chat (contracts K6, K7)."""

from machines.i18n.formatter import Formatter, plain


class Contexts(Formatter):
    """Sentences about the context of a chat and its saves."""

    def context_cleared(self) -> str:
        """Answer `!clear`."""
        return self.say("context_cleared")

    def context_page(self, name: str, tokens: int | None, saves: tuple[str, ...]) -> str:
        """Answer `!context`; `name` is the save that the chat goes on from, `tokens` the last count."""
        return self.say(
            "context_page",
            name=plain(name) or "–",
            tokens="–" if tokens is None else self.say("tokens", count=tokens),
            saves=", ".join(map(plain, saves)) or "–",
        )

    def save_name(self, number: int) -> str:
        """Name a save for which no name was given."""
        return self.say("save_name", number=number)

    def please_save(self, name: str) -> str:
        """Ask the agent, in words, to keep the context (agent protocol, `context`)."""
        return self.say("please_save", name=plain(name))

    def please_load(self, name: str) -> str:
        """Ask the agent, in words, to go back to a kept context (agent protocol, `context`)."""
        return self.say("please_load", name=plain(name))

    def save_done(self, name: str) -> str:
        """Answer `!save` when the agent has kept the context."""
        return self.say("save_done", name=plain(name))

    def save_failed(self, name: str) -> str:
        """Answer `!save` when the agent could not keep it."""
        return self.say("save_failed", name=plain(name))

    def load_list(self, saves: tuple[str, ...]) -> str:
        """Answer `!load`: the next plain number picks."""
        lines = (
            self.say("save_line", number=number, name=plain(name))
            for number, name in enumerate(saves, 1)
        )
        return "\n".join((self.say("saves_header"), "", *lines, "", self.say("saves_footer")))

    def load_none(self) -> str:
        """Answer `!load` when nothing was saved."""
        return self.say("load_none")

    def load_picked(self, name: str) -> str:
        """Answer the number that picked a save, when the agent has gone back to it."""
        return self.say("load_picked", name=plain(name))

    def load_failed(self, name: str) -> str:
        """Answer the number that picked a save, when the agent could not go back to it."""
        return self.say("load_failed", name=plain(name))

    def load_left(self) -> str:
        """Answer `0` or `!cancel` to the list of saves."""
        return self.say("load_left")

    def load_invalid(self, count: int) -> str:
        """Answer a number that is not in the list of `count` saves."""
        return self.say("load_invalid", count=count)
