"""All texts of the bot, in every language (contract E8).

A sentence is a method of `Catalog`, named after its use; its arguments fill the fields of its template. Each language
has one file of templates (`en`, `ru`), with the same keys and fields; tests check that. To add a language, write its
templates and add them to `TEMPLATES`. Start at `formatter`.
"""

from collections.abc import Mapping

from machines.i18n.answers import Answers
from machines.i18n.chats import ChatLine, Chats
from machines.i18n.contexts import Contexts
from machines.i18n.en import ENGLISH
from machines.i18n.onboarding import Onboarding
from machines.i18n.ru import RUSSIAN
from machines.i18n.settings import AgentLine, Settings, Switch

__all__ = ["TEMPLATES", "AgentLine", "Catalog", "ChatLine", "Switch", "catalog_for"]

TEMPLATES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "ru": RUSSIAN}
"""The templates of each language; the keys are the values of `SURFACES_LOCALE`."""


class Catalog(Onboarding, Chats, Answers, Settings, Contexts):
    """All sentences in one language, with one brand."""


def catalog_for(locale: str, brand: str) -> Catalog:
    """Return the catalog of a language.

    Raises:
        KeyError: there are no templates for this language.
    """
    return Catalog(brand, TEMPLATES[locale], locale)
