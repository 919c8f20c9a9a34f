"""What is said on arrival: names of rooms, the welcome, the pointers, and the help (O1–O5, K1)."""

from collections.abc import Iterable

from machines.i18n.formatter import Formatter, plain, quoted


class Greetings(Formatter):
    """Sentences for somebody who is new, or has lost the way. `link` leads to the room named."""

    def space_name(self, display_name: str) -> str:
        """Name a user's Space. Not Markdown."""
        return self.say("space_name", brand=self.brand, display_name=display_name)

    def chat_name(self, number: int) -> str:
        """Name a chat that was given no name. Not Markdown."""
        return self.say("chat_name", number=number)

    def welcome(self, agent: str, hint: str | None = None) -> str:
        """Open a fresh chat; `hint` is Markdown that says how to try this agent."""
        text = self.say("welcome", agent=plain(agent))
        return f"{text}\n\n{hint}" if hint else text

    def mock_hint(self) -> str:
        """Say in a fresh chat what the built-in mock agent can show."""
        return self.say("mock_hint")

    def entry_pointer(self, chat: str, link: str) -> str:
        """Say in the entry room that all is ready, and where."""
        return self.say("entry_pointer", chat=plain(chat), link=link)

    def entry_plain_text(self, chat: str, link: str) -> str:
        """Answer a message in the entry room that is no command."""
        return self.say("entry_plain_text", chat=plain(chat), link=link)

    def already_here(self, chat: str, link: str) -> str:
        """Answer another invitation of a user who has his Space."""
        return self.say("already_here", chat=plain(chat), link=link)

    def entry_pointer_in_company(self) -> str:
        """Point the way in an entry room where others read along, naming nothing (contract O5)."""
        return self.say("entry_pointer_in_company")

    def not_in_company(self, command: str) -> str:
        """Answer a command that shows what is somebody's own, where others read along (contract O5)."""
        return self.say("not_in_company", command=quoted(f"!{command}"))

    def setup_failed(self, reason: str) -> str:
        """Say in the entry room that the homeserver refuses the Space or its first chat."""
        return self.say("setup_failed", reason=plain(reason))

    def help(self, commands: Iterable[str]) -> str:
        """Explain the given commands, a line each; aliases stand with what they stand for."""
        lines = (
            self.say("help_line", usage=quoted(self.usage(name)), line=self.say(f"help_{name}"))
            for name in commands
            if f"help_{name}" in self.sentences
        )
        return "\n".join((self.say("help_header"), "", *lines))

    def usage(self, command: str) -> str:
        """Show how a command is written, such as `!new [name]`."""
        return self.say(f"usage_{command}")

    def wrong_usage(self, command: str) -> str:
        """Answer a command whose argument makes no sense or is missing."""
        return self.say("wrong_usage", usage=quoted(self.usage(command)))

    def unknown_command(self, name: str) -> str:
        """Answer a `!word` that is no command."""
        return self.say("unknown_command", command=quoted(f"!{name.removeprefix('!')}"))

    def only_in_chat(self, command: str) -> str:
        """Answer a command in the entry room that needs a chat."""
        return self.say("only_in_chat", command=quoted(f"!{command.removeprefix('!')}"))
