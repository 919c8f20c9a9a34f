"""Values to JSON text and back: what the journal keeps of events, orders and turns.

A stored value is named by its class, so that a row says what it is; classes are looked up in the closed list of
what may be journalled and in nothing else.
"""

from typing import Any, TypeVar

import msgspec

from machines import facts, happenings, orders, user
from store.errors import DatabaseUnusable, UnitRefused

T = TypeVar("T")

_JOURNALLED: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        facts.MessageArrived,
        facts.FileArrived,
        facts.MalformedArrived,
        facts.EncryptedArrived,
        facts.InviteArrived,
        facts.BotRemoved,
        facts.BotReturned,
        facts.MemberChanged,
        facts.MembersCounted,
        facts.QuestionShown,
        facts.EncryptionEnabled,
        happenings.OrderDone,
        happenings.OnboardingAsked,
        happenings.NewChatAsked,
        happenings.ChatsAsked,
        happenings.ChatRecovered,
        happenings.QueueOverflowed,
        happenings.MessageDropped,
        happenings.AnswerReady,
        happenings.RoomMade,
        happenings.RoomCompleted,
        orders.SendMessage,
        orders.RedactMessage,
        orders.JoinRoom,
        orders.RejectInvite,
        orders.LookUpName,
        orders.CreateRoom,
        orders.LinkChild,
        orders.EnsureInvited,
        orders.NameRoom,
        orders.StoreBinding,
        user.NewChat,
        happenings.Asked,
    )
}
# In rows of earlier versions: a user's actor told a room in this way that it was complete.
_JOURNALLED["TopologyConfirmed"] = happenings.RoomCompleted


_encoder = msgspec.json.Encoder()
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def dump(value: object) -> str:
    """Return a value as JSON text.

    Raises:
        UnitRefused: it holds what JSON can't; the edge that let it in should have cleaned it.
    """
    try:
        return _encoder.encode(value).decode()
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise UnitRefused(f"{type(value).__name__} can't be kept: {error}") from error


def load(kind: str, text: str) -> Any:
    """Return the value that `dump` wrote.

    Raises:
        DatabaseUnusable: no journalled class has this name (a database of another version).
    """
    cls = _JOURNALLED.get(kind)
    if cls is None:
        raise DatabaseUnusable(f"the journal holds a {kind}, which this version does not know")
    return read(cls, text)


def read(cls: type[T], text: str) -> T:
    """Return the value of a class that stands in a column as JSON text.

    Raises:
        DatabaseUnusable: the text is not such a value (a damaged row, or one of another version).
    """
    decoder = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.json.Decoder(cls)
    try:
        value: T = decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DatabaseUnusable(f"a stored {cls.__name__} can't be read ({error})") from error
    return value
