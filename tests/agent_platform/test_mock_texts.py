"""The language of the mock agent: that of the request's settings, else the configured one."""

import pytest

from agent_platform import MOCK_PHRASES
from agent_platform.mock.sample_text import long_text
from agent_platform.mock.texts import _TEXTS, texts_for
from machines.events.agent import AgentCustomUpdate, AgentError, ConfirmationAnswer, ContextRequest
from tests.agent_platform.support import said
from tests.agent_platform.test_mock import MockChat
from tests.machines.test_i18n import fields


def is_russian(text):
    return any("\u0430" <= letter <= "\u044f" for letter in text.lower())


def test_both_languages_have_the_same_sentences_with_the_same_fields():
    assert {key: fields(text)[0] for key, text in _TEXTS["en"].items()} == {
        key: fields(text)[0] for key, text in _TEXTS["ru"].items()
    }


@pytest.mark.parametrize(
    ("settings", "configured", "language"),
    [
        ({}, "en", "en"),
        ({}, "ru", "ru"),
        ({"language": "ru"}, "en", "ru"),
        ({"language": "en"}, "ru", "en"),
        ({"language": "tlh"}, "ru", "ru"),
        ({"language": 5}, "en", "en"),
        ({"language": []}, "en", "en"),
    ],
)
def test_a_known_language_of_the_settings_has_priority(settings, configured, language):
    assert texts_for(settings, configured).locale == language


@pytest.mark.parametrize("options", [{"locale": "ru"}, {}])
async def test_every_phrase_is_answered_in_the_language(options):
    talk = MockChat(**options)
    settings = {} if options else {"language": "ru"}
    for usage in ("hi", *MOCK_PHRASES):
        phrase = usage.replace("<what>", "42").replace("<seconds>", "1").replace("<skill>", "x")
        frames = await talk.say(phrase, settings=settings)
        texts = [said(frames)]
        texts += [
            str(frame.payload.get("title") or frame.payload.get("text"))
            for frame in frames
            if isinstance(frame, AgentCustomUpdate)
        ]
        if any(isinstance(frame, AgentError) for frame in frames):
            continue
        assert usage in ("empty", "silent") or any(map(is_russian, texts)), usage
        assert "You " not in texts[0]


async def test_questions_and_saves_are_answered_in_the_language():
    talk = MockChat(locale="ru")
    await talk.say("confirm x")
    yes = ConfirmationAnswer("confirm-m1", accepted=True)
    assert said(await talk.say("yes", confirmation=yes)) == "Спасибо. Сделано: x."
    saved = await talk.say("save", context=ContextRequest("save", "x"))
    assert said(saved) == "Сообщений в «x»: 3."


async def test_the_language_can_change_between_two_messages():
    talk = MockChat()
    assert said(await talk.say("hi", settings={"language": "ru"})).startswith("Здравствуйте!")
    assert said(await talk.say("hi")).startswith("You said: hi")


def test_a_long_text_is_as_long_in_each_language():
    assert len(long_text(20_000, "ru")) >= 20_000
    assert long_text(2_000, "ru").splitlines()[-1].startswith("Конец.")
