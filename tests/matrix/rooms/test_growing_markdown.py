"""While an answer grows, its unfinished last line changes nothing above it (contract D6)."""

import re

import pytest

from machines.turn.growing import MAX_HELD, settled
from matrix.rooms.markdown import Markdown
from matrix.rooms.render import render

ANSWERS = {
    "setext headings": "A title\n=======\n\nSome *text* here:\n---\n\nword:\n- one\n- two\n\nlast\n-x\n",
    "headings": "# One\nText **bold** here\n## Two ##\n#hash\n\n####### seven\n### Three\n- a\n# End",
    "nested lists": (
        "Items:\n- one\n  - inner\n    1. deep\n    2. deeper\n  - inner two\n* other\n+ plus\n\n"
        "1) x\n2) y\n"
    ),
    "numbers": "Sum:\n1. one\n2. two\n10. ten\n\n1986 was a year\n2024. Also\n3.14 is pi\n",
    "a loose list": "- a\n\n- b\n\n  more *of b*\n\n- c\n\nend",
    "tables": (
        "Before\n\n| a | b |\n| --- | :-: |\n| 1 | 2 |\n| `x` | **y** |\n\nafter | pipe\n--- | ---\n"
        "c | d\n"
    ),
    "no tables": "a | b\nc | d\n-- and --\n| --- | x\n\nword\n| --- | --- |\n",
    "fences": "See:\n```py\n# no heading\n- x\n---\n``\n```\nThen\n~~~~\n~~~\n```\n~~~~\n`code` after\n",
    "a fence in a list": "- first\n  ```\n  - code\n  ```\n- second\n> ```\n> code\n> ```\n",
    "quotes": "He said\n> one\n> - two\n> # three\n>\n> four\n\n> > nested\n> lazy\nstill lazy\n",
    "tasks": "Todo:\n- [ ] open\n- [x] done\n- [link](http://x.y)\n- [not a task\n",
    "link definitions": (
        "See [x] and [y z].\n\n[x]: http://example.org/page\n[y z]:\nhttp://other.org\n'title'\n\n"
        "See [x].\n[w]: no http://definition\n"
    ),
    "emphasis": (
        "A *b\nc* d **e\nf** g\n**Title**\nLong *text* follows, with `code *a\nb` and *more*\n"
        "***x** y*\nsnake_case_a\nb_c *d\n"
    ),
    "rules": "a\n\n***\n\nb\n\n- - -\n\nc\n\n___\n\n* * item\n** bold**\n_ _ _\n",
    "mathematics": (
        "Let $x$ and $$y$$ be:\n$$\n\\int_0^1 x\\,dx\n=\n- b\n$$\nso \\(a\n_b_\\) and\n\\[\n# c\n=\n"
        "\\]\nIt costs $5 and\n$6x$ 7\n\n$$ never\n- closed\n\nend"
    ),
    "hard breaks": "one  \ntwo\\\nthree\n    four\n\n    code\n    - code\n\ntab\n\t- x\n",
    "entities and html": "a &amp; b\n<b>\n<!-- x\n-->\n<http://a.b>\n&copy;\n!\n![i](http://x.y)\n",
}
LEAVES = ("inline", "fence", "code_block", "hr", "math_display")


def tokens(text):
    """Return the blocks of a text, and the number of those before its last leaf."""
    parser, env = Markdown(), {}
    parser.steps_left = parser.most_tokens = 10**9
    blocks = parser.parse(text, env)
    shown = [
        (
            each.type,
            each.tag,
            each.hidden,
            parser.renderer.renderInline(each.children or [], parser.options, env)
            if each.type == "inline"
            else each.content,
        )
        for each in blocks
    ]
    leaves = [index for index, each in enumerate(blocks) if each.type in LEAVES]
    return shown, leaves[-1] if leaves else 0


def structure(text):
    html = render(text)
    return {
        "headings": len(re.findall("<h[1-6]>", html)),
        "tables": html.count("<table>"),
        "rules": html.count("<hr>"),
        "quotations": html.count("<blockquote>"),
        "items": html.count("<li>"),
        "empty items": len(re.findall(r"<li>\s*</li>", html)),
        "code blocks": html.count("<pre>"),
    }


def above_the_last_line(blocks, last_leaf):
    """Return the blocks before the last leaf, without the tags that only open around it."""
    end = last_leaf
    if end and blocks[end - 1][0] in ("td_open", "th_open"):
        end = max(index for index in range(end) if blocks[index][0] == "tr_open")
    while end and blocks[end - 1][0].endswith("_open"):
        end -= 1
    return blocks[:end]


@pytest.mark.parametrize("name", ANSWERS)
def test_no_prefix_of_an_answer_changes_what_is_above_its_last_line(name):
    text = ANSWERS[name]
    wrong = []
    for end in range(1, len(text)):
        finished = text[: text.find("\n", end) if "\n" in text[end:] else len(text)]
        shown = settled(text[:end])
        if len(shown) <= text.rfind("\n", 0, end) + 1:
            continue
        above = above_the_last_line(*tokens(shown))
        if tokens(finished)[0][: len(above)] != above:
            wrong.append((shown, finished))
    assert wrong == []


@pytest.mark.parametrize("name", ANSWERS)
def test_no_prefix_of_an_answer_shows_structure_that_its_finished_line_has_not(name):
    text = ANSWERS[name]
    wrong = []
    for end in range(1, len(text)):
        finished = text[: text.find("\n", end) if "\n" in text[end:] else len(text)]
        now, then = structure(settled(text[:end])), structure(finished)
        wrong += [(key, text[:end][-40:]) for key in now if now[key] > then[key]]
    assert wrong == []


@pytest.mark.parametrize("name", ANSWERS)
def test_a_line_that_continues_a_paragraph_leaves_the_lines_above_it_as_they_are(name):
    text = ANSWERS[name]
    wrong = []
    for end in range(1, len(text)):
        begin = text.rfind("\n", 0, end) + 1
        shown, lines = settled(text[:end]), text[:begin]
        if len(shown) <= begin:
            continue
        (now, _), (before, last) = tokens(shown), tokens(settled(lines))
        if before and (len(now) <= last or not now[last][3].startswith(before[last][3].rstrip())):
            wrong.append(shown[-60:])
    assert wrong == []


@pytest.mark.parametrize("name", ANSWERS)
def test_a_prefix_shows_all_complete_lines_outside_of_open_formulas(name):
    text = ANSWERS[name]
    for end in range(1, len(text)):
        shown = settled(text[:end])
        assert text[:end].startswith(shown)
        complete = text[: text.rfind("\n", 0, end) + 1]
        held = text[len(shown) : end]
        assert len(shown) >= len(complete) or re.match(r"\$\$|\\[\[\n]", held)


def test_an_ordinary_line_is_shown_word_by_word():
    text = "**Title**\nIt was a *dark* and stormy night; see [the book](http://x.y) for `more`.\n\n- And a list"
    for end in range(len("**Title**\nI"), len(text)):
        if text[:end].endswith(("\n", "\n-", "\n- ", "\n\n-")) or text[:end].endswith("\n\n- "):
            continue
        assert settled(text[:end]) == text[:end]


@pytest.mark.parametrize(
    ("growing", "shown"),
    [
        ("word:\n-", "word:\n"),
        ("word:\n- ", "word:\n"),
        ("word:\n==", "word:\n"),
        ("a\n- b\n-", "a\n- b\n"),
        ("a\n\n1", "a\n\n"),
        ("#", ""),
        ("> ", ""),
        ("| a |\n| -", "| a |\n"),
        ("See [x].\n\n[x]: http://exam", "See [x].\n\n"),
        ("```py", ""),
        ("```py\ncode\n``", "```py\ncode\n"),
        ("so $$ \\int", "so "),
        ("$$\na\n=\n", ""),
        ("so \\(x", "so "),
        ("so $x", "so "),
        ("It costs $5 and", "It costs $5 and"),
        ("use `$$` and", "use `$$` and"),
    ],
)
def test_what_is_not_clear_yet_is_held_back(growing, shown):
    assert settled(growing) == shown


def test_a_part_that_continues_a_fence_is_read_as_code():
    assert settled("code\n- x", "```py\n") == "code\n- x"
    assert settled("code\n``", "```py\n") == "code\n"


@pytest.mark.parametrize("unit", ["-", "$$ a", "[", "\\(", "#", "`", "1", "| "])
def test_no_more_than_a_limit_is_held_back(unit):
    text = unit * 5000
    assert max(end - len(settled(text[:end])) for end in range(0, 5000, 7)) <= MAX_HELD
