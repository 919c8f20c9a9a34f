"""Fills the template of a sentence.

All texts are Markdown. Users choose names, so a name is escaped (`escape`) or shown as code (`inline_code`), and adds
no markup.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_SHOWN = 100
"""The longest part of an invalid argument that an answer repeats."""
_SPECIAL = re.compile(r"[\\`*\[\]<~|]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")


class Count(int):
    """A number that selects the plural form of a word: `{count} {count:save|saves}`.

    Two forms mean one and many (English), three mean one, few and many (Russian). `{n:,}` and `{n: }` group the
    thousands.
    """

    def __format__(self, spec: str) -> str:
        """Return the number, or the form of the word for this number."""
        if spec in {",", " "}:
            return format(int(self), ",").replace(",", "," if spec == "," else "\u00a0")
        match spec.split("|"):
            case [one, many]:
                return one if self == 1 else many
            case [one, few, many]:
                if self % 10 == 1 and self % 100 != 11:
                    return one
                return few if self % 10 in {2, 3, 4} and self % 100 not in {12, 13, 14} else many
            case _:
                return format(int(self), spec)


@dataclass(frozen=True)
class Formatter:
    """The templates of a language and the brand; the base of the classes with the sentences.

    `locale` is the language, as in `SURFACES_LOCALE`.
    """

    brand: str
    templates: Mapping[str, str]
    locale: str = "en"

    def format(self, key: str, **values: str | int) -> str:
        """Fill the template `key`; numbers select plural forms (see `Count`)."""
        filled = {
            name: Count(value) if isinstance(value, int) else value
            for name, value in ({"brand": escape(self.brand)} | values).items()
        }
        return self.templates[key].format_map(filled)

    def on_or_off(self, on: bool) -> str:
        """Return the position of a switch as text."""
        return self.format("on" if on else "off")

    def names(self, names: tuple[str, ...]) -> str:
        """Return the names in one line, or the word for none."""
        return ", ".join(map(inline_code, names)) or self.format("none")


def escape(text: str) -> str:
    """Return text in one line, with Markdown's special characters escaped."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def with_detail(sentence: str, detail: str) -> str:
    """Return a sentence, and behind it a detail in parentheses, such as the code of an error; it may be empty."""
    return f"{sentence} ({detail})" if detail else sentence


def inline_code(text: str) -> str:
    """Return text in one line as inline code."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def as_written(text: str) -> str:
    """Return the beginning of what a user wrote, as inline code."""
    return inline_code(text[:MAX_SHOWN])
