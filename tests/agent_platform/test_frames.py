import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_platform.errors import ProtocolError
from agent_platform.protocol.frames import Status, decode_frame, encode_request
from agent_platform.protocol.parsing import MAX_FRAME_BYTES, MAX_NUMBER
from machines.events.agent import (
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFileOffer,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    ConfirmationAnswer,
    ContextRequest,
    Quoted,
)
from tests.agent_platform.support import request


def test_a_plain_request_has_only_what_it_needs():
    assert json.loads(encode_request(request("hello"))) == {
        "type": "USER_MESSAGE",
        "text": "hello",
        "attachments": [],
        "message_id": "m1",
    }


def test_a_full_request_has_everything():
    wanted = request(
        "yes",
        attachments=("incoming/a", "incoming/b"),
        settings={"soul": "kind"},
        confirmation=ConfirmationAnswer("c1", accepted=True),
        context=ContextRequest("save", "monday"),
        quoted=Quoted("agent", "An earlier answer."),
    )
    assert json.loads(encode_request(wanted)) == {
        "type": "USER_MESSAGE",
        "text": "yes",
        "attachments": ["incoming/a", "incoming/b"],
        "message_id": "m1",
        "settings": {"soul": "kind"},
        "confirmation": {"id": "c1", "accepted": True},
        "context": {"action": "save", "name": "monday"},
        "quoted": {"by": "agent", "text": "An earlier answer."},
    }


def test_a_request_with_a_lone_surrogate_can_be_sent():
    assert json.loads(encode_request(request("a\ud83d!")).encode())["text"] == "a\ufffd!"


CONFIRMATION = {"kind": "confirmation", "id": "c1", "title": "Sure?", "description": "Really."}


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        ({"type": "STATUS"}, Status()),
        ({"type": "STATUS", "unknown": 1}, Status()),
        ({"type": "AGENT_EVENT_TEXT_CHUNK", "text": "Привет"}, AgentTextChunk("Привет")),
        ({"type": "AGENT_EVENT_TEXT_CHUNK", "text": ""}, AgentTextChunk("")),
        ({"type": "AGENT_EVENT_TOOL_CALL_CHUNK", "tool_name": "ls"}, AgentToolCall("ls")),
        ({"type": "AGENT_EVENT_TOOL_RESULT", "result": {"a": [1]}}, AgentToolResult()),
        ({"type": "AGENT_EVENT_TOOL_RESULT"}, AgentToolResult()),
        ({"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": {"n": 1}}, AgentCustomUpdate({"n": 1})),
        (
            {"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": CONFIRMATION},
            AgentCustomUpdate(CONFIRMATION),
        ),
        (
            {"type": "AGENT_EVENT_SEND_FILE", "path": "/workspace/a"},
            AgentFileOffer("/workspace/a"),
        ),
        ({"type": "AGENT_EVENT_END", "tokens_used": 0}, AgentEnd(0)),
        ({"type": "AGENT_EVENT_END", "tokens_used": MAX_NUMBER}, AgentEnd(MAX_NUMBER)),
        ({"type": "AGENT_EVENT_END"}, AgentEnd(0)),
        ({"type": "ERROR", "code": "X", "details": "why"}, AgentError("X", "why")),
        ({"type": "ERROR", "code": "X", "details": {"a": "ä"}}, AgentError("X", '{"a": "ä"}')),
        ({"type": "ERROR", "code": "X"}, AgentError("X", "")),
        ({"type": "SOMETHING_NEW", "text": 1}, None),
        ({"type": ""}, None),
    ],
)
def test_each_frame_of_the_protocol_has_its_value(frame, value):
    assert decode_frame(json.dumps(frame)) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "the frame is not JSON"),
        ("{", "the frame is not JSON"),
        ("\ufeff{}", "the frame is not JSON"),
        ("[]", "the frame must be an object, not a list"),
        ("null", "the frame must be an object, not null"),
        ('"STATUS"', "the frame must be an object, not a string"),
        ("1e3", "the frame must be an object, not a number"),
        ("{}", "`type` must be a string, not missing"),
        ('{"type": null}', "`type` must be a string, not null"),
        ('{"type": true}', "`type` must be a string, not a boolean"),
        ('{"type": "X", "n": NaN}', "the frame holds NaN, which JSON does not have"),
        ('{"type": "X", "n": -Infinity}', "the frame holds -Infinity, which JSON does not have"),
        ('{"type": "X", "n": 1e400}', "the frame holds a number that is too large"),
        ('{"type": "X", "n": 9007199254740992}', "the frame holds a number that is too large"),
        ('{"type": "X", "n": ' + "9" * 5000 + "}", "the frame holds a number that is too large"),
        ("[" * 200_000, "the frame is nested too deeply"),
        ('{"a":' * 200_000, "the frame is nested too deeply"),
        (
            '{"type": "AGENT_EVENT_TEXT_CHUNK"}',
            "AGENT_EVENT_TEXT_CHUNK: `text` must be a string, not missing",
        ),
        (
            '{"type": "AGENT_EVENT_TEXT_CHUNK", "text": ["a"]}',
            "AGENT_EVENT_TEXT_CHUNK: `text` must be a string, not a list",
        ),
        (
            '{"type": "AGENT_EVENT_TOOL_CALL_CHUNK", "tool_name": {}}',
            "AGENT_EVENT_TOOL_CALL_CHUNK: `tool_name` must be a string, not an object",
        ),
        (
            '{"type": "AGENT_EVENT_CUSTOM_UPDATE"}',
            "AGENT_EVENT_CUSTOM_UPDATE: `payload` must be an object, not missing",
        ),
        (
            '{"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": "a"}',
            "AGENT_EVENT_CUSTOM_UPDATE: `payload` must be an object, not a string",
        ),
        (
            '{"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": {"kind": "confirmation"}}',
            "AGENT_EVENT_CUSTOM_UPDATE: `payload.id` must be a string, not missing",
        ),
        (
            json.dumps({"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": CONFIRMATION | {"id": ""}}),
            "AGENT_EVENT_CUSTOM_UPDATE: `payload.id` must not be empty",
        ),
        (
            '{"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": ' + '{"a":' * 40 + "1" + "}" * 41,
            "the frame is nested too deeply",
        ),
        (
            '{"type": "AGENT_EVENT_SEND_FILE", "path": ""}',
            "AGENT_EVENT_SEND_FILE: `path` must not be empty",
        ),
        (
            '{"type": "AGENT_EVENT_END", "tokens_used": true}',
            "AGENT_EVENT_END: `tokens_used` must be a whole number, not a boolean",
        ),
        (
            '{"type": "AGENT_EVENT_END", "tokens_used": null}',
            "AGENT_EVENT_END: `tokens_used` must be a whole number, not null",
        ),
        (
            '{"type": "AGENT_EVENT_END", "tokens_used": 1.5}',
            "AGENT_EVENT_END: `tokens_used` must be a whole number, not a number",
        ),
        (
            '{"type": "AGENT_EVENT_END", "tokens_used": -1}',
            "AGENT_EVENT_END: `tokens_used` must not be negative",
        ),
        ('{"type": "ERROR"}', "ERROR: `code` must be a string, not missing"),
        ('{"type": "ERROR", "code": ""}', "ERROR: `code` must not be empty"),
        (
            '{"type": "ERROR", "code": "X", "details": 5}',
            "ERROR: `details` must be a string or an object, not a number",
        ),
    ],
)
def test_each_invalid_frame_has_its_message(data, message):
    with pytest.raises(ProtocolError) as caught:
        decode_frame(data)
    assert str(caught.value) == message


@pytest.mark.parametrize("character", ["a", "ж", "😀"])
def test_the_size_limit_counts_bytes(character):
    def frame(size):
        head, tail = '{"type": "AGENT_EVENT_TEXT_CHUNK", "text": "', '"}'
        room, width = size - len(head + tail), len(character.encode())
        return head + character * (room // width) + "x" * (room % width) + tail

    assert isinstance(decode_frame(frame(MAX_FRAME_BYTES)), AgentTextChunk)
    with pytest.raises(ProtocolError, match="larger than 4 MiB"):
        decode_frame(frame(MAX_FRAME_BYTES + 1))


def test_the_details_of_an_error_are_bounded():
    frame = {"type": "ERROR", "code": "C" * 1000, "details": "d" * 100_000}
    refused = decode_frame(json.dumps(frame))
    assert isinstance(refused, AgentError)
    assert (len(refused.code), len(refused.details)) == (100, 2_000)


def test_no_field_but_text_keeps_a_lone_surrogate():
    frames = [
        '{"type": "AGENT_EVENT_TOOL_CALL_CHUNK", "tool_name": "\\ud83d"}',
        '{"type": "AGENT_EVENT_SEND_FILE", "path": "\\ud83d"}',
        '{"type": "ERROR", "code": "\\ud83d", "details": "\\ud83d"}',
        '{"type": "ERROR", "code": "\\ud83d", "details": {"\\ud83d": "\\ud83d"}}',
        '{"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": {"\\ud83d": ["\\ud83d"]}}',
    ]
    for frame in frames:
        value = decode_frame(frame)
        assert "\ufffd" in repr(value)
        assert "\\ud83d" not in repr(value)


TYPES = st.sampled_from(
    [
        "STATUS",
        "AGENT_EVENT_TEXT_CHUNK",
        "AGENT_EVENT_TOOL_CALL_CHUNK",
        "AGENT_EVENT_TOOL_RESULT",
        "AGENT_EVENT_CUSTOM_UPDATE",
        "AGENT_EVENT_SEND_FILE",
        "AGENT_EVENT_END",
        "ERROR",
        "OTHER",
    ]
)
STRINGS = st.text(st.characters(exclude_categories=()), max_size=10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | STRINGS | st.just("confirmation"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(STRINGS | st.sampled_from(["kind", "id", "title"]), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(["text", "tool_name", "result", "payload", "path", "tokens_used", "code"])
OBJECTS = st.builds(
    lambda kind, fields: {"type": kind} | fields,
    TYPES | JSON,
    st.dictionaries(FIELDS | st.just("details"), JSON, max_size=3),
)


def decode_or_none(data):
    try:
        return decode_frame(data)
    except ProtocolError:
        return None


@pytest.mark.slow
@settings(max_examples=1_500, deadline=None)
@given(OBJECTS)
def test_any_json_object_is_a_safe_value_or_an_error(frame):
    value = decode_or_none(json.dumps(frame))
    if isinstance(value, AgentCustomUpdate):
        json.dumps(value.payload, ensure_ascii=False, allow_nan=False).encode()
    if isinstance(value, AgentError):
        (value.code + value.details).encode()


@pytest.mark.slow
@settings(max_examples=1_000, deadline=None)
@given(STRINGS | st.text(alphabet='{}[]",:\\u0d8eNaI-+.1 typeSTAUS'))
def test_any_text_is_a_value_or_an_error(data):
    decode_or_none(data)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(OBJECTS, st.data())
def test_any_cut_or_spliced_frame_is_a_value_or_an_error(frame, data):
    text = json.dumps(frame)
    at = data.draw(st.integers(0, len(text)))
    decode_or_none(text[:at])
    decode_or_none(text[:at] + data.draw(STRINGS) + text[at:])
