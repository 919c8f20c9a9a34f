"""No text makes rendering it expensive, and a long one is rendered beside the event loop (contract D14)."""

import gc
import threading
import time

import anyio.from_thread
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.parser_inline import ParserInline

from machines.ids import EventId, RoomId, TxnId, UserId
from machines.orders import Done, SendMessage
from matrix import performing
from matrix.performing import Performer
from matrix.rendering import message_content, render
from tests.matrix.markdown_corpus import BUILT, REPEATED, corpus

LONGEST = 64 * 1024
CPU_S = 2.0
"""Four times what the worst takes; without a bound some take a minute."""
ROOM = RoomId("!room")


def cpu_s(text):
    began = time.thread_time()
    render(text)
    return time.thread_time() - began


def test_a_long_link_used_2660_times_is_not_written_2660_times():
    text = f"[a]: http://x.y/{'z' * 8000}\n\n" + "[a]" * 2660
    assert len(render(text)) < 2 * len(text)


def test_a_link_is_still_written_as_often_as_it_is_used_in_an_ordinary_text():
    text = "[docs]: https://example.org/docs\n\n" + "- see the [docs]\n" * 300
    assert render(text).count('<a href="https://example.org/docs">docs</a>') == 300


@pytest.mark.slow
def test_no_text_of_the_corpus_takes_long():
    taken = {name: cpu_s(text) for name, text in corpus(LONGEST)}
    assert {name: seconds for name, seconds in taken.items() if seconds > CPU_S} == {}


@pytest.mark.parametrize(("size", "most"), [(500, 10_000), (LONGEST, 250_000)])
def test_brackets_that_stay_open_are_not_looked_behind_again_and_again(monkeypatch, size, most):
    looks = 0
    look = ParserInline.skipToken

    def counted(self, state):
        nonlocal looks
        looks += 1
        look(self, state)

    monkeypatch.setattr(ParserInline, "skipToken", counted)
    text = "[" * size
    assert render(text) == text
    assert looks < most


@pytest.mark.parametrize("size", [500, 5000])
def test_a_table_is_not_filled_up_with_more_cells_than_its_text_warrants(size):
    text = BUILT["a table whose rows are filled up"](size)[:size]
    assert "<table>" not in render(text)


def test_a_table_whose_rows_are_a_little_short_is_a_table():
    text = "|a|b|c|d|\n|-|-|-|-|\n" + "|one|\n" * 50
    assert render(text).count("<td></td>") == 150


@pytest.mark.slow
@pytest.mark.parametrize("size", [500, 2000])
def test_a_short_text_may_not_take_the_time_of_a_long_one(size):
    taken = {name: cpu_s(text) for name, text in corpus(size)}
    assert sum(taken.values()) < len(taken) * size * 40e-6


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
def test_no_mixture_of_what_is_expensive_takes_long(pieces):
    text = "".join(BUILT[unit](count) if unit in BUILT else unit * count for unit, count in pieces)
    assert cpu_s(text[:LONGEST]) < CPU_S


@pytest.mark.parametrize(
    "unit", ["- [ ] item\n", "|a|b|c|\n", "**a** [b](https://c.d) `e`\n", "a\n"]
)
def test_dense_but_ordinary_markdown_as_long_as_a_part_is_rendered(unit):
    head = "|a|b|c|\n|-|-|-|\n" if unit.startswith("|") else ""
    rendered = render(head + unit * (16_000 // len(unit)))
    assert rendered.count("\n") >= 16_000 // len(unit) - 1
    assert {"-": "<li>", "|": "<td>", "*": "<strong>", "a": "<br>"}[unit[0]] in rendered


class Deaf:
    """A transport that does whatever it is asked."""

    async def request(self, call):
        return {"event_id": "$sent"}


@pytest.fixture
def performer(monkeypatch):
    rendered_in: list[int] = []

    def noted(*args, **kwargs):
        rendered_in.append(threading.get_ident())
        return message_content(*args, **kwargs)

    monkeypatch.setattr(performing, "message_content", noted)
    performer = Performer(Deaf(), None, UserId("@bot:localhost"))
    performer._encrypted[ROOM] = False
    return performer, rendered_in


@pytest.mark.anyio
@pytest.mark.parametrize(("body", "beside"), [("**a** " * 1000, True), ("**a**", False)])
async def test_a_long_text_is_rendered_beside_the_event_loop_and_once(performer, body, beside):
    performer, rendered_in = performer
    order = SendMessage(ROOM, body, edits=TxnId("t"), edits_event_id=EventId("$first"))
    assert await performer.perform(order, TxnId("t.e1")) == Done(EventId("$sent"))
    assert [ident != threading.get_ident() for ident in rendered_in] == [beside]


@pytest.mark.anyio
async def test_no_garbage_is_looked_for_while_a_long_text_is_rendered(monkeypatch):
    enabled = []

    def noted(body, **kwargs):
        enabled.append(gc.isenabled())
        return message_content(body, **kwargs)

    monkeypatch.setattr(performing, "message_content", noted)
    performer = Performer(Deaf(), None, UserId("@bot:localhost"))
    performer._encrypted[ROOM] = False
    await performer.perform(SendMessage(ROOM, "**a** " * 1000), TxnId("t"))
    assert (enabled, gc.isenabled()) == ([False], True)


@pytest.mark.anyio
async def test_long_texts_are_rendered_one_at_a_time(monkeypatch):
    active, peak = 0, 0

    def slow(body, **kwargs):
        nonlocal active, peak
        active += 1
        peak = max(peak, active)
        anyio.from_thread.run(anyio.lowlevel.checkpoint)
        active -= 1
        return {"body": body}

    monkeypatch.setattr(performing, "message_content", slow)
    performer = Performer(Deaf(), None, UserId("@bot:localhost"))
    performer._encrypted[ROOM] = False
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            order = SendMessage(ROOM, "a" * 1000)
            tasks.start_soon(performer.perform, order, TxnId(str(number)))
    assert peak == 1
