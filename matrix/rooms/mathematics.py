r"""Mathematics in Markdown (contract D7): `$…$` and `\(…\)` in a line, `$$…$$` and `\[…\]` displayed.

A formula becomes a `span` or a `div` with its LaTeX as `data-mx-maths`, and the same LaTeX as its text for clients that
show no formulas. Markdown does not read inside it. For `$` the rule is that of pandoc: no space inside the dollar
signs, no digit after the second one. Prices and shell variables are no formulas: between two single dollar signs there
is no backtick, no link and no end of bold text. A formula has no blank line. What is not closed stays text.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from machines.turn.formulas import CLOSED_BY, DISPLAY, TOKEN, open_formula

MATHS_ATTRIBUTE = "data-mx-maths"

_RULE = "mathematics"
_IN_LINE = "math_inline"
_DISPLAYED = "math_display"
_INDENTED_CODE = 4
_NO_FORMULA = re.compile(r"\A\s|\s\Z|`|\]\(\w+:|\*\*\Z")


def enable(parser: MarkdownIt) -> None:
    """Add mathematics to a parser."""
    parser.inline.ruler.before("escape", _RULE, _formula)
    # As an alternative of "paragraph" it ends the paragraph before it.
    parser.block.ruler.before("lheading", _RULE, _lines_of_formula, {"alt": ["paragraph"]})
    parser.core.ruler.after("text_join", _RULE, _displays)
    for kind in (_IN_LINE, _DISPLAYED):
        parser.add_render_rule(kind, _rendered)


class _Closings:
    """The offsets of the closing delimiters in a text; escaped ones are not among them."""

    def __init__(self, text: str) -> None:
        self._offsets: dict[str, list[int]] = {token: [] for token in CLOSED_BY.values()}
        for found in TOKEN.finditer(text):
            token = found[0]
            if token in self._offsets:
                self._offsets[token].append(found.start())
            if token == "$$":
                self._offsets["$"] += (found.start(), found.start() + 1)

    def after(self, opener: str, begin: int) -> int:
        """Return the offset of the first closing delimiter from `begin` on, or -1."""
        offsets = self._offsets[CLOSED_BY[opener]]
        index = bisect_left(offsets, begin)
        return offsets[index] if index < len(offsets) else -1


def _formula(state: StateInline, silent: bool) -> bool:
    """Read a formula at the current position."""
    text, begin = state.src, state.pos
    opener = text[begin : begin + 2]
    if opener not in CLOSED_BY:
        opener = text[begin]
        if opener != "$":
            return False
    closings = state.env.setdefault(_RULE, {})
    if text not in closings:
        closings[text] = _Closings(text)
    inner = begin + len(opener)
    end = closings[text].after(opener, inner)
    latex = text[inner:end] if inner < end <= state.posMax - len(opener) else ""
    if opener == "$" and (_NO_FORMULA.search(latex) or text[end + 1 : end + 2].isdigit()):
        latex = ""
    if not latex.strip():
        if opener != "$$":
            return False
        if not silent:  # the second dollar sign opens no formula
            state.pending += opener
        state.pos = inner
        return True
    if not silent:
        is_display = opener in DISPLAY
        token = state.push(_DISPLAYED if is_display else _IN_LINE, "span", 0)
        token.content = latex.strip()
        token.attrs = {MATHS_ATTRIBUTE: token.content}
    state.pos = end + len(opener)
    return True


def _lines_of_formula(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Read the lines of a displayed formula, which Markdown may otherwise read as headings or lists."""
    if state.sCount[first] - state.blkIndent >= _INDENTED_CODE:
        return False
    text = _line(state, first)
    if not any(delimiter in text for delimiter in DISPLAY):
        return False
    opener, _ = open_formula(text)
    if opener not in DISPLAY:
        return False
    end = _closing_line(state, opener, first, last)
    if end is None:
        return False
    if silent:
        return True
    state.line = end + 1
    state.push("paragraph_open", "p", 1).map = [first, state.line]
    lines = state.push("inline", "", 0)
    lines.map = [first, state.line]
    lines.content = state.getLines(first, state.line, state.blkIndent, False).strip()
    lines.children = []
    state.push("paragraph_close", "p", -1)
    return True


def _closing_line(state: StateBlock, opener: str, first: int, last: int) -> int | None:
    """Return the line that closes a displayed formula, or `None` if no line before the next blank one does."""
    known = state.env.setdefault(f"{_RULE} without {CLOSED_BY[opener]}", {})
    line = first + 1
    while line < last and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        if (line, last) in known:
            break
        if any(found[0] == CLOSED_BY[opener] for found in TOKEN.finditer(_line(state, line))):
            return line
        line += 1
    known.update(dict.fromkeys((each, last) for each in range(first + 1, line)))
    return None


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _displays(state: StateCore) -> None:
    """Move each displayed formula of a paragraph out of it, because HTML has no blocks in a paragraph."""
    tokens: list[Token] = []
    index = 0
    while index < len(state.tokens):
        block = state.tokens[index : index + 3]
        children = block[1].children if block[0].type == "paragraph_open" else None
        if children and any(token.type == _DISPLAYED and token.level == 0 for token in children):
            tokens += _divided(block, children)
            index += 3
        else:
            tokens.append(state.tokens[index])
            index += 1
    state.tokens = tokens


def _divided(paragraph: Sequence[Token], children: Sequence[Token]) -> Iterator[Token]:
    """Yield the formulas of a paragraph as blocks, and what is between them as paragraphs."""
    opening, inline, closing = paragraph
    between: list[Token] = []
    for token in (*children, None):
        if token is not None and not (token.type == _DISPLAYED and token.level == 0):
            between.append(token)
            continue
        if between := _trimmed(between):
            yield opening
            yield inline.copy(children=between)
            yield closing
        between = []
        if token is not None:
            yield token.copy(tag="div", block=True)


def _trimmed(tokens: list[Token]) -> list[Token]:
    """Return the tokens without line breaks and blank text at either end."""
    begin, end = 0, len(tokens)
    while begin < end and _is_blank(tokens[begin]):
        begin += 1
    while end > begin and _is_blank(tokens[end - 1]):
        end -= 1
    return tokens[begin:end]


def _is_blank(token: Token) -> bool:
    return token.type in {"softbreak", "hardbreak"} or (
        token.type == "text" and not token.content.strip()
    )


def _rendered(
    _renderer: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    _options: OptionsDict,
    _env: EnvType,
) -> str:
    token = tokens[index]
    latex = escapeHtml(token.content)
    end = "\n" if token.block else ""
    return f'<{token.tag} {MATHS_ATTRIBUTE}="{latex}"><code>{latex}</code></{token.tag}>{end}'
