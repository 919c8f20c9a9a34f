"""Sentences for onboarding and help: room names, the welcome, the pointers (O1–O5, K1)."""

from collections.abc import Iterable

from machines.i18n.formatter import Formatter, plain, quoted


class Greetings(Formatter):
    """Sentences of onboarding and help. `link` is the link to the room that the sentence names."""

    def space_name(self, display_name: str) -> str:
        """The name of a user's Space. Not Markdown."""
        return self.format("space_name", brand=self.brand, display_name=display_name)

    def chat_name(self, number: int) -> str:
        """The default name of a chat. Not Markdown."""
        return self.format("chat_name", number=number)

    def welcome(self, agent: str, hint: str | None = None) -> str:
        """The first message of a new chat; `hint` is Markdown that says how to try this agent."""
        text = self.format("welcome", agent=plain(agent))
        return f"{text}\n\n{hint}" if hint else text

    def mock_hint(self) -> str:
        """The hint of `welcome` for the built-in mock agent."""
        return self.format("mock_hint")

    def entry_pointer(self, chat: str, link: str) -> str:
        """Notice in the entry room: Space and chat are ready, with a link."""
        return self.format("entry_pointer", chat=plain(chat), link=link)

    def entry_plain_text(self, chat: str, link: str) -> str:
        """Answer a message in the entry room that is not a command."""
        return self.format("entry_plain_text", chat=plain(chat), link=link)

    def already_here(self, chat: str, link: str) -> str:
        """Answer another invitation of a user who already has a Space."""
        return self.format("already_here", chat=plain(chat), link=link)

    def entry_pointer_in_company(self) -> str:
        """The pointer in an entry room with other people; names nothing (contract O5)."""
        return self.format("entry_pointer_in_company")

    def not_in_company(self, command: str) -> str:
        """Answer a command that shows personal data in a room with other people (contract O5)."""
        return self.format("not_in_company", command=quoted(f"!{command}"))

    def setup_failed(self, reason: str) -> str:
        """Notice in the entry room: the homeserver refuses the Space or its first chat."""
        return self.format("setup_failed", reason=plain(reason))

    def help(self, commands: Iterable[str]) -> str:
        """Explain the given commands, one line each; an alias is named in the line of its command."""
        lines = (
            self.format(
                "help_line", usage=quoted(self.usage(name)), line=self.format(f"help_{name}")
            )
            for name in commands
            if f"help_{name}" in self.sentences
        )
        return "\n".join((self.format("help_header"), "", *lines))

    def usage(self, command: str) -> str:
        """The syntax of a command, such as `!new [name]`."""
        return self.format(f"usage_{command}")

    def wrong_usage(self, command: str) -> str:
        """Answer a command whose argument is invalid or missing."""
        return self.format("wrong_usage", usage=quoted(self.usage(command)))

    def unknown_command(self, name: str) -> str:
        """Answer a `!word` that is not a command."""
        return self.format("unknown_command", command=quoted(f"!{name.removeprefix('!')}"))

    def only_in_chat(self, command: str) -> str:
        """Answer a command that works only in a chat."""
        return self.format("only_in_chat", command=quoted(f"!{command.removeprefix('!')}"))
