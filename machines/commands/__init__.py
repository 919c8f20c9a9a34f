"""The commands of users, such as `!new` (contract section 9). Start at `base`.

`parse` turns a message into a command, and `apply` of the command decides its effects in the room where it was written.
A command about all chats of a user sends a request to the user's actor. To add a command, write its class and add it
to `COMMANDS`, from which `!help` and the reference are generated.
"""

import re
from collections.abc import Mapping

from machines.commands.agent import Agent
from machines.commands.archive import Archive
from machines.commands.base import Command, CommandContext
from machines.commands.chats import Chats
from machines.commands.clear import Clear
from machines.commands.confirm import Cancel, No, Yes, parse_disguised
from machines.commands.context import Context, Load, Save, parse_pick
from machines.commands.help import Help
from machines.commands.language import Language
from machines.commands.new import New
from machines.commands.open import Open
from machines.commands.rename import Rename
from machines.commands.settings import Settings
from machines.commands.soul import Soul
from machines.commands.stop import Stop
from machines.commands.switches import Safety, Skill, Skills
from machines.commands.unknown import Unknown

__all__ = [
    "ALIASES",
    "COMMANDS",
    "Command",
    "CommandContext",
    "parse",
    "parse_disguised",
    "parse_pick",
]

COMMANDS: Mapping[str, type[Command]] = {
    command.name: command
    for command in (
        Help,
        New,
        Chats,
        Rename,
        Archive,
        Open,
        Settings,
        Skills,
        Skill,
        Soul,
        Safety,
        Agent,
        Language,
        Context,
        Save,
        Load,
        Clear,
        Yes,
        No,
        Cancel,
        Stop,
    )
}
ALIASES: Mapping[str, type[Command]] = {"reset": Clear}
_BY_NAME = {**COMMANDS, **ALIASES}

_COMMAND = re.compile(r"!([^\W\d_][\w-]*)(?:\s+(.*))?", re.DOTALL)
# `!yes,` is no consent, and must not reach the agent as text either (contract K8).
_QUALIFIED_ANSWER = re.compile(r"!(yes|no)((?![\w-])\S.*)", re.DOTALL | re.IGNORECASE)


def parse(body: str) -> Command | None:
    """Return the command in a message, or `None` for plain text.

    A command is an ASCII `!` as the first character, followed by a name. Names are ASCII, and case does not matter.
    Any other name gives `Unknown`, which has no effect. `!yes` and `!no` are commands whatever follows them.
    """
    text = body.rstrip()
    match = _COMMAND.fullmatch(text) or _QUALIFIED_ANSWER.fullmatch(text)
    if match is None:
        return None
    name, argument = match[1], (match[2] or "").strip()
    known = _BY_NAME.get(name.lower()) if name.isascii() else None
    return known(argument) if known is not None else Unknown(name)
