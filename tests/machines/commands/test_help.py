"""`!help` comes in groups and names only what works in the room (contracts K13, K3, O5)."""

import re

import pytest
from msgspec.structs import replace

from machines.commands import COMMANDS
from machines.i18n import TEMPLATES, catalog_for
from machines.user.preferences import Preferences
from tests.machines.support import ANNA, CATALOG, CHAT_BINDING, RoomScenario, chat_room, entry_room

ARCHIVED = chat_room(binding=replace(CHAT_BINDING, archived=True))
GROUPS = ("chat", "chats", "settings", "agent")


def page(room, locale="en"):
    scenario = RoomScenario(room)
    scenario.preferences[ANNA] = Preferences(language=locale)
    (text,) = scenario.user_writes("!help").texts
    return text


def named(text):
    return re.findall(r"^- `!(\w+)", text, re.MULTILINE)


def titles(text):
    return re.findall(r"^\*\*(.+)\*\*$", text, re.MULTILINE)


@pytest.mark.parametrize("locale", sorted(TEMPLATES))
def test_a_chat_has_every_command_once_under_the_titles_of_the_groups(locale):
    text = page(chat_room(), locale)
    assert sorted(named(text)) == sorted(COMMANDS)
    catalog = catalog_for(locale, "Lambda")
    assert titles(text) == [catalog.format(f"help_group_{group}").strip("*") for group in GROUPS]


def test_each_command_is_under_the_title_of_its_group():
    sections = page(chat_room()).split("\n\n**")[1:]
    for group, section in zip(GROUPS, sections, strict=True):
        assert named(section) == [each.name for each in COMMANDS.values() if each.group == group]


def test_an_entry_room_has_no_commands_of_a_chat_and_takes_no_plain_text():
    text = page(entry_room())
    assert sorted(named(text)) == sorted(
        each.name for each in COMMANDS.values() if not each.chats_only
    )
    assert len(titles(text)) == 2
    assert "plain text" not in text
    assert "plain text" in page(chat_room())


def test_an_archived_chat_has_only_what_works_there():
    text = page(ARCHIVED)
    assert "rename" not in named(text)
    assert {"context", "stop", "new", "chats"} <= set(named(text))
    assert "plain text" not in text


@pytest.mark.parametrize(
    "room", [chat_room(), entry_room(), entry_room(others=2), ARCHIVED], ids=str
)
def test_a_command_that_help_names_is_not_refused_in_that_room(room):
    shown = set(named(page(room)))
    refusals = (CATALOG.only_in_chat, CATALOG.not_in_shared_room)
    for name in COMMANDS:
        texts = RoomScenario(room).user_writes(f"!{name}").texts
        refused = any(refusal(name) in texts for refusal in refusals)
        refused = refused or CATALOG.chat_is_archived(1) in texts
        assert refused == (name not in shown), name
