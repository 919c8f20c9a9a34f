"""Every stored event and order is read back equal, under a tag that does not depend on the class name."""

from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machines.events import orders
from machines.events.internal import InboxEvent, OrderDone
from machines.events.tags import tag_of
from machines.room.chat_context import ChatContext
from machines.turn.state import Turn
from machines.user.preferences import Preferences
from store.codec import dump, read_event, read_order
from store.errors import DatabaseUnusable, UnitRefused
from store.records import Pending

EVENTS, ORDERS, OUTCOMES = map(get_args, (InboxEvent, orders.Order, orders.Outcome))
TAGS = {
    "events": (
        "message file unsupported_message malformed_message message_edited message_deleted"
        " encrypted_message invite bot_removed bot_returned member_changed"
        " members_counted question_shown last_message_shown encryption_enabled order_done room_made"
        " room_completed answer_ready way_back_requested message_dropped queue_overflowed"
        " onboarding_requested new_chat_requested chat_list_requested open_chat_requested chat_recovered"
    ),
    "orders": (
        "send_message redact_message join_room reject_invite look_up_name create_room link_child"
        " ensure_invited name_room complete_room store_binding"
    ),
    "outcomes": "done joined name_found room_created refused",
}
"""The tags in databases. A tag may be added; a changed or removed tag needs a migration of the waiting rows."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(autouse=True)
def clean_strings() -> Iterator[None]:
    """Strings as they reach the store: the decoders have removed lone surrogates."""
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


def comes_back(cls, read):
    @given(of_class(cls))
    @settings(max_examples=40, deadline=None)
    def round_trip(value: object) -> None:
        back = read(dump(value))
        assert (type(back), back) == (cls, value)

    round_trip()


@pytest.mark.parametrize("cls", EVENTS, ids=tag_of)
def test_an_event_comes_back_equal(cls):
    comes_back(cls, read_event)


@pytest.mark.parametrize("cls", ORDERS, ids=tag_of)
def test_an_order_comes_back_equal(cls):
    comes_back(cls, read_order)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=tag_of)
def test_an_outcome_comes_back_equal(outcome):
    @given(st.builds(OrderDone, outcome=of_class(outcome)))
    @settings(max_examples=60, deadline=None)
    def round_trip(done: OrderDone) -> None:
        back = read_event(dump(done))
        assert isinstance(back, OrderDone)
        assert (type(back.outcome), back) == (outcome, done)

    round_trip()


@pytest.mark.parametrize(
    ("kind", "classes"), [("events", EVENTS), ("orders", ORDERS), ("outcomes", OUTCOMES)]
)
def test_the_tags_are_those_of_existing_databases(kind, classes):
    assert [tag_of(cls) for cls in classes] == TAGS[kind].split()


@pytest.mark.parametrize("cls", [*EVENTS, *ORDERS, *OUTCOMES], ids=lambda cls: cls.__name__)
def test_a_tag_is_explicit_and_not_the_class_name(cls):
    assert tag_of(cls) != cls.__name__


def structs_in(annotation: object, found: set[type]) -> set[type]:
    """Return all structs that a stored value may contain."""
    if annotation in found:
        return found
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        found.add(annotation)
        for field in msgspec.structs.fields(annotation):
            structs_in(field.type, found)
    for each in get_args(annotation):
        structs_in(each, found)
    return found


@pytest.mark.parametrize(
    "column", [InboxEvent, orders.Order, Turn, ChatContext, Pending, Preferences]
)
def test_no_value_in_any_column_is_tagged_with_its_class_name(column):
    classes = structs_in(column, set())
    assert classes
    assert [cls for cls in classes if cls.__struct_config__.tag == cls.__name__] == []


@pytest.mark.parametrize("read", [read_event, read_order])
@pytest.mark.parametrize("tag", ["turn", "MessageArrived", "SendMessage", "", "eval", None])
def test_no_other_class_is_ever_created_from_a_row(read, tag):
    with pytest.raises(DatabaseUnusable, match="can't be read"):
        read(msgspec.json.encode({"type": tag, "room_id": "!a"}).decode())


def test_a_lone_surrogate_is_refused_rather_than_changed():
    with pytest.raises(UnitRefused, match="RejectInvite"):
        dump(orders.RejectInvite("!\ud800"))
