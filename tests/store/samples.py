"""Databases as a daemon leaves them: written by the functions of the store, in every state of the files."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machines.events.agent import AgentRequest
from machines.events.matrix import MessageArrived, Quarantined, SyncBatch
from machines.events.orders import SendMessage
from machines.ids import ActorKey, AgentId, EventId, RoomId, SyncToken, TxnId, UserId
from machines.room.binding import Binding
from machines.room.state import Room
from machines.turn.reply import Part, Reply
from machines.turn.state import Turn
from store import writing
from store.database import prepare
from store.queries import SQL
from store.records import OutboxRow, TransitionRecord, UnitOfWork

ANNA = UserId("@anna:example.org")
CHAT = RoomId("!chat:example.org")
SPACE = RoomId("!space:example.org")
QUIET = RoomId("!quiet:example.org")
NOON = 1_769_860_800.0  # 2026-01-31T12:00:00Z


def connect(path: Path) -> sqlite3.Connection:
    """Open a database as the daemon does."""
    return prepare(sqlite3.connect(path, isolation_level=None))


def save(raw: sqlite3.Connection, *units: UnitOfWork, at: float = NOON) -> None:
    """Commit units of work."""
    raw.execute("BEGIN")
    for writes in units:
        writing.save_unit_of_work(raw, writes, at)
    raw.execute("COMMIT")


@contextmanager
def another_process(path: Path, reason: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process open the database and commit `reason` to the WAL; it is killed at the end."""
    here = str(Path(__file__).parents[2])
    program = f"from tests.store.samples import hold; hold({str(path)!r}, {reason!r})"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"committed\n"
            yield process
        finally:
            process.kill()


def hold(path: str, reason: str) -> None:
    """Run in the other process."""
    raw = connect(Path(path))
    save(raw, UnitOfWork(room=chat_room(reason=reason)))
    print("committed", flush=True)
    sys.stdin.read()
    raw.close()


def files(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Return the time and the content of every file, to check that nothing was changed."""
    return {
        str(file.relative_to(directory)): (
            file.lstat().st_mtime_ns,
            file.read_bytes() if file.is_file() else b"",
        )
        for file in sorted(directory.rglob("*"))
    }


CHAT_BINDING = Binding(
    room_type="chat",
    matrix_user_id=ANNA,
    chat_id="C1",
    platform_chat_id="7",
    agent_id=AgentId("default"),
    space_id=SPACE,
)


def chat_room(
    room_id: RoomId = CHAT, name: str = "Chat 1", reason: str = "as it should be"
) -> Room:
    """A chat that is bound since noon."""
    return Room(room_id, "bound", NOON, reason, CHAT_BINDING, name)


def moved(room_id: str, event: str, source: str, target: str, at: float = NOON) -> TransitionRecord:
    """A transition with any reason."""
    return TransitionRecord(room_id, at, event, source, target, f"because of {event}")


def streaming_turn(room_id: RoomId = CHAT) -> Turn:
    """A turn in its second attempt, with one part of its reply in the room."""
    turn_id = EventId("$question")
    return Turn(
        turn_id,
        AgentRequest(AgentId("default"), "7", turn_id, "a question"),
        Reply(room_id, turn_id, parts=(Part(TxnId("$question.1"), 2, 99),)),
        state="streaming",
        attempt=2,
        begun_at=NOON + 1,
        gives_up_at=NOON + 121,
        failure_reason="the agent was busy",
    )


def message(event_id: str, room_id: RoomId = CHAT) -> MessageArrived:
    """A message from the owner."""
    return MessageArrived(room_id, EventId(event_id), ANNA, "a secret of hers", 0)


def order(txn_id: str, room_id: RoomId = CHAT, actor: str | None = None) -> OutboxRow:
    """A message order for a room."""
    send = SendMessage(room_id, "a text")
    return OutboxRow(TxnId(txn_id), room_id, ActorKey(actor or room_id), send, False, 0.0, NOON)


def busy_chat(raw: sqlite3.Connection) -> None:
    """Fill a database with one chat that has rows of every kind, and one quiet entry room."""
    quiet = Binding("entry", ANNA)
    quarantined = Quarantined("timeline", CHAT, EventId("$broken"), "the event has no type")
    homeless = Quarantined("sync", None, None, "the answer has no rooms")
    raw.execute("BEGIN")
    batch = SyncBatch(
        SyncToken("s1"),
        (message("$question"), message("$unreadable"), message("$next"), message("$last")),
        quarantined=(quarantined, homeless),
    )
    rows = writing.save_sync_batch(raw, batch, NOON + 1)
    raw.execute("COMMIT")
    first, unreadable, *_ = (row.seq for row in rows)
    save(
        raw,
        UnitOfWork(
            room=chat_room(),
            turn=streaming_turn(),
            acked=(first,),
            dead_letters=((unreadable, "no key to read it"),),
            orders=(order("$question.1"), order("$question.1.e3"), order("too-long")),
            transitions=(
                moved(CHAT, "room_made", "unregistered", "reconciling", NOON - 1),
                moved(CHAT, "topology_confirmed", "reconciling", "bound"),
            ),
        ),
        UnitOfWork(room=Room(QUIET, "bound", NOON, "it is what it is", quiet, "Hello")),
    )
    finish = {"txn_id": "$question.1", "status": "sent", "event_id": "$reply", "reason": ""}
    raw.execute(SQL["finish_outbox"], finish)
    refusal = {"txn_id": "too-long", "status": "refused", "event_id": None, "reason": "too large"}
    raw.execute(SQL["finish_outbox"], refusal)
