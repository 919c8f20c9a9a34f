"""The commands of a chat, each a class in a file of its own (contract section 9).

`parse` makes a command from a message body; its `apply` decides what it does in the room where it was written. A
command that concerns the user rather than the room passes the request on to the user's actor. To add a command, write
its file and add it to `COMMANDS`, from which `!help` and the reference are made. Start at `base`.
"""

import re
from collections.abc import Mapping

from machines.commands.agent import Agent
from machines.commands.archive import Archive
from machines.commands.base import Command, CommandContext
from machines.commands.chats import Chats
from machines.commands.clear import Clear
from machines.commands.confirm import Cancel, No, Yes
from machines.commands.context import Context, Load, Save, parse_pick
from machines.commands.help import Help
from machines.commands.new import New
from machines.commands.rename import Rename
from machines.commands.settings import Settings
from machines.commands.soul import Soul
from machines.commands.stop import Stop
from machines.commands.switches import Safety, Skill, Skills
from machines.commands.unknown import Unknown

__all__ = ["ALIASES", "COMMANDS", "Command", "CommandContext", "parse", "parse_pick"]

COMMANDS: Mapping[str, type[Command]] = {
    command.name: command
    for command in (
        Help,
        New,
        Chats,
        Rename,
        Archive,
        Settings,
        Skills,
        Skill,
        Soul,
        Safety,
        Agent,
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
# Text directly after the word is no consent, and the agent must not interpret it either (contract K8).
_QUALIFIED_ANSWER = re.compile(r"!(yes|no)((?![\w-])\S.*)", re.DOTALL | re.IGNORECASE)


def parse(body: str) -> Command | None:
    """Return the command that a message is, or `None` when it is plain text.

    The very first character is an ASCII `!` and a word follows it. With a space before the `!`, or with a character
    that only looks like one, a message is plain text. Names are ASCII and case does not matter; any other word is
    `Unknown`, which runs nothing. `!yes` and `!no` are commands whatever follows them.
    """
    text = body.rstrip()
    match = _COMMAND.fullmatch(text) or _QUALIFIED_ANSWER.fullmatch(text)
    if match is None:
        return None
    name, argument = match[1], (match[2] or "").strip()
    known = _BY_NAME.get(name.lower()) if name.isascii() else None
    return known(argument) if known is not None else Unknown(name)
