"""`!language`: the language of everything that the bot says to a user (contract K13)."""

import pytest
from msgspec.structs import replace

from machines.events.internal import (
    ChatListRequested,
    NewChatRequested,
    QueueOverflowed,
    ReplyTarget,
)
from machines.events.orders import CreateRoom
from machines.i18n import TEMPLATES, catalog_for
from machines.ids import EventId, RoomId
from machines.room.chat_context import ChatContext
from machines.user import actor as user_actor
from machines.user.actor import UserActor
from machines.user.machine import User
from machines.user.preferences import Preferences
from tests.machines.support import (
    ANNA,
    BERT,
    CATALOG,
    CHAT_BINDING,
    ROOM,
    SPACE,
    RoomScenario,
    StepResult,
    chat_room,
    entry_room,
    make_context,
)

RUSSIAN = catalog_for("ru", "Lambda")
CHOICES = tuple(catalog_for(each, "Lambda") for each in TEMPLATES)


def speaking_russian(room=None, **options):
    scenario = RoomScenario(room or chat_room(), context_options=options)
    scenario.preferences[ANNA] = Preferences(language="ru")
    return scenario


def test_without_an_argument_it_shows_the_language_and_the_choices_in_each_of_them():
    (page,) = RoomScenario().user_writes("!language").texts
    assert page == CATALOG.language_shown(CHOICES)
    assert "**English**" in page
    assert "`!language en` — I write to you in English" in page
    assert "`!language ru` — я пишу вам по-русски" in page
    (page,) = speaking_russian().user_writes("!language").texts
    assert page == RUSSIAN.language_shown(CHOICES)


@pytest.mark.parametrize("argument", ["ru", "RU", "русский", "Русский"])
@pytest.mark.parametrize("room", [chat_room(), entry_room(), entry_room(others=2)])
def test_the_answer_and_everything_after_it_is_in_the_chosen_language(room, argument):
    scenario = RoomScenario(room)
    assert scenario.user_writes(f"!language {argument}").texts == [RUSSIAN.language_set()]
    assert scenario.preferences == {ANNA: Preferences(language="ru")}
    assert scenario.user_writes("!hlep").texts == [RUSSIAN.unknown_command("hlep")]
    assert scenario.user_writes("!language en").texts == [CATALOG.language_set()]
    assert scenario.user_writes("!hlep").texts == [CATALOG.unknown_command("hlep")]


@pytest.mark.parametrize("argument", ["tlh", "en ru", "e", "\u0435n", "x" * 5000])
def test_an_unknown_language_is_answered_with_the_choices_and_changes_nothing(argument):
    scenario = RoomScenario()
    (page,) = scenario.user_writes(f"!language {argument}").texts
    assert page == CATALOG.language_unknown(argument, CHOICES)
    assert all(f"`!language {locale}`" in page for locale in TEMPLATES)
    assert len(page) < 500
    assert scenario.preferences == {}


def test_it_changes_the_language_of_its_user_only():
    scenario = RoomScenario(entry_room())
    scenario.user_writes("!language ru", sender=BERT)
    assert scenario.user_writes("!hlep").texts == [CATALOG.unknown_command("hlep")]
    texts = scenario.user_writes("!hlep", sender=BERT).texts
    assert texts == [RUSSIAN.unknown_command("hlep")]


def test_it_acts_at_once_and_an_answer_in_progress_ends_in_the_new_language():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.agent_output("Once")
    assert scenario.user_writes("!language ru").texts == [RUSSIAN.language_set()]
    result = scenario.user_writes("!stop")
    assert RUSSIAN.stop_done(others_wait=False) in result.texts
    assert any(text.endswith(RUSSIAN.stopped()) for text in result.texts)


def test_the_settings_page_shows_it():
    assert "Language: English" in RoomScenario().user_writes("!settings").texts[0]
    assert "Язык: русский" in speaking_russian().user_writes("!settings").texts[0]


@pytest.mark.parametrize(("chosen", "sent"), [("", {}), ("en", {}), ("ru", {"language": "ru"})])
def test_the_agent_gets_it_only_where_it_differs_from_the_configured_one(chosen, sent):
    scenario = RoomScenario()
    scenario.preferences[ANNA] = Preferences(language=chosen)
    assert scenario.user_writes("hello").only_call.request.settings == sent


def test_a_language_that_this_version_does_not_have_gives_the_configured_one():
    scenario = RoomScenario()
    scenario.preferences[ANNA] = Preferences(language="tlh")
    assert scenario.user_writes("!hlep").texts == [CATALOG.unknown_command("hlep")]


def test_a_request_to_save_or_load_is_in_the_language_of_the_user():
    room = chat_room(chat_context=ChatContext(saves=("x",)))
    assert speaking_russian().user_writes("!save x").only_call.request.text == RUSSIAN.please_save(
        "x"
    )
    request = speaking_russian(room).user_writes("!load x").only_call.request
    assert request.text == RUSSIAN.please_load("x")
    name = speaking_russian().user_writes("!save").only_call.request.context
    assert name is not None
    assert name.name == RUSSIAN.save_name(1)


def test_notices_of_the_room_are_in_the_language_of_its_user():
    assert speaking_russian().handle(QueueOverflowed(3, None), stored=True).texts == [
        RUSSIAN.too_many_waiting()
    ]
    archived = chat_room(binding=replace(CHAT_BINDING, archived=True))
    assert speaking_russian(archived).user_writes("hello").texts == [RUSSIAN.chat_is_archived(1)]
    stale = speaking_russian(agents=("other",)).user_writes("hello").texts
    assert stale == [RUSSIAN.stale_agent("default")]
    failed = chat_room(state="failed", last_repair_at=999.0)
    assert speaking_russian(failed).user_writes("!help").texts == [RUSSIAN.room_recovery_failed()]


def test_in_a_room_without_a_binding_a_failure_is_reported_in_the_language_of_the_writer():
    failed = entry_room(state="failed", last_repair_at=999.0)
    scenario = RoomScenario(failed)
    scenario.preferences[BERT] = Preferences(language="ru")
    assert scenario.user_writes("!help", sender=BERT).texts == [RUSSIAN.room_recovery_failed()]


def user_step(event):
    user = User(ANNA, space_id=SPACE, next_chat_index=2)
    context = make_context(chosen={ANNA: Preferences(language="ru")})
    return StepResult(user_actor.handle(UserActor(user), event, 1, context)[1])


def test_a_new_chat_is_named_in_the_language_of_the_user():
    reply_to = ReplyTarget(RoomId("!entry"), EventId("$1"))
    orders = user_step(NewChatRequested(reply_to, "")).orders
    (order,) = [order for order in orders if isinstance(order, CreateRoom)]
    assert order.name == "Чат 2"


def test_the_list_of_chats_is_in_the_language_of_the_user():
    reply_to = ReplyTarget(ROOM, EventId("$1"))
    assert user_step(ChatListRequested(reply_to)).texts == [RUSSIAN.no_chats()]


@pytest.mark.parametrize(
    "body", ["!help", "!settings", "!skills", "!safety", "!soul", "!agent", "!context", "!load"]
)
def test_a_page_is_in_the_language_of_the_user(body):
    (english,) = RoomScenario().user_writes(body).texts
    (russian,) = speaking_russian().user_writes(body).texts
    assert not cyrillic(english)
    assert cyrillic(russian)


def cyrillic(text):
    return any("\u0430" <= letter <= "\u044f" for letter in text.lower())
