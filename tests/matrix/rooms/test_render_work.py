"""Rendering has a limited cost for any text, and a long text is rendered in a thread (contract D14)."""

import gc
import threading
import time

import anyio.from_thread
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.parser_inline import ParserInline

from machines.events.orders import Done, SendMessage
from machines.ids import EventId, RoomId, TxnId, UserId
from matrix.rooms import perform
from matrix.rooms.perform import OrderPerformer
from matrix.rooms.render import message_content, render
from tests.matrix.markdown_corpus import BUILT, REPEATED, corpus

LONGEST = 64 * 1024
CPU_S = 2.0
"""Four times the time of the worst text; without a limit some take a minute."""
ROOM = RoomId("!room")


def cpu_s(text):
    began = time.thread_time()
    render(text)
    return time.thread_time() - began


def test_a_long_link_used_2660_times_is_not_rendered_2660_times():
    text = f"[a]: http://x.y/{'z' * 8000}\n\n" + "[a]" * 2660
    assert len(render(text)) < 2 * len(text)


def test_in_an_ordinary_text_a_link_is_rendered_each_time():
    text = "[docs]: https://example.org/docs\n\n" + "- see the [docs]\n" * 300
    assert render(text).count('<a href="https://example.org/docs">docs</a>') == 300


@pytest.mark.slow
def test_every_text_of_the_corpus_is_rendered_fast():
    seconds_of = {name: cpu_s(text) for name, text in corpus(LONGEST)}
    assert {name: seconds for name, seconds in seconds_of.items() if seconds > CPU_S} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "most"), [(500, 10_000), (LONGEST, 250_000)])
def test_open_brackets_are_not_read_again_and_again(monkeypatch, size, most):
    reads = 0
    skip_token = ParserInline.skipToken

    def counted(self, state):
        nonlocal reads
        reads += 1
        skip_token(self, state)

    monkeypatch.setattr(ParserInline, "skipToken", counted)
    text = "[" * size
    assert render(text) == text
    assert reads < most


@pytest.mark.slow
@pytest.mark.parametrize("size", [500, 5000])
def test_a_table_is_not_filled_up_with_far_more_cells_than_its_text_has(size):
    text = BUILT["a table whose rows are filled up"](size)[:size]
    assert "<table>" not in render(text)


def test_a_table_with_slightly_short_rows_is_a_table():
    text = "|a|b|c|d|\n|-|-|-|-|\n" + "|one|\n" * 50
    assert render(text).count("<td></td>") == 150


@pytest.mark.slow
@pytest.mark.parametrize("size", [500, 2000])
def test_a_short_text_has_a_lower_limit_than_a_long_one(size):
    seconds_of = {name: cpu_s(text) for name, text in corpus(size)}
    assert sum(seconds_of.values()) < len(seconds_of) * size * 40e-6


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(REPEATED) | st.sampled_from(sorted(BUILT)), st.integers(1, LONGEST)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_mixture_of_expensive_texts_is_rendered_fast(pieces):
    text = "".join(BUILT[unit](count) if unit in BUILT else unit * count for unit, count in pieces)
    assert cpu_s(text[:LONGEST]) < CPU_S


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["- [ ] item\n", "|a|b|c|\n", "**a** [b](https://c.d) `e`\n", "a\n"]
)
def test_dense_ordinary_markdown_as_long_as_a_part_is_rendered(unit):
    head = "|a|b|c|\n|-|-|-|\n" if unit.startswith("|") else ""
    rendered = render(head + unit * (16_000 // len(unit)))
    assert rendered.count("\n") >= 16_000 // len(unit) - 1
    assert {"-": "<li>", "|": "<td>", "*": "<strong>", "a": "<br>"}[unit[0]] in rendered


class FakeTransport:
    """A transport that accepts every request."""

    async def request(self, call):
        return {"event_id": "$sent"}


@pytest.fixture
def performer(monkeypatch):
    rendered_in: list[int] = []

    def recorded(order):
        rendered_in.append(threading.get_ident())
        return message_content(order)

    monkeypatch.setattr(perform, "message_content", recorded)
    performer = OrderPerformer(FakeTransport(), None, UserId("@bot:localhost"))
    performer._encrypted[ROOM] = False
    return performer, rendered_in


@pytest.mark.anyio
@pytest.mark.parametrize(("body", "in_thread"), [("**a** " * 1000, True), ("**a**", False)])
async def test_a_long_text_is_rendered_once_and_in_a_thread(performer, body, in_thread):
    performer, rendered_in = performer
    order = SendMessage(ROOM, body, edits=TxnId("t"), edits_event_id=EventId("$first"))
    assert await performer.perform(order, TxnId("t.e1")) == Done(EventId("$sent"))
    assert [ident != threading.get_ident() for ident in rendered_in] == [in_thread]


@pytest.mark.anyio
async def test_garbage_collection_is_paused_while_a_long_text_is_rendered(monkeypatch):
    enabled = []

    def recorded(order):
        enabled.append(gc.isenabled())
        return message_content(order)

    monkeypatch.setattr(perform, "message_content", recorded)
    performer = OrderPerformer(FakeTransport(), None, UserId("@bot:localhost"))
    performer._encrypted[ROOM] = False
    await performer.perform(SendMessage(ROOM, "**a** " * 1000), TxnId("t"))
    assert (enabled, gc.isenabled()) == ([False], True)


@pytest.mark.anyio
async def test_long_texts_are_rendered_one_at_a_time(monkeypatch):
    active, peak = 0, 0

    def slow(order):
        nonlocal active, peak
        active += 1
        peak = max(peak, active)
        anyio.from_thread.run(anyio.lowlevel.checkpoint)
        active -= 1
        return {"body": order.body}

    monkeypatch.setattr(perform, "message_content", slow)
    performer = OrderPerformer(FakeTransport(), None, UserId("@bot:localhost"))
    performer._encrypted[ROOM] = False
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            order = SendMessage(ROOM, "a" * 1000)
            tasks.start_soon(performer.perform, order, TxnId(str(number)))
    assert peak == 1
