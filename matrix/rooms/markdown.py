"""A Markdown parser with a limited amount of work (contract D14).

The cost of some CommonMark inputs grows faster than their length: a long link that is defined once and used a thousand
times, brackets and quotes that are opened again and again, a table whose short rows are filled up. So the parser counts
its steps: each position in a line of text, each line for each block around it, each second read behind a bracket,
each link that is written out. A text that needs more than `STEPS` raises `TooComplex`. The count depends only on the
text, so the same text has the same HTML on any machine.
"""

import copy
import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from matrix.rooms import mathematics

MAX_NESTING = 40
MAX_TAG_DEPTH = 80
"""The spec forbids nesting tags more than 100 levels deep."""
STEPS = 400_000
"""A step takes about half a microsecond. The densest lines of 16 000 characters, the size of a part, need 256 000."""
STEPS_ALWAYS = 4_000
STEPS_A_CHAR = 25
"""A short text gets a lower limit."""
TOKENS = 30_000
"""The limit for tokens, of which each block and cell has two. The HTML of more would be larger than an event."""
TOKENS_ALWAYS = 400
TOKENS_A_CHAR = 4
"""Almost every block takes more than two characters; only cells that fill up a row take none."""
MAX_HTML_CHARS = 200_000
"""Well above the largest HTML that fits into an event, because the sanitiser may remove a part of it."""

_LOOK_AHEAD_STEPS = 2
_POSITION_STEPS = 8
_LINE_STEPS = 8
_LINK_STEPS = 50
_MARKUP_CHARS = 4
_METER = "meter"
_LINK = re.compile(r"(?:https?|ftp)://[^\s/?#]|(?:mailto|magnet):.", re.IGNORECASE)
_TASK = re.compile(r"\[(?P<mark>[ xX])\][ \t]+")
_BLOCKS_ENDED_BY_OTHERS = ["paragraph", "reference", "blockquote", "list"]


class TooComplex(ValueError):
    """The text needs too much work, or nests too deeply; it is shown unrendered."""


class Markdown(MarkdownIt):
    """CommonMark with tables, strikethrough, mathematics and task lists, without raw HTML; images become links.

    The instance is configured once; each text is parsed by a copy, which counts its own steps.
    """

    def __init__(self) -> None:
        options = {"html": False, "breaks": True, "maxNesting": MAX_NESTING}
        super().__init__("commonmark", options)
        self.inline = _Inline()
        self.configure("commonmark", options)
        self.enable(["table", "strikethrough"])
        self.inline.ruler.before("text", _METER, _count_position)
        self.block.ruler.before("table", _METER, _count_line, {"alt": _BLOCKS_ENDED_BY_OTHERS})
        self.core.ruler.after("inline", "image_links", _link_images)
        self.core.ruler.after("text_join", "task_lists", _mark_tasks)
        mathematics.enable(self)
        self.steps_left = 0
        self.most_tokens = 0

    def html(self, text: str) -> str:
        """Return the HTML of a text, not sanitised.

        Raises:
            TooComplex: it exceeds a limit for steps, nesting or length.
        """
        parser = copy.copy(self)
        parser.steps_left = min(STEPS, STEPS_ALWAYS + STEPS_A_CHAR * len(text))
        parser.most_tokens = min(TOKENS, TOKENS_ALWAYS + TOKENS_A_CHAR * len(text))
        env: dict[str, Any] = {}
        tokens = parser.parse(text, env)
        if _is_too_deep(tokens) or _html_chars(tokens) > MAX_HTML_CHARS:
            raise TooComplex
        return str(parser.renderer.render(tokens, parser.options, env))

    def spend(self, steps: int) -> None:
        """Count steps.

        Raises:
            TooComplex: the limit is exceeded.
        """
        self.steps_left -= steps
        if self.steps_left < 0:
            raise TooComplex

    def normalizeLink(self, url: str) -> str:  # noqa: N802 - the library's name
        """Count the cost of encoding a link."""
        self.spend(_LINK_STEPS + len(url))
        return super().normalizeLink(url)

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        """Accept absolute links with the spec's schemes; others stay text."""
        return _LINK.match(url) is not None


class _Inline(ParserInline):
    """Counts each read of a position, also where the result is cached."""

    def skipToken(self, state: StateInline) -> None:  # noqa: N802 - the library's name
        """Count a look-ahead."""
        _as_markdown(state.md).spend(_LOOK_AHEAD_STEPS)
        super().skipToken(state)


def _count_position(state: StateInline, _silent: bool) -> bool:
    """Count an attempt at the rules for text; it is the first of them, and never matches."""
    _as_markdown(state.md).spend(_POSITION_STEPS)
    return False


def _count_line(state: StateBlock, _start: int, _end: int, _silent: bool) -> bool:
    """Count an attempt at the rules for blocks; it is the first of them, and never matches."""
    parser = _as_markdown(state.md)
    parser.spend(_LINE_STEPS)
    if len(state.tokens) > parser.most_tokens:
        raise TooComplex
    return False


def _as_markdown(parser: MarkdownIt) -> Markdown:
    assert isinstance(parser, Markdown)
    return parser


def _link_images(state: StateCore) -> None:
    """Replace each image by a link to it, or by its description where it is inside a link."""
    for block in state.tokens:
        if not any(token.type == "image" for token in block.children or ()):
            continue
        replaced: list[Token] = []
        in_link = False
        for token in block.children or ():
            in_link = token.type == "link_open" or (in_link and token.type != "link_close")
            if token.type != "image":
                replaced.append(token)
                continue
            url = str(token.attrs["src"])
            link = [
                Token("link_open", "a", 1, attrs={"href": url}),
                Token("text", "", 0, content=_description(token) or url),
                Token("link_close", "a", -1),
            ]
            replaced.extend(link[1:2] if in_link else link)
        block.children = replaced


def _mark_tasks(state: StateCore) -> None:
    """Replace `[ ]` and `[x]` at the beginning of a list item by a box, because messages can't contain inputs."""
    tokens = state.tokens
    for item, paragraph, block in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if (item.type, paragraph.type) != ("list_item_open", "paragraph_open"):
            continue
        text = block.children[0] if block.children else None
        if text is not None and text.type == "text" and (task := _TASK.match(text.content)):
            box = "☐" if task["mark"] == " " else "☑"
            text.content = f"{box} {text.content[task.end() :]}"


def _description(image: Token) -> str:
    return "".join(_description(child) or child.content for child in image.children or ())


def _is_too_deep(tokens: Sequence[Token]) -> bool:
    """Whether the parser stopped at nested blocks, or tags would nest too deeply."""
    depth = 0
    for block in tokens:
        depth += block.nesting
        inner = depth
        for token in block.children or ():
            inner += token.nesting
            if inner > MAX_TAG_DEPTH:
                return True
        if block.level >= MAX_NESTING - 1:
            return True
    return False


def _html_chars(tokens: Sequence[Token]) -> int:
    """Estimate the length of the HTML; a link that is used several times counts each time."""
    chars = 0
    for block in tokens:
        chars += _MARKUP_CHARS + len(block.info)
        if block.type != "inline":
            chars += len(block.content)
        for token in block.children or ():
            chars += _MARKUP_CHARS + len(token.content)
            chars += sum(len(str(value)) for value in token.attrs.values())
    return chars
