"""Sample arguments for each command, and the sentences of the catalog that answer them.

The tests are parametrized over the product's table of commands, so that a command without an entry here fails.
A sentence is named by its key; its fields may have any value.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import get_args

from machines.commands import ALIASES, COMMANDS
from machines.commands.base import HelpGroup
from machines.commands.naming import MAX_NAME_LENGTH
from machines.i18n import TEMPLATES, Catalog
from machines.user.preferences import MAX_SOUL_LENGTH

TOO_LONG = "x" * (MAX_NAME_LENGTH + 1)
Keys = tuple[str, ...]


@dataclass(frozen=True)
class Use:
    """A command with one argument, the sentences that answer it, those of a second time, and those in an entry room."""

    argument: str
    is_made_of: Keys
    again: Keys = ()
    in_entry: Keys = ()


CHATS: Keys = (
    "chats_header",
    "chat_line",
    "chat_line_here",
    "chats_hint_invited",
    "chats_hint_open",
)
SKILLS: Keys = ("skills_header", "switch_line")
SAFETY: Keys = ("safety_header", "switch_line")
AGENTS: Keys = ("agents_header", "agent_line", "agent_line_selected", "agents_footer")
WRONG: Keys = ("wrong_usage",)
NO_ARGUMENT: Keys = ("no_argument",)
CLEARED: Keys = ("context_cleared", "context_cleared_saves")
LANGUAGES: Keys = ("language_shown", "language_choice")
CONTEXT: Keys = ("context_page", "context_saves", "context_save")
HELP: Keys = ("help_line", *(f"help_group_{group}" for group in get_args(HelpGroup)))
CHAT_HELP: Keys = ("help_header_chat", *HELP)
ENTRY_HELP: Keys = ("help_header", *HELP)
USES: Mapping[str, Sequence[Use]] = {
    "help": (
        Use("", CHAT_HELP, in_entry=ENTRY_HELP),
        Use("me", CHAT_HELP, in_entry=ENTRY_HELP),
    ),
    "new": (
        Use("Plans", ("chat_created",)),
        Use("", ("chat_created",)),
        Use(TOO_LONG, ("name_too_long",)),
    ),
    "chats": (Use("", CHATS), Use("all of them", CHATS)),
    "rename": (
        Use("Plans", ("renamed",)),
        Use("", WRONG),
        Use("\u200b", WRONG),
        Use(TOO_LONG, ("name_too_long",)),
    ),
    "archive": (
        Use("now", NO_ARGUMENT),
        Use("", ("archived_now",), ("chat_is_archived",)),
        Use("now", ("chat_is_archived",)),
    ),
    "open": (
        Use("1", ("open_already", "open_stale")),
        Use("C1", ("open_already", "open_stale")),
        Use("999999", ("open_unknown",)),
        Use("", WRONG),
        Use("1 2", WRONG),
        Use("first", WRONG),
        Use("0", WRONG),
    ),
    "settings": (Use("", ("settings_page",)), Use("soul", ("settings_page",))),
    "skills": (Use("", SKILLS), Use("all", SKILLS)),
    "skill": (
        Use("off files", ("skill_switched",)),
        Use("ON Files", ("skill_switched",)),
        Use("", WRONG),
        Use("on", WRONG),
        Use("maybe files", WRONG),
        Use("on files please", WRONG),
        Use("on juggling", ("skill_unknown",)),
    ),
    "soul": (
        Use("none", ("soul_cleared",)),
        Use("", ("no_soul",)),
        Use("Be brief.\nBe kind.", ("soul_set",)),
        Use("", ("soul_shown",)),
        Use("x" * (MAX_SOUL_LENGTH + 1), ("soul_too_long",)),
        Use("-", ("soul_cleared",)),
    ),
    "safety": (
        Use("", SAFETY),
        Use("off email-send", ("safety_switched",)),
        Use("on email-send", ("safety_switched",)),
        Use("email-send", WRONG),
        Use("off everything", ("safety_unknown",)),
    ),
    "agent": (
        Use("", AGENTS),
        Use("1", ("agent_selected",)),
        Use("default", ("agent_selected",)),
        Use("0", ("agent_unknown",)),
        Use("2", ("agent_unknown",)),
        Use("nobody", ("agent_unknown",)),
    ),
    "language": (
        Use("", LANGUAGES),
        Use("tlh", ("language_unknown", "language_choice")),
    ),
    "context": (Use("", CONTEXT), Use("now", CONTEXT)),
    "save": (
        Use("Lunch", ("save_done",)),
        Use("", ("save_done",)),
        Use(TOO_LONG, ("name_too_long",)),
    ),
    "load": (Use("", ("load_none",)), Use("1", ("load_none",))),
    "clear": (Use("", CLEARED), Use("all", NO_ARGUMENT)),
    "reset": (Use("", CLEARED), Use("all", NO_ARGUMENT)),
    "yes": (Use("", ("no_open_question",)), Use("please", ("no_open_question",))),
    "no": (Use("", ("no_open_question",)), Use("thanks", ("no_open_question",))),
    "cancel": (Use("", ("cancel_nothing",)), Use("all", ("cancel_nothing",))),
    "stop": (Use("", ("nothing_to_stop",)), Use("now", ("nothing_to_stop",))),
}
COMMAND_WORDS = {**COMMANDS, **ALIASES}
"""Every command and alias."""
UNKNOWN = ("nonsense", "hlep me", "сlear", "s\u212aill on files")
"""Unknown commands; two of them contain look-alike letters."""


def written(name: str, use: Use) -> str:
    """Return a command as it is typed."""
    return f"!{name} {use.argument}".rstrip(" ")


def help_page(catalog: Catalog, *, in_chat: bool) -> str:
    """Return the answer to `!help` in a chat, or in an entry room without other people."""
    groups = {
        group: [
            command.name
            for command in COMMANDS.values()
            if command.group == group and (in_chat or not command.chats_only)
        ]
        for group in get_args(HelpGroup)
    }
    return catalog.help(groups, takes_text=in_chat)


def is_made_of(locale: str, keys: Keys, text: str) -> bool:
    """Whether a text consists of these sentences and nothing else, beginning with the first."""
    lines = [line for line in text.splitlines() if line.strip()]
    first, *others = (_lines(TEMPLATES[locale][key]) for key in keys)
    if "language_choice" in keys:
        others += [_lines(templates["language_choice"]) for templates in TEMPLATES.values()]
    known = [*first, *(line for sentence in others for line in sentence)]
    more = f"(?: (?:{'|'.join(known)}))*"  # a line may have several of the sentences
    return re.fullmatch(first[0] + more, lines[0]) is not None and all(
        any(re.fullmatch(pattern + more, line) for pattern in known) for line in lines
    )


def _lines(template: str) -> list[str]:
    return [_pattern(line) for line in template.splitlines() if line.strip()]


def _pattern(line: str) -> str:
    parts = Formatter().parse(line)
    return "".join(re.escape(text) + (".+" if field else "") for text, field, _, _ in parts)
