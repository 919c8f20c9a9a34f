"""Markdown becomes HTML that is safe for every client, in events that every server accepts."""

import json
import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machines.events.orders import SendMessage
from machines.ids import EventId, RoomId
from machines.turn.split import PART_BYTES
from matrix.http.cleaning import clean_text
from matrix.rooms.render import _PLAIN_LINE, ALLOWED_TAGS, CONTENT_BYTES, message_content, render

QUESTION = EventId("$question")
FIRST = EventId("$first")
ROOT = EventId("$root")

MARKDOWN = st.lists(
    st.sampled_from(
        [
            "**", "*", "_", "~~", "`", "```", "\n", "\n\n", "# ", "> ", "- ", "1. ", "    ", "|",
            "|-|", "[", "](", ")", "![", "<", ">", "&", '"', "'", "\\", "&#106;avascript:",
            "javascript:",
            "JaVaScRiPt:alert(1)", "data:text/html,x", "http://example.org", "mailto:a@b.c",
            "magnet:?x", "<script>", "<img src=x onerror=y>", "<a href=javascript:x>", "</p>",
            "<mx-reply>", "<!--", "@room", "@ann:example.org", "word", "язык", "language-", "\x00",
            "\ud800", "[a]: http://x",
        ]
    )
    | st.text(max_size=5),
    max_size=40,
).map("".join)  # fmt: skip


def content_of(body, **fields):
    return message_content(SendMessage(RoomId("!room"), body, **fields))


class Parsed(HTMLParser):
    """Collects the tags and attributes of a piece of HTML, and its depth."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.depth, self.deepest = [], [], 0, 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in {"br", "hr"}:
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)

    def handle_endtag(self, tag):
        self.depth -= 1


def is_allowed(tag, name, value):
    permitted = {
        ("a", "href"): r"(?i)(https?|ftp|mailto|magnet):.+",
        ("ol", "start"): r"\d+",
        ("code", "class"): r"language-\S+",
    }
    return re.fullmatch(permitted.get((tag, name), "(?!)"), value) is not None


def encoded(content):
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("markdown", "rendered"),
    [
        ("plain", "plain"),
        ("**bold** and `code`", "<strong>bold</strong> and <code>code</code>"),
        ("one\ntwo", "one<br>\ntwo"),
        ("one\n\ntwo", "<p>one</p>\n<p>two</p>"),
        ("~~gone~~", "<s>gone</s>"),
        ("3. x\n4. y", '<ol start="3">\n<li>x</li>\n<li>y</li>\n</ol>'),
        ("```py title\nx < y\n```", '<pre><code class="language-py">x &lt; y\n</code></pre>'),
        ("[a](HTTPS://b.c 'title')", '<a href="HTTPS://b.c">a</a>'),
        ("---", "<hr>"),
        ("@room <b>x</b>", "@room &lt;b&gt;x&lt;/b&gt;"),
    ],
)
def test_markdown_becomes_html(markdown, rendered):
    assert render(markdown) == rendered


def test_a_table_has_its_cells_and_no_styles():
    rendered = render("|a|b|\n|:-|-:|\n|1|2|")
    assert "<td>1</td>\n<td>2</td>" in rendered
    assert "style" not in rendered


@pytest.mark.parametrize(
    "markdown",
    [
        "[a](javascript:x)",
        "[a](report.md)",
        "![a](data:image/png;base64,x)",
        "[a](/b)",
        "[a](http://)",
    ],
)
def test_a_link_that_is_not_allowed_stays_text(markdown):
    assert render(markdown) == markdown


def test_an_image_becomes_a_link_to_it():
    assert render("![*my* cat](https://x.y/cat.png)") == '<a href="https://x.y/cat.png">my cat</a>'
    assert render("![](https://x.y/)") == '<a href="https://x.y/">https://x.y/</a>'


def test_an_image_in_a_link_becomes_the_text_of_that_link():
    assert render("[![badge](https://i.j)](https://x.y)") == '<a href="https://x.y">badge</a>'


@pytest.mark.parametrize("markdown", ["[a]: x", "# ", "-", ">"])
def test_text_without_visible_html_is_shown_unrendered(markdown):
    assert render(markdown) == markdown.strip().replace(">", "&gt;")


@settings(deadline=None)
@given(MARKDOWN)
def test_no_markdown_yields_html_that_the_spec_does_not_allow(markdown):
    seen = Parsed(render(markdown))
    assert set(seen.tags) <= ALLOWED_TAGS
    assert [item for item in seen.attributes if not is_allowed(*item)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        ">", "> ", "- ", "1. ", "> - ", "*", "**a *b ", "*_", "a**b", "_a __b ", "~~a ", "[",
        "[a](", "![", "![a", "[]", "]", "`", "` `` ", "<", "<a:", "<!--", "&", "\\", "|", "|-",
        "|a\n", "```\n", "a\n=", "[a]: ", '[a](b "', "[a](<b", "[a](http://x) ", "![a](http://x) ",
        "\u0301", "*a\n",
    ],
)  # fmt: skip
def test_sixteen_kilobytes_of_any_markup_render_fast_and_not_too_deep(unit):
    started = time.process_time()
    rendered = render(unit * (PART_BYTES // len(unit.encode())))
    assert time.process_time() - started < 2
    assert Parsed(rendered).deepest <= 100


@pytest.mark.parametrize(
    "markdown",
    [
        "> " * 60 + "deep",
        "- " * 60 + "deep",
        "".join(f"{'  ' * n}- deep\n" for n in range(60)),
        "**a *b " * 100 + "deep" + "* c** d" * 100,
    ],
)
def test_text_that_is_nested_too_deep_is_not_lost(markdown):
    rendered = render(markdown)
    assert rendered.count("deep") == markdown.count("deep")
    assert Parsed(rendered).deepest <= 100


def test_a_table_that_would_be_filled_with_empty_cells_stays_text():
    markdown = "\n".join(["|a" * 200, "|-" * 200, *["|x"] * 5000])
    assert "<table>" not in render(markdown)


def test_a_plain_message_has_no_html():
    assert content_of("Hello,\nworld <3\n\nBye & thanks") == {
        "msgtype": "m.text",
        "body": "Hello,\nworld <3\n\nBye & thanks",
        "m.mentions": {},
    }


@pytest.mark.parametrize("body", ["**x**", "a\\*b", "&copy; me", "- x", "    code", "a\\\nb"])
def test_a_message_with_markup_has_html_and_its_markdown(body):
    content = content_of(body)
    assert content["body"] == body
    assert content["format"] == "org.matrix.custom.html"
    assert content["formatted_body"] == render(body)


def test_a_reply_names_the_message_that_it_answers():
    assert content_of("hi", notice=True, answers=QUESTION, part=2, partial=True) == {
        "msgtype": "m.notice",
        "body": "hi",
        "m.mentions": {},
        "org.lambda.surfaces.answers": "$question",
        "org.lambda.surfaces.part": 2,
        "org.lambda.surfaces.partial": True,
    }


@pytest.mark.parametrize(("answers", "replies_to"), [(QUESTION, "$question"), (None, "$root")])
def test_a_message_in_a_thread_stays_there(answers, replies_to):
    assert content_of("hi", answers=answers, thread_root=ROOT)["m.relates_to"] == {
        "rel_type": "m.thread",
        "event_id": "$root",
        "is_falling_back": True,
        "m.in_reply_to": {"event_id": replies_to},
    }


def test_a_late_answer_is_a_reply_to_its_question():
    late = content_of("hi", answers=QUESTION, as_reply=True)
    assert late["m.relates_to"] == {"m.in_reply_to": {"event_id": "$question"}}
    assert late["body"] == "hi"
    assert "m.relates_to" not in content_of("hi", answers=QUESTION)
    edit = content_of("hi", answers=QUESTION, as_reply=True, edits_event_id=FIRST)
    assert edit["m.relates_to"] == {"rel_type": "m.replace", "event_id": FIRST}
    assert "m.relates_to" not in edit["m.new_content"]


def test_a_late_answer_in_a_thread_is_a_reply_in_that_thread():
    late = content_of("hi", answers=QUESTION, thread_root=ROOT, as_reply=True)
    assert late["m.relates_to"] == {
        "rel_type": "m.thread",
        "event_id": "$root",
        "is_falling_back": False,
        "m.in_reply_to": {"event_id": "$question"},
    }


def test_an_edit_contains_the_whole_new_message():
    content = content_of("**hi**", answers=QUESTION, part=1, thread_root=ROOT, edits_event_id=FIRST)
    marks = {
        "m.mentions": {},
        "org.lambda.surfaces.answers": "$question",
        "org.lambda.surfaces.part": 1,
    }
    assert content == {
        "msgtype": "m.text",
        "body": "* **hi**",
        **marks,
        "m.relates_to": {"rel_type": "m.replace", "event_id": "$first"},
        "m.new_content": {
            "msgtype": "m.text",
            "body": "**hi**",
            "format": "org.matrix.custom.html",
            "formatted_body": "<strong>hi</strong>",
            **marks,
        },
    }


@pytest.mark.parametrize("edits", [None, FIRST])
def test_the_question_key_is_only_in_the_event_itself(edits):
    content = content_of("Sure?", edits_event_id=edits, shows_question=QUESTION)
    assert content["org.lambda.surfaces.question"] == QUESTION
    assert "org.lambda.surfaces.question" not in content.get("m.new_content", {})


@settings(deadline=None)
@given(MARKDOWN)
def test_the_body_is_exactly_the_cleaned_markdown(markdown):
    assert content_of(markdown)["body"] == clean_text(markdown)
    edit = content_of(markdown, edits_event_id=FIRST)
    assert edit["m.new_content"]["body"] == clean_text(markdown)


@pytest.mark.parametrize(
    "unit", ['"', "\\", "\n", "&", "<", "*a*", "я", "\ud800", "| a ", "- я\n", "`"]
)
@pytest.mark.parametrize("edits", [None, FIRST])
def test_any_part_of_an_answer_fits_into_an_event(unit, edits):
    size = len(unit.encode("utf-8", "surrogatepass"))
    content = content_of(
        unit * (PART_BYTES // size), answers=QUESTION, part=9, partial=True, edits_event_id=edits
    )
    assert len(encoded(content)) <= CONTENT_BYTES


def test_a_large_edit_loses_its_fallback_before_its_html():
    body = "**яяяяяя** " * 900
    content = content_of(body, edits_event_id=FIRST)
    assert len(content["body"]) < 600
    assert content["m.new_content"]["body"] == body
    assert "formatted_body" in content["m.new_content"]


def test_a_large_message_loses_its_html_and_never_its_text():
    body = '*"* ' * 4000
    content = content_of(body)
    assert content["body"] == body
    assert "formatted_body" not in content
    assert "format" not in content


@given(st.from_regex(_PLAIN_LINE, fullmatch=True))
def test_a_plain_line_skips_the_renderer_which_would_not_change_it(body: str) -> None:
    body = clean_text(body)
    assert render(body).split() == body.split()


@pytest.mark.parametrize(
    "body",
    [
        "1. one",
        "# one",
        "- one",
        "one\n---",
        "one  two\nthree",
        "*one*",
        "a [b](http://c)",
        "&amp;",
    ],
)
def test_a_line_with_markdown_syntax_is_rendered(body: str) -> None:
    assert not _PLAIN_LINE.fullmatch(body)
