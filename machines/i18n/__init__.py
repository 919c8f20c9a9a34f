"""Everything the bot says to people, in every language it speaks (contract E8).

A sentence is a method of `Catalog`: its name says when it is said, its arguments what it needs to know.
The words are in one catalogue per language, under the same key with the same fields; `tests` hold
them to that. To add a language, write its catalogue and name it in `TEMPLATES`.
"""

from collections.abc import Mapping

from machines.i18n.answers import Answers
from machines.i18n.chats import ChatLine, Chats
from machines.i18n.contexts import Contexts
from machines.i18n.en import ENGLISH
from machines.i18n.files import FileLine, Files
from machines.i18n.greetings import Greetings
from machines.i18n.ru import RUSSIAN
from machines.i18n.settings import AgentLine, Settings, Switch

__all__ = ["TEMPLATES", "AgentLine", "Catalog", "ChatLine", "FileLine", "Switch", "catalog_for"]

TEMPLATES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "ru": RUSSIAN}
"""What `SURFACES_LOCALE` may be."""


class Catalog(Greetings, Chats, Answers, Settings, Contexts, Files):
    """All sentences, in one language and under one brand."""


def catalog_for(locale: str, brand: str) -> Catalog:
    """Return the sentences of a language.

    Raises:
        KeyError: no catalogue is kept for this language.
    """
    return Catalog(brand, TEMPLATES[locale])
