"""An answer too long for one event, with Markdown that is hard to split (contracts D2, D6, D7)."""

import re

import pytest

from tests.support.agent_script import End, Text
from tests.system.users import PARTIAL, answer_to

pytestmark = pytest.mark.anyio

PART = "org.lambda.surfaces.part"
LENGTH = 200_000
CHUNK = 3_001
LONE_SURROGATE = "\ud83d"
ALLOWED_TAGS = {"h2", "p", "br", "em", "strong", "code", "pre", "a", "del", "ul", "li"} | {
    *("table", "thead", "tbody", "tr", "th", "td")
}
LAST_LINE = "These are the last words."


def section(number):
    """Return a chapter of an answer, with its number in each kind of block, to detect a missing one."""
    rows = "\n".join(f"| row {number}.{row} | @room {row} |" for row in range(12))
    code = "\n".join(f"    print({number}, {line})  # a < b & c > d" for line in range(20))
    return (
        f"## Chapter {number}\n\nSome *words* of chapter {number}, `code{number}`,"
        f" and half a letter{number}: {LONE_SURROGATE}; @room, look!\n\n"
        f"| left{number} | right{number} |\n| --- | --- |\n{rows}\n\n"
        f"```python\ndef chapter{number}():\n{code}\n```\n\n"
        f"<script>alert({number})</script> <img src=x onerror=alert({number})>"
        f" [click{number}](javascript:alert({number}))\n\n"
        f"{'паровоз ' * 40}end{number}.\n\n"
    )


def long_text():
    sections = []
    while sum(map(len, sections)) < LENGTH:
        sections.append(section(len(sections)))
    return "".join(sections) + LAST_LINE


def words(text):
    """Return the text without white space and borders of code fences, to compare it."""
    return re.sub(r"```(?:python)?|\s+", "", text)


async def test_a_very_long_answer_is_complete_and_its_html_is_safe(onboarded, agent):
    text = long_text()
    agent.script = lambda request: [
        *(Text(text[start : start + CHUNK]) for start in range(0, len(text), CHUNK)),
        End(),
    ]
    message_id = await onboarded.user.send_text(onboarded.chat, "tell me everything")
    await onboarded.user.wait_for(
        lambda event: (
            event.answers == message_id
            and PARTIAL not in event.content
            and event.body.endswith(LAST_LINE)
        ),
        timeout_s=60,
    )
    # A second answer comes after all parts of the first.
    agent.script = lambda request: [Text("done"), End()]
    await answer_to(
        onboarded.user,
        onboarded.chat,
        await onboarded.user.send_text(onboarded.chat, "is that all?"),
    )
    events = await onboarded.user.messages(onboarded.chat)
    parts = [event for event in events if event.answers == message_id and not event.replaces]
    assert [part.content[PART] for part in parts] == list(range(1, len(parts) + 1))
    contents = [
        await onboarded.user.latest_content(onboarded.chat, part.event_id) for part in parts
    ]
    together = "".join(words(content["body"]) for content in contents)
    assert together == words(text.replace(LONE_SURROGATE, "\ufffd"))
    for part in parts:
        edits = [event for event in events if event.replaces == part.event_id]
        assert len(edits) <= 20
    for content in contents:
        assert PARTIAL not in content
        check_harmless(content)
    for event in events:
        if event.answers == message_id:
            assert event.content["m.mentions"] == {}


def check_harmless(content):
    assert content["msgtype"] == "m.text"
    assert content["m.mentions"] == {}
    # Each part is complete: an open code fence would include what follows.
    assert content["body"].count("```") % 2 == 0
    formatted = content["formatted_body"]
    tags = {tag.lower() for tag in re.findall(r"</?([a-zA-Z0-9]+)", formatted)}
    assert tags <= ALLOWED_TAGS
    assert {"table", "code", "pre", "h2"} & tags
    attributes = set(re.findall(r"<[^>]*?\s([a-z-]+)=", formatted))
    assert attributes <= {"class", "href", "start"}
    assert "javascript:" not in "".join(re.findall(r"<[^>]*>", formatted))


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**bold** and `code`", "<strong>bold</strong> and <code>code</code>"),
        (
            "**<script>alert(1)</script>**",
            "<strong>&lt;script&gt;alert(1)&lt;/script&gt;</strong>",
        ),
        ("**[go](javascript:alert(1))**", "<strong>[go](javascript:alert(1))</strong>"),
        ("@room wake up", None),
    ],
)
async def test_the_plain_body_is_the_markdown_and_the_html_is_clean(
    onboarded, agent, markdown, html
):
    agent.script = lambda request: [Text(markdown), End()]
    answer = await onboarded.ask("say it")
    assert answer.body == markdown
    assert answer.content.get("formatted_body") == html
    assert answer.content["m.mentions"] == {}
