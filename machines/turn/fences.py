"""Code fences of Markdown: detects the lines that open and close them, and makes those that a cut needs."""

import re
from dataclasses import dataclass

LIST_INDENT = 3
"""Maximum indentation, in characters, of a fence outside any list."""

_OPENING = re.compile(
    r"(?P<lead>[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(?P<marker>`{3,}|~{3,})(?P<info>[^\n]*)"
)


def size(text: str) -> int:
    """Return the number of UTF-8 bytes; a lone surrogate counts as three, the size of its replacement."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Fence:
    """An open code fence: indentation or list marker, fence marker, and info string."""

    lead: str
    marker: str
    info: str

    @classmethod
    def opened_by(cls, line: str) -> "Fence | None":
        """Return the fence that a line opens, possibly within a list, or `None`."""
        found = _OPENING.match(line)
        if not found or ("`" in found["marker"] and "`" in found["info"]):
            return None
        return cls(found["lead"], found["marker"], found["info"].strip())

    def is_closed_by(self, line: str) -> bool:
        """Whether `line` closes this fence: the same marker, at least as long, and nothing else.

        A marker with a deeper indentation is code, unless this fence is in a list itself.
        """
        marker = line.strip(" \t\r>" if ">" in self.lead else " \t\r")
        if len(marker) < len(self.marker) or marker.strip(self.marker[0]):
            return False
        depth = len(line) - len(line.lstrip())
        return len(self.lead) >= LIST_INDENT or depth <= len(self.lead) + LIST_INDENT

    @property
    def closing(self) -> str:
        """The line that closes it; its indentation continues a list item."""
        return re.sub(r"[^ \t>]", " ", self.lead) + self.marker

    def reopening(self, limit_bytes: int) -> str:
        """Return the line that opens it again in the next part, with its newline.

        The next part is outside the list, where a deeper indentation would make it an indented code block.
        """
        lead = re.sub(r"[^ >]", " ", self.lead)
        opening = (lead if ">" in lead else lead[:LIST_INDENT]) + self.marker
        line = f"{opening}{self.info}\n"
        return line if size(line) <= limit_bytes // 4 else f"{opening}\n"
