import json
import re
from contextlib import aclosing

import anyio
import pytest

from agent_platform import MOCK_PHRASES
from agent_platform.mock.platform import MAX_CHUNKS, MAX_CONTEXTS, MockPlatform
from agent_platform.mock.sample_text import MAX_CHARS, long_text
from machines.events.agent import (
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFailure,
    AgentFileOffer,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    ConfirmationAnswer,
    ContextRequest,
    Quoted,
)
from tests.agent_platform.support import collect, request, said


class SleepRecorder:
    """Records the waits instead of sleeping."""

    def __init__(self):
        self.waits = []

    async def __call__(self, seconds):
        self.waits.append(seconds)
        await anyio.lowlevel.checkpoint()


class MockChat:
    """A chat with a mock platform; its messages are numbered."""

    def __init__(self, workspace=None, chat="7", locale="en"):
        self.rest = SleepRecorder()
        self.mock = MockPlatform(
            sleep=self.rest, workspace=lambda _agent_id: workspace, locale=locale
        )
        self.chat = chat
        self.number = 0

    async def say(self, text, *, again=False, **fields):
        self.number += not again
        fields = {"platform_chat_id": self.chat, "message_id": f"m{self.number}"} | fields
        return await collect(self.mock.ask(request(text, **fields)))


@pytest.fixture
def talk():
    return MockChat()


async def test_a_message_is_echoed_word_by_word(talk):
    frames = await talk.say("good morning to you")
    assert said(frames) == (
        "Hello! You said: good morning to you\n\nThis is message 1 of our conversation."
    )
    assert frames[-1] == AgentEnd(14)
    assert [frame.text for frame in frames[:3]] == ["Hello! ", "You ", "said: "]
    assert talk.rest.waits == [0.03] * 14


async def test_each_chat_has_its_own_count(talk):
    await talk.say("one")
    assert "message 2 of" in said(await talk.say("two"))
    assert "message 1 of" in said(await talk.say("two", platform_chat_id="8"))
    assert "message 1 of" in said(await talk.say("two", agent_id="a2"))
    assert "message 3 of" in said(await talk.say("three"))


async def test_a_retry_replays_the_answer_and_counts_once(talk):
    first = await talk.say("one")
    assert await talk.say("one", again=True) == first
    assert "message 2 of" in said(await talk.say("two"))


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "long story", "slow motion", "fail better", "!help"]
)
async def test_what_is_no_phrase_is_echoed(talk, text):
    assert f"You said: {text}" in said(await talk.say(text))


async def test_splitting_a_text_into_words_is_fast_for_any_text(talk):
    with anyio.fail_after(2):
        assert " " * 60_000 in said(await talk.say("a" + " " * 60_000 + "b"))


async def test_a_long_text_has_every_kind_of_markdown_and_is_complete(talk):
    frames = await talk.say("long 20000")
    text = said(frames)
    assert text == long_text(20_000)
    assert len(text) >= 20_000
    for mark in ("## ", "| ", "```python", "1. ", "> ", "<b>", "@room", "**"):
        assert mark in text
    sections = [int(n) for n in re.findall(r"^## Section (\d+)$", text, re.MULTILINE)]
    assert sections == list(range(1, len(sections) + 1))


async def test_the_number_of_pieces_is_bounded(talk):
    frames = await talk.say("long 999999999")
    assert len(frames) <= MAX_CHUNKS + 1
    assert MAX_CHARS <= len(said(frames)) < MAX_CHARS + 2_000


async def test_a_confirmation_is_asked_for_and_answered_once(talk):
    [asks, ended] = await talk.say("confirm send the mail")
    assert asks == AgentCustomUpdate(
        {
            "kind": "confirmation",
            "id": "confirm-m1",
            "title": "May I do this: send the mail?",
            "description": "Nothing happens before you answer.",
        }
    )
    assert ended == AgentEnd(0)
    yes = ConfirmationAnswer("confirm-m1", accepted=True)
    did = await talk.say("yes", confirmation=yes)
    assert said(did) == "Thank you. I did it: send the mail."
    assert await talk.say("yes", again=True, confirmation=yes) == did
    twice = await talk.say("yes", confirmation=yes)
    assert said(twice) == "You have answered that already; I did nothing more."


async def test_a_confirmation_can_be_declined_or_forgotten(talk):
    await talk.say("confirm")
    no = await talk.say("no", confirmation=ConfirmationAnswer("confirm-m1", accepted=False))
    assert said(no) == "All right, I left it alone: delete a file."
    lost = await talk.say("no", confirmation=ConfirmationAnswer("from before", accepted=False))
    assert said(lost) == "You answered a question that I no longer remember, so I did nothing."


async def test_settings_change_the_answers(talk):
    settings = {
        "soul": "a pirate",
        "skills": {"web-search": False, "files": True},
        "safety": {"file-delete": False},
    }
    hello = said(await talk.say("hi", settings=settings))
    assert hello.startswith("(a pirate) Hello! You said: hi")
    tool = said(await talk.say("tool", settings=settings))
    assert tool == "I would use web-search, but you switched it off."
    done = said(await talk.say("confirm file-delete", settings=settings))
    assert done == "You want no question about that, so I did it: file-delete."


@pytest.mark.parametrize("settings", [{"soul": 5}, {"skills": []}, {"skills": {"web-search": 0}}])
async def test_unknown_settings_are_ignored(talk, settings):
    assert isinstance((await talk.say("tool", settings=settings))[-1], AgentEnd)
    assert isinstance((await talk.say("hi", settings=settings))[-1], AgentEnd)


async def test_the_phrase_context_shows_the_settings_that_were_sent(talk):
    text = said(await talk.say("context", settings={"soul": "ä"}))
    assert "- agent: `a1`" in text
    assert "- conversation: `7`" in text
    assert "- messages: 1" in text
    assert json.loads(text.split("```json\n")[1].removesuffix("\n```")) == {"soul": "ä"}
    assert said(await talk.say("whoami")).startswith("- agent: `a1`")


async def test_a_tool_is_reported_in_frames_of_its_own(talk):
    frames = await talk.say("tool")
    kinds = [type(frame) for frame in frames if not isinstance(frame, AgentTextChunk)]
    assert kinds == [AgentToolCall, AgentCustomUpdate, AgentToolResult, AgentEnd]
    assert said(frames) == "I used web-search, and it worked."


async def test_each_failure_phrase_fails_in_its_way(talk):
    assert await talk.say("fail") == [
        AgentError("MOCK_FAILURE", "The mock agent failed, as you asked.")
    ]
    assert await talk.say("empty") == [AgentEnd(0)]
    assert await talk.say("silent") == [AgentFailure("silent", "the agent sent nothing for 30 s")]
    assert talk.rest.waits == [30.0]


async def test_busy_succeeds_at_the_next_attempt(talk):
    [busy] = await talk.say("busy")
    assert isinstance(busy, AgentError)
    assert busy.code == "AGENT_BUSY"
    assert said(await talk.say("busy", again=True)).startswith("Hello! You said: busy")


async def test_a_broken_answer_is_complete_at_the_next_attempt(talk):
    broken = await talk.say("break")
    assert isinstance(broken[-1], AgentFailure)
    assert broken[-1].kind == "broken_off"
    whole = said(await talk.say("break", again=True))
    assert whole.startswith(said(broken))
    assert len(whole) > len(said(broken)) > 0


async def test_a_slow_answer_reports_progress(talk):
    frames = await talk.say("slow 12")
    assert talk.rest.waits[:3] == [5.0, 5.0, 2.0]
    assert [frame.payload["text"] for frame in frames if isinstance(frame, AgentCustomUpdate)] == [
        "12 s to go",
        "7 s to go",
        "2 s to go",
    ]
    assert said(frames) == "That took me 12 s."


async def test_contexts_are_saved_and_loaded(talk):
    await talk.say("one")
    saved = await talk.say("save", context=ContextRequest("save", "early"))
    assert said(saved) == "Messages in “early”: 2."
    await talk.say("three")
    loaded = await talk.say("load", context=ContextRequest("load", "early"))
    assert said(loaded) == "Let's go on from there. Messages in “early”: 2."
    assert "message 3 of" in said(await talk.say("next"))
    lost = await talk.say("load", context=ContextRequest("load", "early"), platform_chat_id="8")
    (refused,) = lost
    assert isinstance(refused, AgentError)
    assert refused.code == "CONTEXT_UNKNOWN"


async def test_a_file_is_written_and_sent(tmp_path):
    talk = MockChat(workspace=tmp_path)
    [*spoken, ended] = await talk.say("file")
    [offer] = [frame for frame in spoken if isinstance(frame, AgentFileOffer)]
    assert offer.path == "playground/hello-7-1.txt"
    assert (tmp_path / offer.path).read_text() == (
        "Hello from the mock agent.\nThis belongs to message 1.\n"
    )
    assert isinstance(ended, AgentEnd)


async def test_a_file_is_not_written_through_a_symbolic_link(tmp_path):
    (tmp_path / "work" / "playground").mkdir(parents=True)
    (tmp_path / "secret").write_text("kept")
    (tmp_path / "work" / "playground" / "hello-7-1.txt").symlink_to(tmp_path / "secret")
    frames = await MockChat(workspace=tmp_path / "work").say("file")
    assert "no workspace" in said(frames)
    assert (tmp_path / "secret").read_text() == "kept"


async def test_without_a_workspace_no_file_is_sent(talk):
    frames = await talk.say("file")
    assert said(frames).startswith("(There is no workspace that I can write to.)")
    assert not any(isinstance(frame, AgentFileOffer) for frame in frames)


async def test_a_quoted_message_is_shown(talk):
    frames = await talk.say("what?", quoted=Quoted("user", "an\n\nearlier " + "message " * 100))
    assert said(frames).startswith(
        "Hello! You said: what?\n\nYou replied to: an earlier message message"
    )
    assert len(said(frames)) < 320


async def test_attachments_are_listed_with_their_sizes(tmp_path):
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "a.txt").write_text("12345")
    frames = await MockChat(workspace=tmp_path).say(
        "look", attachments=("incoming/a.txt", "incoming/b.txt")
    )
    assert said(frames) == (
        "You said: look\n\nAttached to it:\n\n"
        "- `incoming/a.txt` (5 bytes)\n- `incoming/b.txt` (not found)"
    )


async def test_the_number_of_contexts_is_bounded(talk):
    await talk.say("old", platform_chat_id="old")
    for number in range(MAX_CONTEXTS):
        await talk.say("empty", platform_chat_id=str(number))
    assert len(talk.mock._chats) == MAX_CONTEXTS
    assert "message 1 of" in said(await talk.say("again", platform_chat_id="old"))


async def test_closing_the_generator_early_stops_the_mock():
    mock = MockPlatform()
    with anyio.fail_after(5):
        async with aclosing(mock.ask(request("long"))) as frames:
            assert await anext(frames) == AgentTextChunk("# ")


async def test_every_documented_phrase_does_more_than_echo(talk):
    for usage in MOCK_PHRASES:
        phrase = usage.replace("<what>", "it").replace("<seconds>", "1")
        first = await talk.say(phrase)
        assert phrase.split()[0] in ("busy", "break") or "You said" not in said(first)
