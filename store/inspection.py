"""Looking at the database without touching it: of a daemon that runs, was stopped, or was killed (contract I1).

Nothing is created and nothing is changed, not even SQLite's shared memory file. What is there decides how it is
opened (measured on SQLite 3.40):

- `-wal` and `-shm`: a daemon runs or was killed. `readonly_shm` reads what is committed; where nobody keeps the
  shared memory any more, SQLite makes its own in the heap.
- `-wal` alone, as in a copy: the index to it has to be made somewhere, so both are copied to a temporary directory.
- neither: it was stopped and all is in the one file, which `immutable` reads without looking for others. Any other
  way would leave an empty `-wal` behind.
"""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from machines.ids import EventId, RoomId
from machines.room import Room
from machines.turn import Turn
from store import rows, units
from store.database import migrate, migrations, translated
from store.errors import DatabaseAbsent, DatabaseUnusable, UnitRefused
from store.queries import SQL
from store.records import BotRow, Transition

T = TypeVar("T")
_TRIES = 5
_BUSY_TIMEOUT_S = 5.0
_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Something that was not dealt with and stopped nothing (contract D9); `kind` is what it was."""

    fate: Literal["set_aside", "refused", "quarantined"]
    kind: str
    event_id: EventId | None
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class RoomSight:
    """All that is stored of one room.

    `given_up` and `transitions` are the last ones, newest last; `reply_events` is what the turn in hand has
    sent; `report` is that of the newest transition that has one.
    """

    room: Room
    turn: Turn | None
    reply_events: tuple[EventId, ...]
    inbox_pending: int
    outbox_pending: int
    given_up: tuple[GivenUp, ...]
    given_up_total: int
    transitions: tuple[Transition, ...]
    report: Any


@dataclass(frozen=True, slots=True)
class BotSight:
    """The bot's own row, with totals; `given_up` is what belongs to no room."""

    bot: BotRow
    rooms: int
    users: int
    inbox_pending: int
    outbox_pending: int
    turns: int
    given_up: tuple[GivenUp, ...]
    given_up_total: int
    transitions: tuple[Transition, ...]


def read(path: Path, function: Callable[[sqlite3.Connection], T]) -> T:
    """Call `function` on one consistent state of the database at `path`, and return what it returns.

    It may be called again when a daemon starts or stops meanwhile, so it should only read.

    Raises:
        DatabaseAbsent: there is no such file.
        DatabaseUnusable: it can't be read, is no database of ours, or is of a later version.
    """
    for attempt in range(1, _TRIES + 1):
        before = _traces(path)
        try:
            _check(path)
            with _opened(path, before) as raw, _current(raw) as current:
                result = translated(function, current)
        except (DatabaseUnusable, UnitRefused, OSError, sqlite3.Error) as error:
            if attempt < _TRIES and _traces(path) != before:
                continue
            raise _told(error) from error
        # An immutable file must not have come alive meanwhile; the others keep their own order.
        if attempt == _TRIES or before.kind != "stopped" or _traces(path) == before:
            return result
    raise AssertionError("every way out is above")


def look_at_room(raw: sqlite3.Connection, room_id: RoomId, last: int) -> RoomSight | None:
    """Return what is stored of a room with its `last` transitions, `None` when nothing is."""
    if room_id not in seen_rooms(raw):
        return None
    return _room_sight(raw, room_id, last, _given_up(raw, room_id).get(room_id, []))


def look_at_rooms(raw: sqlite3.Connection, last: int) -> tuple[RoomSight, ...]:
    """Return all rooms, in the order of their ids."""
    given_up = _given_up(raw, None)
    return tuple(
        _room_sight(raw, room_id, last, given_up.get(room_id, [])) for room_id in seen_rooms(raw)
    )


def seen_rooms(raw: sqlite3.Connection) -> tuple[RoomId, ...]:
    """Return the ids of all rooms that have a row, or something waiting to be looked at."""
    return tuple(RoomId(row[0]) for row in raw.execute(SQL["seen_rooms"]))


def look_at_bot(raw: sqlite3.Connection, last: int) -> BotSight:
    """Return the bot's own state with its `last` transitions."""
    totals = raw.execute(SQL["totals"]).fetchone()
    elsewhere = [
        item
        for place, items in _given_up(raw, None).items()
        for item in items
        if not place.startswith("!")
    ]
    return BotSight(
        bot=units.bot(raw),
        rooms=totals["rooms"],
        users=totals["users"],
        inbox_pending=totals["inbox_pending"],
        outbox_pending=totals["outbox_pending"],
        turns=totals["turns"],
        given_up=tuple(elsewhere[-last:]),
        given_up_total=len(elsewhere),
        transitions=_transitions(raw, "bot", last),
    )


# -- reading ---------------------------------------------------------------------------------------


def _room_sight(
    raw: sqlite3.Connection, room_id: RoomId, last: int, given_up: list[GivenUp]
) -> RoomSight:
    key = {"room_id": room_id}
    row = raw.execute(SQL["room"], key).fetchone()
    room = rows.room_of(row) if row is not None else _unvisited(raw, room_id)
    turn = rows.turn_of(raw, room_id)
    parts = turn.reply.parts if turn is not None else ()
    sent = (raw.execute(SQL["sent_event"], {"txn_id": part.txn_id}).fetchone() for part in parts)
    report = raw.execute(SQL["last_report"], {"subject": room_id}).fetchone()
    return RoomSight(
        room=room,
        turn=turn,
        reply_events=tuple(EventId(row["event_id"]) for row in sent if row and row["event_id"]),
        inbox_pending=raw.execute(SQL["count_waiting_inbox"], key).fetchone()[0],
        outbox_pending=raw.execute(SQL["count_waiting_outbox"], key).fetchone()[0],
        given_up=tuple(given_up[-last:]),
        given_up_total=len(given_up),
        transitions=_transitions(raw, room_id, last),
        report=json.loads(report["report"]) if report is not None else None,
    )


def _unvisited(raw: sqlite3.Connection, room_id: RoomId) -> Room:
    """Something came from this room, and nobody has looked at it yet."""
    (at,) = raw.execute(SQL["first_received"], {"room_id": room_id}).fetchone()
    return replace(Room(room_id), since=at or 0.0)


def _transitions(raw: sqlite3.Connection, subject: str, last: int) -> tuple[Transition, ...]:
    found = raw.execute(SQL["last_transitions"], {"subject": subject, "last": last}).fetchall()
    return tuple(
        Transition(
            subject=row["subject"],
            at=row["at"],
            event=row["event"],
            source=row["source"],
            target=row["target"],
            reason=row["reason"],
            report=json.loads(row["report"]) if row["report"] is not None else None,
        )
        for row in reversed(found)
    )


def _given_up(raw: sqlite3.Connection, place: str | None) -> dict[str, list[GivenUp]]:
    """Return what was given up, by room (or user, or `""` for neither), oldest first."""
    found: dict[str, list[GivenUp]] = {}
    for row in raw.execute(SQL["given_up"], {"place": place}):
        event_id = EventId(row["event_id"]) if row["event_id"] else None
        item = GivenUp(row["fate"], row["kind"], event_id, row["reason"], row["at"])
        found.setdefault(row["place"], []).append(item)
    return found


# -- opening ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Traces:
    """Which files there are, and for a stopped daemon's the look of the one that counts."""

    kind: Literal["alive_or_killed", "copied", "stopped"]
    modified_ns: int
    size: int


def _traces(path: Path) -> _Traces:
    try:
        found = path.stat()
    except OSError:
        return _Traces("stopped", 0, 0)
    if not _beside(path, "-wal").exists():
        return _Traces("stopped", found.st_mtime_ns, found.st_size)
    return _Traces("alive_or_killed" if _beside(path, "-shm").exists() else "copied", 0, 0)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _check(path: Path) -> None:
    """Say plainly what SQLite would put into riddles."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError as error:
        raise DatabaseAbsent(f"there is no database at {path}") from error
    except OSError as error:
        raise DatabaseUnusable(f"{path}: {error.strerror}") from error
    if not start and not _beside(path, "-wal").exists():
        raise DatabaseUnusable(f"{path} is empty: no daemon has written to it yet")
    if start not in (b"", _MAGIC):
        raise DatabaseUnusable(f"{path} is not a SQLite database")


@contextmanager
def _opened(path: Path, traces: _Traces) -> Iterator[sqlite3.Connection]:
    # Resolved, because SQLite looks for the other files beside the real one.
    uri = path.resolve().as_uri()
    with tempfile.TemporaryDirectory(prefix="inspect-") as directory:
        match traces.kind:
            case "alive_or_killed":
                uri += "?mode=ro&readonly_shm=1"
            case "stopped":
                uri += "?mode=ro&immutable=1"
            case "copied":
                copy = Path(directory) / path.name
                for suffix in ("", "-wal"):
                    shutil.copyfile(_beside(path, suffix), _beside(copy, suffix))
                uri = copy.as_uri()
        raw = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
        with closing(raw):
            raw.row_factory = sqlite3.Row
            raw.execute("BEGIN")  # all that is read is of one moment
            yield raw


@contextmanager
def _current(raw: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Yield a connection of the current schema: for an older one a copy in memory, migrated there."""
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        raise DatabaseUnusable("it is not a database of this bot, or no daemon has set it up yet")
    if version >= len(migrations()):
        migrate(raw)  # has nothing to do but to refuse a later version
        yield raw
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        copy.row_factory = sqlite3.Row
        raw.backup(copy)
        migrate(copy)
        yield copy


def _told(error: Exception) -> DatabaseUnusable | DatabaseAbsent:
    if isinstance(error, DatabaseUnusable | DatabaseAbsent):
        return error
    return DatabaseUnusable(str(error))
