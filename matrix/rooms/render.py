"""Renders Markdown into the content of message events (contract D7).

The plain body of a message is the Markdown itself. With it goes HTML of the subset that the Matrix spec suggests
(client-server API, "m.room.message msgtypes"), with formulas as `data-mx-maths`, rendered without raw HTML and
sanitised afterwards. Text that can't be rendered (too deeply nested, or without visible text) has no HTML. A message
mentions nobody, so that an agent can't cause push notifications.
"""

import html
import re
from typing import Any

import msgspec
import nh3

from machines.events.orders import SendMessage
from matrix.http.cleaning import clean_text
from matrix.keys import ANSWERS_KEY, PART_KEY, PARTIAL_KEY, QUESTION_KEY
from matrix.rooms.markdown import Markdown
from matrix.rooms.mathematics import MATHS_ATTRIBUTE

CONTENT_BYTES = 45_000
"""The largest content, as canonical JSON. Encryption makes it a third larger, and the server's limit for a whole event
is 65 536 bytes."""

FALLBACK_CHARS = 500

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
BLOCKS = frozenset({"p", "div", "blockquote", "pre", "hr", "br", "ul", "ol", "li"})
TABLES = frozenset({"table", "caption", "thead", "tbody", "tr", "th", "td"})
INLINE = frozenset({"a", "b", "strong", "i", "em", "u", "s", "del", "sup", "sub", "code", "span"})
ALLOWED_TAGS = HEADINGS | BLOCKS | TABLES | INLINE | {"details", "summary"}
"""The tags that the spec suggests, except `img`: an answer must not load anything."""
# Without the "*", the sanitiser would allow `lang` and `title` on every tag.
ALLOWED_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href"},
    "ol": {"start"},
    "code": {"class"},
    "span": {MATHS_ATTRIBUTE},
    "div": {MATHS_ATTRIBUTE},
    "*": set(),
}
ALLOWED_SCHEMES = frozenset({"https", "http", "ftp", "mailto", "magnet"})

# A line that starts with a letter and contains no Markdown syntax.
_PLAIN_LINE = re.compile(r"[^\W\d_][^\\`*_~<>&|\[\]$\s]*(?: [^\\`*_~<>&|\[\]$\s]+)*")
_LANGUAGE = re.compile(r"language-\S+")
_TAG = re.compile(r"<[^>]*>")
_MARKUP = re.compile(r"<(?!/?p>|br>)")


def render(markdown: str) -> str:
    """Return the HTML of a Markdown text; line breaks are kept, as usual in a chat."""
    markdown = clean_text(markdown)
    try:
        rendered = _CLEANER.clean(_MARKDOWN.html(markdown)).rstrip()
    except (LookupError, RuntimeError, TypeError, ValueError):
        # An agent may write any text. Where the libraries fail at it, it is shown unrendered.
        return _as_text(markdown)
    if not _text_of(rendered) and "<hr>" not in rendered:
        return _as_text(markdown)
    if rendered.startswith("<p>") and rendered.endswith("</p>") and rendered.count("<p>") == 1:
        return rendered.removeprefix("<p>").removesuffix("</p>")
    return rendered.lstrip()


def message_content(order: SendMessage) -> dict[str, Any]:
    """Return the content of the `m.room.message` that an order sends (contracts D2, D6, D7, D13, D18).

    For an edit, `m.new_content` is the whole new message, and the rest is a fallback for clients without edits. An edit
    can't move a message between threads, so its `thread_root` is ignored. A body of `machines.turn.split.PART_BYTES`
    always fits into `CONTENT_BYTES`: the fallback of an edit is shortened first, then the HTML is left out.
    """
    body = clean_text(order.body)
    msgtype = "m.notice" if order.notice else "m.text"
    message: dict[str, Any] = {"msgtype": msgtype, "body": body, "m.mentions": {}}
    if order.answers is not None:
        message[ANSWERS_KEY] = order.answers
    if order.part is not None:
        message[PART_KEY] = order.part
    if order.partial:
        message[PARTIAL_KEY] = True
    formatted = message | _formatted(body)

    # Only in the event itself: a server that returns `m.new_content` as the content of the edited event (Matrix 1.4
    # to 1.6) would otherwise move the question to that event's position in the timeline.
    relation: dict[str, Any] = {}
    if order.shows_question is not None:
        relation[QUESTION_KEY] = order.shows_question
    if order.edits_event_id is None:
        if order.thread_root:
            relation["m.relates_to"] = _thread(order)
        elif order.as_reply:
            relation["m.relates_to"] = {"m.in_reply_to": {"event_id": order.answers}}
        return _first_that_fits(formatted | relation, message | relation)

    fallback = message | {"body": f"* {body}"}
    short = message | {"body": f"* {body[:FALLBACK_CHARS]}…"}
    relation["m.relates_to"] = {"rel_type": "m.replace", "event_id": order.edits_event_id}
    return _first_that_fits(
        fallback | relation | {"m.new_content": formatted},
        short | relation | {"m.new_content": formatted},
        short | relation | {"m.new_content": message},
    )


def _formatted(body: str) -> dict[str, str]:
    """Return the HTML keys of a message, none when the HTML would look the same as the body."""
    if _PLAIN_LINE.fullmatch(body):
        return {}
    rendered = render(body)
    if not _MARKUP.search(rendered) and _text_of(rendered) == body.split():
        return {}
    return {"format": "org.matrix.custom.html", "formatted_body": rendered}


def _thread(order: SendMessage) -> dict[str, Any]:
    return {
        "rel_type": "m.thread",
        "event_id": order.thread_root,
        "is_falling_back": not order.as_reply,
        "m.in_reply_to": {"event_id": order.answers or order.thread_root},
    }


def _first_that_fits(*contents: dict[str, Any]) -> dict[str, Any]:
    """Return the first content within `CONTENT_BYTES`, or else the last one."""
    for content in contents:
        if len(msgspec.json.encode(content)) <= CONTENT_BYTES:
            return content
    return contents[-1]


def _as_text(text: str) -> str:
    return html.escape(text.strip(), quote=False).replace("\n", "<br>\n")


def _text_of(rendered: str) -> list[str]:
    """Return the visible words."""
    return html.unescape(_TAG.sub("", rendered)).split()


def _kept_attribute(tag: str, attribute: str, value: str) -> str | None:
    """Keep only the class of a code block that names its language."""
    if (tag, attribute) == ("code", "class") and not _LANGUAGE.fullmatch(value):
        return None
    return value


_MARKDOWN = Markdown()
_CLEANER = nh3.Cleaner(
    tags=set(ALLOWED_TAGS),
    attributes=ALLOWED_ATTRIBUTES,
    attribute_filter=_kept_attribute,
    url_schemes=set(ALLOWED_SCHEMES),
    url_relative="deny",
    # `rel` is not among the attributes of the spec; the client sets it.
    link_rel=None,
)
