"""What of a room is settled, and what is left to answer, when the database is gone (contract D12).

The bot's place (`m.fully_read`) and its own answers, which name what they answer (contract D2), both stand on
the homeserver. A message is left to answer only when neither settles it; what was begun of its answer is told
along with it, so that it is finished in its own events.
"""

from collections.abc import Sequence

from machines.facts import Fact
from machines.ids import RoomId, UserId
from matrix.sync.decoding import decode_page
from matrix.sync.replies import MESSAGES


def left_to_answer(
    events: Sequence[object], room_id: RoomId, place: str | None, bot: UserId
) -> tuple[Fact, ...]:
    """Return the messages of a room's history, oldest first, that nothing settles; never raises.

    `place` is the last message that the bot has finished with, when it stands in this history.
    """
    after = _after(events, place)
    # At its place the bot was in the room.
    shown = events if after is None else after
    facts = decode_page(shown, room_id, bot, was_in=after is not None)
    return tuple(fact for fact in facts if isinstance(fact, MESSAGES))


def _after(events: Sequence[object], place: str | None) -> Sequence[object] | None:
    """Return what stands behind the bot's place, `None` where that is not in this history."""
    for index, event in enumerate(events):
        if place is not None and type(event) is dict and event.get("event_id") == place:
            return events[index + 1 :]
    return None
