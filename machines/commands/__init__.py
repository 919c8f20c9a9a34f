"""The commands of a chat, each a value with a file of its own (contract section 9).

`parse` makes the value from a message body; `apply` says what it does in the room it was written in. A command
that concerns the user rather than the room tells the user's actor. To add one, write its file and name it in
`COMMANDS`: `!help` and the reference are made from that.
"""

import re
from collections.abc import Mapping

from machines.commands.agent import Agent
from machines.commands.archive import Archive
from machines.commands.base import Applied, Command, Place
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

__all__ = ["ALIASES", "COMMANDS", "Applied", "Command", "Place", "parse", "parse_pick"]

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

_COMMAND = re.compile(r"!([^\W\d_][\w-]*)(?:\s+(.*))?", re.DOTALL)
# No consent, and not for the agent to interpret either (contract K8).
_QUALIFIED_ANSWER = re.compile(r"!(yes|no)((?![\w-])\S.*)", re.DOTALL | re.IGNORECASE)


def parse(body: str) -> Command | None:
    """Return the command that a message is, or `None` when it is plain text.

    The very first character is an ASCII `!` and a word follows it: with a space before it, or any
    character that only looks like one, a message is plain text. Names are ASCII and case does not matter;
    any other word is `Unknown`, which runs nothing. `!yes` and `!no` are answers with whatever follows them.
    """
    text = body.rstrip()
    match = _COMMAND.fullmatch(text) or _QUALIFIED_ANSWER.fullmatch(text)
    if match is None:
        return None
    name, argument = match[1], (match[2] or "").strip()
    known = _by_name(name.lower()) if name.isascii() else None
    return known(argument) if known is not None else Unknown(name)


def _by_name(name: str) -> type[Command] | None:
    return COMMANDS.get(name) or ALIASES.get(name)
