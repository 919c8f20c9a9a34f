"""`!context`, `!save [name]` and `!load [number|name]`: show, save and load the context of this chat (contract K7)."""

import re
from itertools import count

from msgspec.structs import replace

from machines.commands.base import AgentPrompt, Applied, Command, CommandContext
from machines.commands.naming import MAX_NAME_LENGTH, one_line
from machines.events.agent import ContextRequest
from machines.i18n import Catalog
from machines.room.state import Room

_NUMBER = re.compile(r"[0-9]{1,4}")


class Context(Command):
    """Shows the name of the context, the used tokens and the saves, without a call to the agent."""

    name = "context"
    group = "chat"
    chats_only = True
    works_archived = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Return the page."""
        chat_context = ctx.room.chat_context
        page = ctx.catalog.context_page(
            chat_context.context_name, chat_context.tokens, chat_context.saves
        )
        return ctx.only_answer(page)


class Save(Command):
    """Asks the agent to save the context, under a generated name if none is given."""

    name = "save"
    group = "chat"
    chats_only = True
    waits = True  # the messages before it are part of the save

    def apply(self, ctx: CommandContext) -> Applied:
        """Ask the agent, with a text and a protocol field; the save is listed after the agent has answered."""
        catalog = ctx.catalog
        name = one_line(self.argument) or _free_name(catalog, ctx.room.chat_context.saves)
        if len(name) > MAX_NAME_LENGTH:
            return ctx.only_answer(catalog.name_too_long(MAX_NAME_LENGTH))
        prompt = AgentPrompt(catalog.please_save(name), context=ContextRequest("save", name))
        return Applied(ctx.room, prompt=prompt)


class Load(Command):
    """Picks a save by its number or name, or opens the list of saves; the next plain number picks one."""

    name = "load"
    group = "chat"
    chats_only = True
    waits = True  # a number written before it picks nothing

    def apply(self, ctx: CommandContext) -> Applied:
        """Pick, or show the list and open it."""
        catalog, chat_context = ctx.catalog, ctx.room.chat_context
        if not chat_context.saves:
            return ctx.only_answer(catalog.load_none())
        wanted = one_line(self.argument)[:MAX_NAME_LENGTH]
        if _NUMBER.fullmatch(wanted) and int(wanted) <= len(chat_context.saves):
            return Pick(wanted).apply(ctx)
        if (name := _named(wanted, chat_context.saves)) is not None:
            return _load(ctx, name)
        if wanted:
            return ctx.only_answer(catalog.load_unknown(wanted, chat_context.saves))
        room = replace(ctx.room, chat_context=replace(chat_context, picking=True))
        return Applied(room, (ctx.answer(catalog.load_list(chat_context.saves)),))


class Pick(Command):
    """A plain number while the list is open; at any other time it is plain text."""

    chats_only = True
    waits = True  # the `!load` before it opens the list

    def apply(self, ctx: CommandContext) -> Applied:
        """Ask the agent to load the save; `0` closes the list, an invalid number leaves it open."""
        catalog, chat_context = ctx.catalog, ctx.room.chat_context
        number = int(self.argument)
        if number == 0:
            return Applied(_closed(ctx), (ctx.answer(catalog.load_left()),))
        if number > len(chat_context.saves):
            return ctx.only_answer(catalog.load_invalid(len(chat_context.saves)))
        return _load(ctx, chat_context.saves[number - 1])


def _load(ctx: CommandContext, name: str) -> Applied:
    """Ask the agent to load a save, and close the list."""
    prompt = AgentPrompt(ctx.catalog.please_load(name), context=ContextRequest("load", name))
    return Applied(_closed(ctx), prompt=prompt)


def _closed(ctx: CommandContext) -> Room:
    """Return the room with the list closed."""
    return replace(ctx.room, chat_context=replace(ctx.room.chat_context, picking=False))


def _named(wanted: str, saves: tuple[str, ...]) -> str | None:
    """Return the save of this name; case matters only where names differ in nothing else."""
    same = [name for name in saves if name.casefold() == wanted.casefold()]
    return wanted if wanted in same else next(iter(same), None)


def _free_name(catalog: Catalog, saves: tuple[str, ...]) -> str:
    """Return a generated name that is not in use."""
    numbered = (catalog.save_name(number) for number in count(len(saves) + 1))
    return next(name for name in numbered if name not in saves)


def parse_pick(body: str) -> Pick | None:
    """Return the pick in a message while a list is open, or `None` for plain text."""
    number = body.strip()
    return Pick(number) if _NUMBER.fullmatch(number) else None
