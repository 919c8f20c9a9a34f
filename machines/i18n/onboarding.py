"""Sentences for onboarding and help: names of rooms, the welcome, links to chats (contracts O1–O5, K1)."""

from collections.abc import Iterable, Mapping

from machines.i18n.formatter import Formatter, as_written, escape, inline_code, with_detail


class Onboarding(Formatter):
    """Sentences of onboarding and help; `link` links to the room that the sentence names."""

    def space_name(self, display_name: str) -> str:
        """Return the name of a user's Space, which is not Markdown."""
        return self.format("space_name", brand=self.brand, display_name=display_name)

    def chat_name(self, number: int) -> str:
        """Return the default name of a chat, which is not Markdown."""
        return self.format("chat_name", number=number)

    def space_topic(self) -> str:
        """Return the topic of a user's Space, which is not Markdown."""
        return self.format("space_topic", brand=self.brand)

    def chat_topic(self, agent: str) -> str:
        """Return the topic of a chat, which is not Markdown."""
        return self.format("chat_topic", agent=agent)

    def space_invitation(self) -> str:
        """Return the reason of an invitation to the Space, which is not Markdown."""
        return self.format("space_invitation", brand=self.brand)

    def chat_invitation(self, agent: str) -> str:
        """Return the reason of the invitation to a new chat, which is not Markdown."""
        return self.format("chat_invitation", agent=agent)

    def invitation_back(self, agent: str) -> str:
        """Return the reason of another invitation to a chat, which is not Markdown."""
        return self.format("invitation_back", agent=agent)

    def welcome(self, agent: str, hint: str | None = None, *, encrypted: bool = False) -> str:
        """Return the first message of a user's first chat; `hint` is Markdown about how to try this agent.

        `encrypted`: the room that the user invited the bot to is encrypted, and the bot can write nothing there.
        """
        text = self.format("welcome", agent=escape(agent))
        unread = self.format("invited_to_encrypted_room") if encrypted else None
        return "\n\n".join(filter(None, (text, hint, unread)))

    def welcome_again(self, agent: str) -> str:
        """Return the first message of a further chat."""
        return self.format("welcome_again", agent=escape(agent))

    def mock_hint(self) -> str:
        """Return the hint of `welcome` for the built-in mock agent."""
        return self.format("mock_hint")

    def entry_pointer(self, chat: str, link: str) -> str:
        """Report in the entry room that Space and chat are ready, with a link."""
        return self.format("entry_pointer", chat=escape(chat), link=link)

    def entry_plain_text(self, chat: str, link: str) -> str:
        """Answer a message in the entry room that is not a command."""
        return self.format("entry_plain_text", chat=escape(chat), link=link)

    def entry_way_back(self, chat: str, number: int) -> str:
        """Answer a message or an invitation in the entry room if no chat of the user can be used as it is."""
        return self.format("entry_way_back", chat=escape(chat), number=number)

    def already_here(self, chat: str, link: str, *, away: bool, invited: bool) -> str:
        """Answer another invitation of a user who has a Space, and a chat that is not archived.

        `away`: they left one of these rooms and get another invitation. `invited`: an invitation waits for them.
        """
        text = self.format("already_here", chat=escape(chat), link=link)
        hint = "invited_again" if away else "invitation_waits" if invited else None
        return f"{text} {self.format(hint)}" if hint else text

    def entry_pointer_in_shared_room(self) -> str:
        """Return `entry_pointer` for a room with other people, without name or link (contract O5)."""
        return self.format("entry_pointer_in_shared_room")

    def not_in_shared_room(self, command: str) -> str:
        """Answer a command that shows personal data in a room with other people (contract O5)."""
        return self.format("not_in_shared_room", command=inline_code(f"!{command}"))

    def setup_failed(self, reason: str) -> str:
        """Report in the entry room that the homeserver refuses the Space; `reason` is in its words."""
        return with_detail(self.format("setup_failed"), escape(reason))

    def invite_refused(self) -> str:
        """Return the reason of a rejected invitation, which is not Markdown (contract O4)."""
        return self.format("invite_refused")

    def no_longer_allowed(self) -> str:
        """Answer the first message of a user who may no longer talk to the bot (contract E3)."""
        return self.format("no_longer_allowed")

    def help(self, groups: Mapping[str, Iterable[str]], *, takes_text: bool) -> str:
        """Return a line for each command, under the title of its group; the line of a command also names its aliases.

        `takes_text`: plain text in this room is for the agent.
        """
        sections = [self.format("help_header_chat" if takes_text else "help_header")]
        for group, commands in groups.items():
            lines = [
                self.format(
                    "help_line",
                    usage=inline_code(self.usage(name)),
                    line=self.format(f"help_{name}"),
                )
                for name in commands
            ]
            if lines:
                sections.append("\n".join((self.format(f"help_group_{group}"), "", *lines)))
        return "\n\n".join(sections)

    def usage(self, command: str) -> str:
        """Return the syntax of a command, such as `!new [name]`; only commands with arguments have a template."""
        key = f"usage_{command}"
        return self.format(key) if key in self.templates else f"!{command}"

    def wrong_usage(self, command: str) -> str:
        """Answer a command whose argument is invalid or missing, with an example."""
        key = f"example_{command}"
        example = self.format(key) if key in self.templates else f"!{command}"
        return self.format("wrong_usage", example=inline_code(example))

    def no_argument(self, command: str) -> str:
        """Answer a command that takes no argument but has one: nothing was done (contract K12)."""
        return self.format("no_argument", command=inline_code(f"!{command}"))

    def unknown_command(self, name: str) -> str:
        """Answer an unknown command."""
        return self.format("unknown_command", command=as_written(f"!{name.removeprefix('!')}"))

    def only_in_chat(self, command: str) -> str:
        """Answer a command that works only in a chat."""
        return self.format("only_in_chat", command=inline_code(f"!{command.removeprefix('!')}"))
