"""What a partial event shows of a text that still grows (contract D6).

A last line that is not finished can be read as structure that its end takes away again: `-` below a line of text is a
heading until it becomes `- item`, and `[x]: http…` changes links above it. So the end of the text is held back while
it is not clear what it is:

- a line of markers only, the line of a code fence, the beginning of a link definition;
- a formula that is not closed;
- in a line that continues a paragraph with open markup: everything from the first character that could close it.

Other text is shown at once, word by word. At most `MAX_HELD` characters are held back, so an answer always advances.
"""

import re

from machines.turn.fences import Fence
from machines.turn.formulas import DISPLAY, open_formula

MAX_HELD = 400
MAX_HELD_INLINE = 120
"""The limit for a formula inside a line: a dollar sign may also be just that."""
_MAX_FORMULAS = 4
"""How often a cut may open a formula again whose end was in the text behind the cut."""
_MAX_ABOVE = 2_000
"""The lines of a paragraph that are searched for open markup; a longer paragraph counts as having some."""

_MARKERS = r"(?:[ \t]*(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])))*[ \t]*"
_CONTAINERS = re.compile(_MARKERS)
_DEFINITION = re.compile(rf"^{_MARKERS}\[", re.MULTILINE)
_STRUCTURE = re.compile(r"[-=*_|:+~`#>.)(\[\]<!\\$\s\d]*")
_CODE_FENCE = re.compile("```|~~~")
_HEADING = re.compile(r"#{1,6}(?:\s|$)")
_LABEL = re.compile(r"\[(?:[^\\\[\]]|\\.)*")
_LIST_ITEM = re.compile(r"^[ \t>]*(?:[-*+]|(?P<number>\d{1,9})[.)])[ \t]", re.MULTILINE)

# Markup that is closed within the lines above, or that can't reach into the next line.
_CLOSED = re.compile(
    r"(?P<code>`+)(?!`)[^`]*(?P=code)(?!`)"
    r"|(?P<emphasis>\*{1,3}|_{1,3}|~~)(?=[^\s*_~])[^*_~]*(?<=\S)(?P=emphasis)(?![*_~])"
    r"|!?\[[^\[\]]*\](?:\([^()\s]*\))?"
    r"|\$\$?(?=[^\s$])[^$]*(?<=\S)\$\$?"
    r"|(?<=\w)_+(?=\w)"
    r"|\\[^(\[]"
)
_MARKUP = re.compile(r"[*_~`\[\]$\\]")


def can_be_shown(text: str) -> bool:
    """Whether some of a growing text may be shown; only its beginning is read."""
    text = text.lstrip()
    return len(text) > MAX_HELD or bool(settled(text).strip())


def settled(text: str, opening: str = "") -> str:
    """Return the beginning of a growing text that may be shown.

    `opening` is the fence line of the part that `text` continues, as in a `CutPosition`.
    """
    begin = text.rfind("\n") + 1
    fence, paragraph = _context(text[:begin], opening)
    if fence is None or _ends_container(fence, text[begin:]):
        cut = _cut(text, paragraph, begin)
    else:
        # Only a line of fence characters can close the fence, or an empty line the quotation around it.
        cut = len(text) if text[begin:].strip(f" \t>{fence.marker[0]}") else begin
    return text[:cut] if len(text) - cut <= MAX_HELD else text


def _context(lines: str, opening: str) -> tuple[Fence | None, int]:
    """Return the fence that is open after these complete lines, and where their last paragraph begins."""
    fence = Fence.opened_by(opening)
    if fence is None and not _CODE_FENCE.search(lines):
        return None, _last_paragraph(lines)
    paragraph = offset = 0
    for line in lines.split("\n")[:-1]:
        offset += len(line) + 1
        if fence is not None and not _ends_container(fence, line):
            if fence.is_closed_by(line):
                fence, paragraph = None, offset
            continue
        fence = Fence.opened_by(line)
        if fence is not None or not line.strip(" \t\r>"):
            paragraph = offset
    return fence, paragraph


def _last_paragraph(lines: str) -> int:
    """Return where the lines after the last blank one begin."""
    begin = len(lines)
    while begin:
        before = lines.rfind("\n", 0, begin - 1) + 1
        if not lines[before:begin].strip(" \t\r\n>"):
            break
        begin = before
    return begin


def _ends_container(fence: Fence, line: str) -> bool:
    """Whether a line is outside the quotation or the list item in which a fence was opened, and so ends it."""
    rest = line.lstrip(" \t")
    if not rest:
        return False
    if ">" in fence.lead:
        return not rest.startswith(">")
    return bool(fence.lead.strip()) and len(line) - len(rest) < len(fence.lead)


def _cut(text: str, paragraph: int, begin: int) -> int:
    """Return where to end a text outside of code blocks, whose last line starts at `begin`."""
    cut = end = len(text)
    for _ in range(_MAX_FORMULAS):
        cut = _settled_line(text[:end], paragraph, begin)
        opener, at = open_formula(text[:cut], paragraph)
        in_line = opener and at >= begin and len(text) - at <= MAX_HELD_INLINE
        if opener not in DISPLAY and not in_line:
            break
        cut = end = at
        begin = text.rfind("\n", 0, end) + 1
    # At the end of a paragraph, a backslash is shown; before another line it is a line break.
    last = text[text.rfind("\n", 0, max(0, cut - 1)) + 1 : cut]
    return cut - 2 if last.endswith("\\\n") and not _may_be_structure(last) else cut


def _settled_line(text: str, paragraph: int, begin: int) -> int:
    """Return where to end the last line, which starts at `begin`."""
    line = text[begin:]
    if _may_be_structure(line):
        return begin
    above = text[paragraph:begin]
    if above and not _begins_block(line, above):
        if _DEFINITION.search(above):
            return begin  # it may belong to a link definition
        if len(above) > _MAX_ABOVE or _MARKUP.search(_CLOSED.sub("", above)):
            markup = _MARKUP.search(line)
            line = line[: markup.start()] if markup else line
    return begin if _may_be_structure(line) else begin + len(line)


def _may_be_structure(line: str) -> bool:
    """Whether an unfinished line may be structure, or may become it."""
    rest = _after_containers(line)
    if _STRUCTURE.fullmatch(rest) or _CODE_FENCE.match(rest):
        return True
    label = _LABEL.match(rest)
    return label is not None and rest[label.end() : label.end() + 2] in ("", "]", "]:")


def _begins_block(line: str, above: str) -> bool:
    """Whether a line begins a list item or another block instead of continuing the lines above it."""
    if _is_heading(line) or _is_heading(above[above.rfind("\n", 0, -1) + 1 : -1]):
        return True
    item = _LIST_ITEM.match(line)
    if item is None:
        return False
    interrupts = item["number"] in (None, "1") and len(line) - len(line.lstrip()) < 4
    return interrupts or _LIST_ITEM.search(above) is not None


def _is_heading(line: str) -> bool:
    return _HEADING.match(_after_containers(line)) is not None


def _after_containers(line: str) -> str:
    """Return a line without its markers of quotations and lists."""
    containers = _CONTAINERS.match(line)
    return line[containers.end() :] if containers else line
