"""How a sentence is made: a template of the catalogue, filled with values that can't break it.

Everything said is Markdown. A name comes from people, so it is made `plain`, or `quoted` as code;
what is left of it reads the same and marks nothing up.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SPECIAL = re.compile(r"[\\`*\[\]<~|]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")


class Count(int):
    """A number that brings its word along: `{count} {count:file|files}`.

    Two forms are for one and for more; three are the Russian ones for one, few and many. `{n:,}` and
    `{n: }` group the thousands.
    """

    def __format__(self, spec: str) -> str:
        """Write the number, or the form of the word that goes with it."""
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
    """A catalogue and the brand it speaks for. The families of sentences derive from it."""

    brand: str
    sentences: Mapping[str, str]

    def say(self, key: str, **values: str | int) -> str:
        """Fill the template `key`; a number can be spelt with its word (see `Count`)."""
        filled = {
            name: Count(value) if isinstance(value, int) else value
            for name, value in ({"brand": plain(self.brand)} | values).items()
        }
        return self.sentences[key].format_map(filled)

    def on_or_off(self, on: bool) -> str:
        """Name the position of a switch."""
        return self.say("on" if on else "off")

    def names(self, names: tuple[str, ...]) -> str:
        """Enumerate names; a dash when there is none."""
        return ", ".join(map(quoted, names)) or "–"


def plain(text: str) -> str:
    """Return text in one line, with what Markdown would take for markup escaped."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def quoted(text: str) -> str:
    """Return text in one line as inline code."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"
