"""The stored part of an agent's frames is bounded, and parsing them delays nothing else (contracts E13, D14)."""

import json

import pytest

from agent_platform.errors import ProtocolError
from agent_platform.protocol import parsing, rate_limit
from agent_platform.protocol.frames import decode_frame
from agent_platform.protocol.parsing import MAX_FRAME_BYTES
from agent_platform.protocol.rate_limit import (
    BURST_TOKENS,
    CHARS_PER_TOKEN,
    TOKENS_PER_S,
    FrameRateLimit,
)
from agent_platform.protocol.sanitize import (
    MAX_LINE_CHARS,
    MAX_TEXT_CHARS,
    sanitize_line,
    sanitize_text,
)
from machines.events.agent import (
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFileOffer,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
)

LONG = "long " * 100_000
ROOM = MAX_FRAME_BYTES - 1_000
QUESTION = {"kind": "confirmation", "id": "c1", "title": "Sure?", "description": "Really."}


def frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind} | fields)


def reported(**payload: object) -> dict:
    value = decode_frame(frame("AGENT_EVENT_CUSTOM_UPDATE", payload=payload))
    assert isinstance(value, AgentCustomUpdate)
    return dict(value.payload)


# -- text for people --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("search", "search"),
        ("two\nlines\tand\r\nmore", "two lines and more"),
        ("bell\x07 \x1b[31mred\x00", "bell [31mred"),
        ("turned \u202eround", "turned round"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("half \ud83d", "half \ufffd"),
        ("", ""),
        ("x" * MAX_LINE_CHARS, "x" * MAX_LINE_CHARS),
        ("x" * (MAX_LINE_CHARS + 1), "x" * (MAX_LINE_CHARS - 1) + "…"),
        (" " * 10_000 + "x", "…"),
    ],
)
def test_a_line_has_no_control_characters_and_is_cut(text, line):
    assert sanitize_line(text) == line


def test_a_description_keeps_its_lines():
    assert sanitize_text("one\n\n\ttwo\x07") == "one\n\n\ttwo "
    assert len(sanitize_text("x" * 10_000)) == MAX_TEXT_CHARS


def test_tool_names_progress_and_questions_are_cut():
    tool = decode_frame(frame("AGENT_EVENT_TOOL_CALL_CHUNK", tool_name=LONG))
    assert isinstance(tool, AgentToolCall)
    assert len(tool.tool_name) <= MAX_LINE_CHARS
    assert len(reported(kind="progress", text=f"reading\n{LONG}")["text"]) <= MAX_LINE_CHARS
    question = reported(**QUESTION | {"title": LONG, "description": LONG})
    assert len(question["title"]) <= MAX_LINE_CHARS
    assert len(question["description"]) <= MAX_TEXT_CHARS
    assert question["id"] == "c1"


def test_an_error_is_one_line():
    refused = decode_frame(frame("ERROR", code="A\nB\x07", details="one\ntwo"))
    assert refused == AgentError("A B", "one two")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            frame("AGENT_EVENT_CUSTOM_UPDATE", payload=QUESTION | {"id": "c" * 501}),
            "AGENT_EVENT_CUSTOM_UPDATE: `payload.id` is longer than 500 characters",
        ),
        (
            frame("AGENT_EVENT_SEND_FILE", path="p" * 4097),
            "AGENT_EVENT_SEND_FILE: `path` is longer than 4096 characters",
        ),
    ],
)
def test_an_id_or_path_that_is_too_long_is_refused_and_not_cut(data, message):
    with pytest.raises(ProtocolError) as caught:
        decode_frame(data)
    assert str(caught.value) == message


def test_an_id_or_path_of_the_maximum_length_is_not_cut():
    path = "p" * 4096
    assert decode_frame(frame("AGENT_EVENT_SEND_FILE", path=path)) == AgentFileOffer(path)
    assert reported(**QUESTION | {"id": "c" * 500})["id"] == "c" * 500


def test_a_payload_of_many_values_keeps_the_fields_that_are_shown():
    stuffed = {f"n{number}": number for number in range(5_000)} | QUESTION
    payload = reported(**stuffed)
    assert QUESTION.items() <= payload.items()
    assert len(payload) <= 1_000


# -- large frames ------------------------------------------------------------------------------------


def full(head: str, item: str, tail: str) -> str:
    """Return a frame of the largest size with many values."""
    return head + ",".join([item] * (ROOM // (len(item) + 1))) + tail


MANY = {
    "a result": full('{"type":"AGENT_EVENT_TOOL_RESULT","result":[', "1", "]}"),
    "an unknown frame": full('{"type":"NEW","x":[', "[]", "]}"),
    "progress": full(
        '{"type":"AGENT_EVENT_CUSTOM_UPDATE","payload":{"text":"on it","x":[', "{}", "]}}"
    ),
    "details": full('{"type":"ERROR","code":"X","details":{"a":[', "{}", "]}}"),
    "an end": full('{"type":"AGENT_EVENT_END","tokens_used":7,"x":[', "1.5", "]}"),
    "text": json.dumps({"type": "AGENT_EVENT_TEXT_CHUNK", "text": "a, " * (ROOM // 3)}),
}


def test_the_protocols_fields_are_read_from_a_frame_of_many_values():
    assert decode_frame(MANY["a result"]) == AgentToolResult()
    assert decode_frame(MANY["an unknown frame"]) is None
    assert decode_frame(MANY["progress"]) == AgentCustomUpdate({"text": "on it"})
    assert decode_frame(MANY["an end"]) == AgentEnd(7)
    refused = decode_frame(MANY["details"])
    assert isinstance(refused, AgentError)
    assert refused.details.startswith('{"a":[{},{}')
    assert len(refused.details) <= 2_000
    said = decode_frame(MANY["text"])
    assert isinstance(said, AgentTextChunk)
    assert said.text == "a, " * (ROOM // 3)


@pytest.mark.parametrize("kind", sorted(MANY))
def test_a_frame_of_many_values_makes_few_objects(kind, monkeypatch):
    created = 0

    def counting(pairs):
        nonlocal created
        created += len(pairs)
        return dict(pairs)

    loads = json.loads
    monkeypatch.setattr(
        parsing.json, "loads", lambda data, **more: loads(data, object_pairs_hook=counting)
    )
    decode_frame(MANY[kind])
    assert created < parsing.MAX_PARSED_VALUES


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (full("[", "1", "]"), "the frame must be an object, not a list"),
        (full('{"type":"X","x":[', "1", "]"), "the frame is not JSON"),
        (
            full('{"type":"AGENT_EVENT_CUSTOM_UPDATE","payload":[', "1", "]}"),
            "AGENT_EVENT_CUSTOM_UPDATE: `payload` must be an object, not a list",
        ),
        (
            full('{"type":"AGENT_EVENT_TEXT_CHUNK","text":{"a":[', "1", "]}}"),
            "AGENT_EVENT_TEXT_CHUNK: `text` must be a string, not an object",
        ),
        (full('{"x":[', "1", "]}"), "`type` must be a string, not missing"),
        (
            '{"type":"X","y":[' + "1," * 30_000 + "1]," + '"x":' + "[" * 90_000 + "]" * 90_000 + "}",
            "the frame is nested too deeply",
        ),
        (
            full('{"type":"AGENT_EVENT_END","tokens_used":9007199254740992,"x":[', "1", "]}"),
            "the frame holds a number that is too large",
        ),
    ],
)  # fmt: skip
def test_a_frame_of_many_values_has_the_faults_of_any_other(data, message):
    with pytest.raises(ProtocolError) as caught:
        decode_frame(data)
    assert str(caught.value) == message


# -- rate limit --------------------------------------------------------------------------------------------


class FakeClock:
    """A clock that advances when a task sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def rate_limit(self) -> FrameRateLimit:
        return FrameRateLimit(lambda: self.now, self.sleep)


async def test_frames_without_text_may_come_in_a_burst_and_then_at_the_rate_limit():
    clock = FakeClock()
    limit = clock.rate_limit()
    for _ in range(int(BURST_TOKENS)):
        await limit.consume(30, is_text=False)
    assert clock.now == 0.0
    for _ in range(10_000):
        await limit.consume(30, is_text=False)
    assert clock.now == pytest.approx(10_000 / TOKENS_PER_S, rel=0.01)


async def test_large_frames_count_for_their_size():
    clock = FakeClock()
    limit = clock.rate_limit()
    for _ in range(100):
        await limit.consume(MAX_FRAME_BYTES, is_text=False)
    assert clock.now == pytest.approx(
        (100 * (1 + MAX_FRAME_BYTES // CHARS_PER_TOKEN) - BURST_TOKENS) / TOKENS_PER_S, rel=0.02
    )


async def test_text_and_frames_below_the_rate_limit_never_wait():
    clock = FakeClock()
    limit = clock.rate_limit()
    for _ in range(20_000):
        await limit.consume(40, is_text=True)
    assert clock.now == 0.0
    for number in range(20_000):
        clock.now = number / 200
        await limit.consume(40, is_text=False)
    assert clock.now == 19_999 / 200


async def test_other_tasks_run_between_frames_that_have_already_arrived(monkeypatch):
    turns = []

    async def checkpoint() -> None:
        turns.append(None)

    monkeypatch.setattr(rate_limit.anyio.lowlevel, "checkpoint", checkpoint)
    limit = FakeClock().rate_limit()
    for _ in range(320):
        await limit.consume(40, is_text=True)
    assert len(turns) == 10
