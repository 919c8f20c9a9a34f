"""The sentences of the bot: complete in every language, and with no accidental markup."""

import inspect
import string
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from machines.events.matrix import UnsupportedKind
from machines.i18n import TEMPLATES, AgentLine, Catalog, ChatLine, Switch, catalog_for
from machines.i18n.formatter import Count, Formatter, escape, inline_code
from machines.turn.state import QuietReason

COMMANDS = (
    "help", "new", "chats", "open", "rename", "archive", "settings", "skills", "skill", "soul",
    "safety", "agent", "language", "context", "save", "load", "clear", "yes", "no", "cancel", "stop",
)  # fmt: skip
SENTENCES = sorted(
    name
    for name, _ in inspect.getmembers(Catalog, inspect.isfunction)
    if not name.startswith("_") and name not in vars(Formatter)
)
LANGUAGES = sorted(TEMPLATES)
LINK = "https://matrix.to/#/!room"
ARGUMENTS = {
    "groups": {"chat": COMMANDS, "chats": ("new",), "settings": ("help",), "agent": ("yes",)},
    "choices": tuple(catalog_for(locale, "Lambda") for locale in sorted(TEMPLATES)),
    "takes_text": True,
    "has_saves": True,
    "others_wait": True,
    "command": "rename",
    "chats": (
        ChatLine("C1", "Budget", "Mock", "open", LINK, current=True),
        ChatLine("C2", "Trip", "Mock", "archived", LINK),
        ChatLine("C3", "Old", "Gone", "stale", LINK),
        ChatLine("C4", "Lost", "Mock", "failed", LINK),
        ChatLine("C5", "New", "Mock", "open", LINK, membership="invite"),
        ChatLine("C6", "Gone", "Mock", "archived", LINK, membership="leave"),
        ChatLine("C7", "Unwanted", "Mock", "open", LINK, membership="declined"),
    ),
    "skills": (Switch("search", on=True), Switch("draw", on=False)),
    "rules": (Switch("no-delete", on=True),),
    "agents": (AgentLine(1, "alpha", "Alpha", selected=True), AgentLine(2, "beta", "Beta")),
    "saves": ("monday", "tuesday"),
    "known": ("search", "draw"),
    "safety": ("no-delete",),
    "hint": "Try `file`.",
    "link": LINK,
    "on": True,
    "membership": "leave",
    "state": "again",
    "reason": "working",
    "tokens": 12345,
}
KINDS = (
    "unreachable",
    "silent",
    "protocol",
    "broken_off",
    "busy",
    "no_call",
    "too_slow",
    "not_restored",
    "somehow",
)


@pytest.fixture(params=LANGUAGES)
def catalog(request):
    return catalog_for(request.param, "Lambda")


def fields(template):
    """Return the fields of a template, and its plural forms."""
    parsed = [(name, spec) for _, name, spec, _ in string.Formatter().parse(template) if name]
    return {name for name, _ in parsed}, [spec.split("|") for _, spec in parsed if "|" in spec]


def format_example(catalog, name):
    """Return a sentence with example values, chosen by the names of its arguments."""
    values = {
        parameter.name: ARGUMENTS.get(parameter.name, 3 if parameter.annotation is int else "value")
        for parameter in inspect.signature(getattr(catalog, name)).parameters.values()
    }
    if name == "settings_page":
        values["skills"] = ("search",)
    return getattr(catalog, name)(**values)


def visible_text(markdown):
    """Return the visible text of one line of Markdown."""
    inline = MarkdownIt("commonmark").parseInline(markdown)[0]
    return "".join(child.content for child in inline.children)


def test_every_language_has_every_sentence():
    keys = {locale: set(templates) for locale, templates in TEMPLATES.items()}
    assert keys["en"] == keys["ru"]


@pytest.mark.parametrize("key", sorted(TEMPLATES["en"]))
def test_a_sentence_takes_the_same_values_in_every_language(key):
    assert fields(TEMPLATES["en"][key])[0] == fields(TEMPLATES["ru"][key])[0]


@pytest.mark.parametrize(("locale", "forms"), [("en", 2), ("ru", 3)])
def test_a_plural_has_all_the_forms_of_its_language(locale, forms):
    for template in TEMPLATES[locale].values():
        for spelt in fields(template)[1]:
            assert len(spelt) == forms
            assert all(spelt)


@pytest.mark.parametrize("locale", LANGUAGES)
def test_no_sentence_is_empty(locale):
    assert [key for key, template in TEMPLATES[locale].items() if not template.strip()] == []


@pytest.mark.parametrize("name", SENTENCES)
def test_every_sentence_can_be_formatted(catalog, name):
    text = format_example(catalog, name)
    assert text.strip()
    assert "{" not in text


def test_every_template_is_used_by_a_sentence(catalog, monkeypatch):
    used = set()
    format_ = Formatter.format

    def noting(self, key, **values):
        used.add(key)
        return format_(self, key, **values)

    monkeypatch.setattr(Formatter, "format", noting)
    for name in SENTENCES:
        format_example(catalog, name)
    for kind in KINDS:
        catalog.agent_gave_up(kind)
    for kind in get_args(UnsupportedKind):
        catalog.unsupported_message(kind)
    for reason in get_args(QuietReason):
        catalog.no_text_yet(reason)
    catalog.already_here("Trip", LINK, away=False, invited=True)
    catalog.load_failed("monday")
    for command in COMMANDS:
        catalog.wrong_usage(command)
    for state, membership in (("already", "invite"), ("failed", "join")):
        catalog.chat_opened(
            "Trip",
            LINK,
            state=state,
            membership=membership,
            stale_agent=None,
            invited_to_space=False,
        )
    for empty in (catalog.skills_list(()), catalog.safety_list(()), catalog.soul_shown("")):
        assert empty
    catalog.skill_switched("search", on=False)
    catalog.help({}, takes_text=False)
    catalog.stop_done(others_wait=False)
    catalog.settings_page("Mock", (), "", ())
    for name, tokens, saves in (("", None, ()), ("", 5, ("monday",))):
        catalog.context_page(name, tokens, saves)
    assert set(catalog.templates) - used == set()


def test_the_languages_differ():
    same = {key for key, text in TEMPLATES["en"].items() if text == TEMPLATES["ru"][key]}
    same = {key for key in same if not key.startswith("usage_")}
    assert same <= {
        "space_name", "help_line", "chat_line", "progress", "switch_line", "agent_line",
        "save_line", "context_page", "context_save", "example_agent", "example_load", "example_open",
        "example_safety", "example_skill",
    }  # fmt: skip


@pytest.mark.parametrize(("locale", "name"), [("en", "Chat 1"), ("ru", "Чат 1")])
def test_rooms_are_named_as_promised(locale, name):
    assert catalog_for(locale, "Lambda").chat_name(1) == name
    assert catalog_for(locale, "Lambda_x").space_name("Ann *") == "Lambda_x — Ann *"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_command_in_a_line_of_its_own(catalog, command):
    header, _, title, _, line = catalog.help({"chats": [command]}, takes_text=True).splitlines()
    assert header
    assert title == catalog.format("help_group_chats")
    assert line.startswith(f"- `!{command}")


def test_help_mentions_an_alias_in_the_line_of_its_command(catalog):
    assert "`!reset`" in catalog.help({"chat": ["clear"]}, takes_text=True)


def test_an_unknown_command_is_answered_in_one_line_that_names_help(catalog):
    text = catalog.unknown_command("frob\n`nicate")
    assert "\n" not in text
    assert "`!help`" in text


def test_a_final_failure_says_that_the_agent_could_not_answer():
    english, russian = catalog_for("en", "Lambda"), catalog_for("ru", "Lambda")
    for kind in (*KINDS, "AGENT_BUSY", "unheard_of"):
        assert english.agent_gave_up(kind).startswith("The agent could not answer")
        assert russian.agent_gave_up(kind).startswith("Агент не смог ответить")
    assert english.agent_gave_up("AGENT_BUSY") == english.agent_gave_up("busy")


def test_an_error_names_its_code(catalog):
    assert "`MODEL_OVERLOADED`" in catalog.agent_error("MODEL_OVERLOADED")


def test_a_question_comes_with_its_hint(catalog):
    text = catalog.confirmation_question("Delete *all*?", "Files:\n- a\n- b\n")
    assert "Delete \\*all\\*?" in text
    assert "\n\nFiles:\n- a\n- b\n\n" in text
    assert "`!yes`" in text.splitlines()[-1]
    assert "`!no`" in text.splitlines()[-1]


def test_a_question_without_a_title_is_still_one(catalog):
    title = catalog.confirmation_question(" ", "Delete all?").splitlines()[0]
    assert MarkdownIt("commonmark").render(title).startswith("<p><strong>")
    assert title.endswith("…**")


@pytest.mark.parametrize("text", ["half way", "half way…", "half way...", "half way. "])
def test_progress_ends_with_one_ellipsis(catalog, text):
    assert catalog.progress(text) == "*half way…*"


def test_a_very_long_argument_is_repeated_in_part(catalog):
    long = "x" * 5000
    for text in (
        catalog.unknown_command(long),
        catalog.skill_unknown(long, ()),
        catalog.safety_unknown(long, ()),
        catalog.agent_unknown(long),
    ):
        assert len(text) < 300


@pytest.mark.parametrize("failed", ["setup_failed", "new_failed"])
def test_the_homeservers_words_stand_behind_the_sentence(catalog, failed):
    sentence = getattr(catalog, failed)
    assert sentence("Not *here*.") == f"{sentence('')} (Not \\*here\\*.)"
    assert "`!new`" in sentence("")


def test_a_list_of_chats_marks_the_current_chat(catalog):
    header, gap, here, *others = catalog.chats_list(ARGUMENTS["chats"]).splitlines()
    assert header
    assert not gap
    assert here.startswith(f"- C1 · [Budget]({LINK}) · Mock · ")
    assert here.count(" · ") == 4
    assert [line.count(" · ") for line in others] == [3] * 6


def test_a_soul_of_several_lines_stays_a_quote(catalog):
    assert catalog.soul_shown("Be kind.\n\n# Be brief.").endswith("> Be kind.\n> \n> # Be brief.")


@pytest.mark.parametrize(
    ("number", "word"),
    [(0, "файлов"), (1, "файл"), (2, "файла"), (5, "файлов"), (11, "файлов"), (14, "файлов"),
     (21, "файл"), (22, "файла"), (101, "файл"), (111, "файлов"), (112, "файлов")],
)  # fmt: skip
def test_russian_numbers_select_the_right_form(number, word):
    assert f"{Count(number):файл|файла|файлов}" == word


def test_english_numbers_select_the_right_form():
    assert [f"{Count(n):file|files}" for n in (0, 1, 2, 21)] == ["files", "file", "files", "files"]


@pytest.mark.parametrize(("locale", "tokens"), [("en", "12,345"), ("ru", "12\u00a0345")])
def test_numbers_are_written_as_the_language_writes_them(locale, tokens):
    assert tokens in catalog_for(locale, "Lambda").context_page("", 12345, ())


@pytest.mark.parametrize("name", ["weekly_report", "C++ & C#", "Q3 (draft), 50%", "Чат 1", "a-b.c"])
def test_an_ordinary_name_is_not_changed(name):
    assert escape(name) == name


@settings(deadline=None)
@given(st.text(st.sampled_from("ab_ *`[]()<>~|\\&;#x1!:/\n") | st.characters(codec="utf-8")))
def test_a_name_adds_no_markup(name):
    shown = "".join(character for character in name if character != "\x00")
    assert visible_text(f"x {escape(shown)} x") == f"x {' '.join(shown.split())} x"
    assert inline_code(name).count("`") == 2


def test_a_template_in_a_name_is_not_filled(catalog):
    assert "{brand}" in catalog.renamed("{brand}")


def test_a_language_without_templates_is_refused():
    with pytest.raises(KeyError):
        catalog_for("tlh", "Lambda")
