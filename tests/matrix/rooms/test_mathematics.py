"""Mathematics is shown as `data-mx-maths` with its whole LaTeX; what is no formula stays text (contract D7)."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.events.orders import SendMessage
from machines.ids import RoomId
from matrix.rooms.render import message_content, render


def formulas(rendered):
    """Return the tag, the attribute and the text of each formula."""
    found = re.findall(
        r'<(\w+) data-mx-maths="([^"]*)"><code>(.*?)</code></\1>', rendered, re.DOTALL
    )
    return [(tag, html.unescape(latex), html.unescape(text)) for tag, latex, text in found]


@pytest.mark.parametrize(
    ("markdown", "tag", "latex"),
    [
        ("Let $x^2$ be", "span", "x^2"),
        (r"Let \(a_1 + b_1\) be", "span", "a_1 + b_1"),
        (r"so \( x\,y \) is", "span", r"x\,y"),
        (r"$\int_0^1 x\,dx$", "span", r"\int_0^1 x\,dx"),
        (r"$$\int_0^1 x\,dx$$", "div", r"\int_0^1 x\,dx"),
        (r"\[ \int_0^1 x\,dx \]", "div", r"\int_0^1 x\,dx"),
        ("$$\na\n=\nb\n- c\n# d\n$$", "div", "a\n=\nb\n- c\n# d"),
        ("\\[\nx & y \\\\[2pt]\n> z\n\\]", "div", "x & y \\\\[2pt]\n> z"),
        ("$a*b*c$", "span", "a*b*c"),
        (r"$\$5$", "span", r"\$5"),
        (r"$a<b>\"c&d'$", "span", r"a<b>\"c&d'"),
        ("- item\n- $x$", "span", "x"),
        ("> $$\n> x\n> = y\n> $$", "div", "x\n= y"),
        ("# On $x$", "span", "x"),
        ("| a |\n|---|\n| $x$ |", "span", "x"),
        ("$x\ny$", "span", "x\ny"),
        ("[$x$](http://a.b)", "span", "x"),
        ("before\n$$\nx\n$$\nafter", "div", "x"),
        ("the $n$th", "span", "n"),
        ("$V^{**}$", "span", "V^{**}"),
        ("$f[x](y)$", "span", "f[x](y)"),
    ],
)
def test_a_formula_is_whole_as_the_attribute_and_as_the_text(markdown, tag, latex):
    assert formulas(render(markdown)) == [(tag, latex, latex)]


@pytest.mark.parametrize(
    "markdown",
    [
        "$5 and $10",
        "It costs $5, or $10 for two.",
        "US$5/CA$6",
        "$ x$",
        "$x $",
        "$x$2",
        r"\$x$",
        r"$x\$",
        "$x",
        "$$x",
        "$$x$",
        "$$",
        "$$$$",
        "$$ $$",
        "$x\n\ny$",
        "$$x\n\ny$$",
        r"\(x",
        "\\[x\n\ny\\]",
        r"\\(x\\)",
        r"\(\)",
        "`$x$`",
        "``\\(x\\)``",
        "```\n$x$\n$$\ny\n$$\n```",
        "    $x$",
        "$HOME and $PATH",
        "Pay $20, then set `$HOME` first.",
        "Costs $5. Use `a$b`.",
        "**$5** or **$x**",
        "[$5](https://a.b) and [$y](https://c.d)",
    ],
)
def test_what_is_no_formula_stays_text(markdown):
    rendered = render(markdown)
    assert "data-mx-maths" not in rendered
    assert rendered.count("$") == markdown.count("$")


def test_a_displayed_formula_divides_its_paragraph():
    rendered = render("**We** see\n$$x$$\nand $$y$$ too.")
    assert rendered.split("\n") == [
        "<p><strong>We</strong> see</p>",
        '<div data-mx-maths="x"><code>x</code></div>',
        "<p>and </p>",
        '<div data-mx-maths="y"><code>y</code></div>',
        "<p> too.</p>",
    ]


def test_code_spans_with_delimiters_do_not_divide_a_paragraph():
    assert render("use `$$` and\nmore `$$` here") == (
        "use <code>$$</code> and<br>\nmore <code>$$</code> here"
    )


def test_backslashes_outside_of_formulas_escape_punctuation_as_in_markdown():
    assert render(r"\int_0^1 x\,dx") == r"\int_0^1 x,dx"


def test_the_body_is_the_markdown_and_the_message_mentions_nobody():
    content = message_content(SendMessage(RoomId("!room"), "so $x_1$ is"))
    assert content["body"] == "so $x_1$ is"
    assert "data-mx-maths" in content["formatted_body"]
    assert content["m.mentions"] == {}


@given(st.text(st.sampled_from("$\\()[] \nax5`*_\"<>&'"), max_size=60))
def test_the_attribute_contains_no_markup_and_equals_the_text(markdown):
    rendered = render(markdown)
    found = formulas(rendered)
    assert len(found) == rendered.count("data-mx-maths=")
    assert all(latex == text and latex.strip() for _, latex, text in found)


@pytest.mark.parametrize(
    ("markdown", "rendered"),
    [
        ("- [ ] open\n- [x] done\n- [X] too", ["☐ open", "☑ done", "☑ too"]),
        ("1. [x] **bold** text", ["☑ <strong>bold</strong> text"]),
        ("- [x]none\n- [y] none\n- a [x] none", ["[x]none", "[y] none", "a [x] none"]),
        ("- [x](http://a.b)", ['<a href="http://a.b">x</a>']),
    ],
)
def test_a_task_in_a_list_has_a_box(markdown, rendered):
    assert re.findall("<li>(.*?)</li>", render(markdown)) == rendered


def test_elsewhere_a_box_is_text():
    assert render("[x] text") == "[x] text"
