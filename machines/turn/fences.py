"""Code fences of Markdown: which lines open and close them, and how a cut closes and reopens one."""

import re
from dataclasses import dataclass

LIST_INDENT = 3
"""Indentation, in characters, that Markdown allows a fence outside any list."""

_OPENING = re.compile(
    r"(?P<lead>[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(?P<marker>`{3,}|~{3,})(?P<info>[^\n]*)"
)


def size(text: str) -> int:
    """Count UTF-8 bytes; a lone surrogate counts for the three that its replacement takes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Fence:
    """An open code fence: indentation or list marker, fence marker, and info string."""

    lead: str
    marker: str
    info: str

    @classmethod
    def opened_by(cls, line: str) -> "Fence | None":
        """Parse an opening line, which a list may indent; return `None` for any other line."""
        found = _OPENING.match(line)
        if not found or ("`" in found["marker"] and "`" in found["info"]):
            return None
        return cls(found["lead"], found["marker"], found["info"].strip())

    def is_closed_by(self, line: str) -> bool:
        """Whether `line` has the same marker, at least as long, and nothing after it.

        A marker with deeper indentation is code, unless this fence is itself in a list.
        """
        marker = line.strip(" \t\r>" if ">" in self.lead else " \t\r")
        if len(marker) < len(self.marker) or marker.strip(self.marker[0]):
            return False
        depth = len(line) - len(line.lstrip())
        return len(self.lead) >= LIST_INDENT or depth <= len(self.lead) + LIST_INDENT

    @property
    def closing(self) -> str:
        """The line that closes it in the same part; indentation continues a list item."""
        return re.sub(r"[^ \t>]", " ", self.lead) + self.marker

    def reopening(self, limit_bytes: int) -> str:
        """Return the line that opens it again in the next part, with its newline.

        The next part has no list around it: deeper indentation would make it an indented block.
        """
        lead = re.sub(r"[^ >]", " ", self.lead)
        opening = (lead if ">" in lead else lead[:LIST_INDENT]) + self.marker
        line = f"{opening}{self.info}\n"
        return line if size(line) <= limit_bytes // 4 else f"{opening}\n"
