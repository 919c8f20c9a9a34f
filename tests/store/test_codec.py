"""Whatever is journalled comes back equal, and whatever may be journalled has its class here."""

from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machines import facts, happenings, orders
from machines.binding import Binding
from machines.happenings import OrderDone
from machines.ids import EventId, TxnId, UserId
from store.codec import _JOURNALLED, dump, load
from store.errors import DatabaseUnusable, UnitRefused

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(autouse=True)
def clean_strings() -> Iterator[None]:
    """Strings as they are at this border: the edges have taken lone surrogates out."""
    st.register_type_strategy(str, texts)
    yield
    st.register_type_strategy(str, st.text())


def of_class(cls: type) -> st.SearchStrategy:
    overrides = {
        "report": st.dictionaries(texts, values, max_size=3),
        "content": st.dictionaries(texts, values, max_size=3),
    }
    fields = {name: each for name, each in overrides.items() if name in cls.__annotations__}
    return st.builds(cls, **fields)


@pytest.mark.parametrize("name", sorted(_JOURNALLED))
def test_a_value_comes_back_equal(name):
    @given(of_class(_JOURNALLED[name]))
    @settings(max_examples=40, deadline=None)
    def round_trip(value: object) -> None:
        kept = dump(value)
        assert load(name, kept) == value

    round_trip()


@pytest.mark.parametrize("outcome", get_args(orders.Outcome), ids=lambda cls: cls.__name__)
def test_an_outcome_keeps_its_kind(outcome):
    @given(st.builds(OrderDone, outcome=of_class(outcome)))
    @settings(max_examples=60, deadline=None)
    def round_trip(done: OrderDone) -> None:
        back = load("OrderDone", dump(done))
        assert type(back.outcome) is outcome
        assert back == done

    round_trip()


def test_every_fact_order_and_stored_happening_may_be_journalled():
    stored = {*get_args(facts.Fact), *get_args(orders.Order)}
    stored |= {
        happenings.OrderDone,
        happenings.OnboardingAsked,
        happenings.NewChatAsked,
        happenings.ChatsAsked,
        happenings.ChatRecovered,
    }
    assert stored <= set(_JOURNALLED.values())


def test_internal_events_of_earlier_versions_are_still_read():
    confirmed = (
        '{"binding":{"room_type":"space","matrix_user_id":"@anna:example.org"},"name":"Space",'
        '"encrypted":false,"store":true,"report":{},"others":null}'
    )
    binding = Binding("space", UserId("@anna:example.org"))
    assert load("TopologyConfirmed", confirmed) == happenings.RoomCompleted(binding, "Space")
    done = '{"txn_id":"a","order":"JoinRoom","outcome":{"type":"Done","event_id":"$e"}}'
    assert load("OrderDone", done) == OrderDone(TxnId("a"), orders.Done(EventId("$e")))


@pytest.mark.parametrize("kind", ["Room", "object", "", "eval", "AgentRequest"])
def test_no_other_class_is_ever_made_from_a_row(kind):
    with pytest.raises(DatabaseUnusable, match="does not know"):
        load(kind, "{}")


def test_a_lone_surrogate_is_refused_rather_than_changed():
    with pytest.raises(UnitRefused, match="RejectInvite"):
        dump(orders.RejectInvite("!\ud800"))
