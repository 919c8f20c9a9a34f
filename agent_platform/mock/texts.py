"""The sentences of the mock agent in English and Russian; they are an agent's, not the bot's.

The language is that of the request's `settings.language`, which the bot sends only where it differs from the configured
one; else the configured language.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ENGLISH: Mapping[str, str] = {
    "hello": "Hello! ",
    "echo": "You said: {text}",
    "quoted": "You replied to: {text}",
    "counted": "This is message {count} of our conversation.",
    "question_unknown": "You answered a question that I no longer remember, so I did nothing.",
    "question_answered": "You have answered that already; I did nothing more.",
    "accepted": "Thank you. I did it: {what}.",
    "declined": "All right, I left it alone: {what}.",
    "saved": "Messages in “{name}”: {count}.",
    "loaded": "Let's go on from there. Messages in “{name}”: {count}.",
    "attached": "Attached to it:",
    "bytes": "{size} bytes",
    "not_found": "not found",
    "what": "delete a file",
    "unasked": "You want no question about that, so I did it: {what}.",
    "question": "May I do this: {what}?",
    "question_details": "Nothing happens before you answer.",
    "tool_off": "I would use {name}, but you switched it off.",
    "tool_used": "I used {name}, and it worked.",
    "half_way": "half way",
    "file": "Here is a file for you.",
    "no_workspace": "(There is no workspace that I can write to.) ",
    "context": (
        "- agent: `{agent}`\n- conversation: `{conversation}`\n- messages: {count}\n- kept: {kept}\n\n"
        "Settings that differ from the defaults:"
    ),
    "nothing": "nothing",
    "seconds_left": "{seconds} s to go",
    "slow": "That took me {seconds} s.",
}
_RUSSIAN: Mapping[str, str] = {
    "hello": "Здравствуйте! ",
    "echo": "Вы написали: {text}",
    "quoted": "Это ответ на: {text}",
    "counted": "Это сообщение номер {count} в нашем разговоре.",
    "question_unknown": "Вы ответили на вопрос, которого я уже не помню, поэтому ничего не сделано.",
    "question_answered": "На этот вопрос вы уже ответили; больше ничего не сделано.",
    "accepted": "Спасибо. Сделано: {what}.",
    "declined": "Хорошо, оставляю как есть: {what}.",
    "saved": "Сообщений в «{name}»: {count}.",
    "loaded": "Продолжим с этого места. Сообщений в «{name}»: {count}.",
    "attached": "К этому приложено:",
    "bytes": "байт: {size}",
    "not_found": "не найдено",
    "what": "удалить файл",
    "unasked": "Об этом вы просили не спрашивать, поэтому сделано: {what}.",
    "question": "Можно это сделать: {what}?",
    "question_details": "До вашего ответа ничего не произойдёт.",
    "tool_off": "Здесь пригодился бы навык {name}, но вы его выключили.",
    "tool_used": "Навык {name} использован, всё получилось.",
    "half_way": "полпути пройдено",
    "file": "Вот файл для вас.",
    "no_workspace": "(Нет рабочей папки, в которую я могу писать.) ",
    "context": (
        "- агент: `{agent}`\n- разговор: `{conversation}`\n- сообщений: {count}\n- сохранено: {kept}\n\n"
        "Настройки, которые отличаются от обычных:"
    ),
    "nothing": "ничего",
    "seconds_left": "осталось {seconds} с",
    "slow": "Это заняло {seconds} с.",
}
_TEXTS: Mapping[str, Mapping[str, str]] = {"en": _ENGLISH, "ru": _RUSSIAN}


@dataclass(frozen=True, slots=True)
class Texts:
    """The sentences in one language."""

    locale: str
    templates: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Fill the template `key`."""
        return self.templates[key].format_map(values)


ENGLISH = Texts("en", _ENGLISH)


def texts_for(settings: Mapping[str, Any], locale: str) -> Texts:
    """Return the sentences in the language of a request, or else in the configured one."""
    chosen = settings.get("language")
    language = chosen if isinstance(chosen, str) and chosen in _TEXTS else locale
    return Texts(language, _TEXTS[language])
