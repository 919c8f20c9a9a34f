"""Fills the template of a sentence with values that can't change its markup.

All texts are Markdown. A name comes from people, so it is escaped (`plain`) or shown as code (`quoted`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
    """The templates of a language and the brand. The classes with the sentences derive from it."""

    brand: str
    sentences: Mapping[str, str]

    def format(self, key: str, **values: str | int) -> str:
        """Fill the template `key`; numbers select plural forms (see `Count`)."""
        filled = {
            name: Count(value) if isinstance(value, int) else value
            for name, value in ({"brand": plain(self.brand)} | values).items()
        }
        return self.sentences[key].format_map(filled)

    def on_or_off(self, on: bool) -> str:
        """The word for the position of a switch."""
        return self.format("on" if on else "off")

    def names(self, names: tuple[str, ...]) -> str:
        """Return the names as a list in one line, or a dash when there is none."""
        return ", ".join(map(quoted, names)) or "–"


def plain(text: str) -> str:
    """Return text in one line, with the characters escaped that are markup in Markdown."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def quoted(text: str) -> str:
    """Return text in one line as inline code."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"
