"""Many writers, one commit: shared where units wait together, and no unit pays for another."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.lowlevel
import pytest

from machines.ids import ActorKey
from store import Database, DatabaseUnusable, Journal
from store.errors import UnitRefused
from tests.idle_loop import settle
from tests.store.values import message

T = TypeVar("T")


class GatedRunner:
    """A database that begins no transaction before `open`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._gate = anyio.Event()

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        await self._gate.wait()
        return await self.database.run(function)

    def open(self) -> None:
        self._gate.set()


def put(body: str) -> Callable[[sqlite3.Connection], str]:
    def unit(raw: sqlite3.Connection) -> str:
        raw.execute("INSERT INTO quarantine (source, reason, at) VALUES ('sync', ?, 0)", (body,))
        return f"kept {body}"

    return unit


def break_a_rule(raw: sqlite3.Connection) -> None:
    raw.execute("INSERT INTO quarantine (source, reason, at) VALUES ('sync', 'half', 0)")
    raw.execute("INSERT INTO quarantine (source, reason, at) VALUES ('sync', NULL, 0)")


async def kept(database: Database) -> list[str]:
    return await database.run(
        lambda raw: [row[0] for row in raw.execute("SELECT reason FROM quarantine ORDER BY seq")]
    )


@pytest.fixture
async def statements(database: Database) -> list[str]:
    """What is executed from here on."""
    seen: list[str] = []
    await database.run(lambda raw: raw.set_trace_callback(seen.append))
    return seen


async def test_units_that_wait_together_share_one_commit(database, statements):
    gated = GatedRunner(database)
    journal = Journal(gated)
    results: list[str] = []
    async with anyio.create_task_group() as group:
        for number in range(50):

            async def write(number: int = number) -> None:
                results.append(await journal.write(put(str(number))))

            group.start_soon(write)
        await settle()
        gated.open()
    assert results == [f"kept {number}" for number in range(50)], "in the order of their commits"
    assert statements.count("COMMIT") == 2, "the first alone, the others together"
    assert await kept(database) == [str(number) for number in range(50)]


async def test_a_bad_unit_is_refused_alone_and_the_others_are_kept(database, statements):
    gated = GatedRunner(database)
    journal = Journal(gated)
    outcomes: dict[str, object] = {}

    async def write(name: str, unit: Callable) -> None:
        try:
            outcomes[name] = await journal.write(unit)
        except UnitRefused as error:
            outcomes[name] = error

    async with anyio.create_task_group() as group:
        for name in ("first", "before", "bad", "after"):
            group.start_soon(write, name, break_a_rule if name == "bad" else put(name))
        await settle()
        gated.open()
    assert isinstance(outcomes.pop("bad"), UnitRefused)
    assert outcomes == {name: f"kept {name}" for name in ("first", "before", "after")}
    assert await kept(database) == ["first", "before", "after"], "nor is half of it there"


async def test_when_the_database_is_unusable_everybody_in_the_group_hears_it(database):
    gated = GatedRunner(database)
    journal = Journal(gated)
    await database.run(lambda raw: raw.execute("PRAGMA max_page_count = 1"))
    heard: list[str] = []

    async def write() -> None:
        with pytest.raises(DatabaseUnusable) as error:
            await journal.write(put("x" * 10**6))
        heard.append(str(error.value))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(write)
        await settle()
        gated.open()
    assert len(heard) == 3
    assert all("full" in each for each in heard)


async def test_a_fault_in_a_unit_is_never_taken_for_success_by_another(database):
    gated = GatedRunner(database)
    journal = Journal(gated)
    outcomes: list[object] = []

    def faulty(raw: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    async def write(unit: Callable) -> None:
        try:
            outcomes.append(await journal.write(unit))
        except (ZeroDivisionError, UnitRefused) as error:
            outcomes.append(type(error))

    async with anyio.create_task_group() as group:
        for unit in (put("first"), faulty, put("third")):
            group.start_soon(write, unit)
        await settle()
        gated.open()
    assert outcomes == ["kept first", ZeroDivisionError, UnitRefused]
    assert await kept(database) == ["first"]
    assert await journal.write(put("later")) == "kept later"


@pytest.mark.parametrize("cancelled", ["the one that writes", "one that waits"])
async def test_a_cancelled_writer_loses_nothing(database, cancelled):
    gated = GatedRunner(database)
    journal = Journal(gated)
    scopes = [anyio.CancelScope() for _ in range(3)]
    done: list[int] = []

    async def write(number: int) -> None:
        with scopes[number]:
            await journal.write(put(str(number)))
            await anyio.lowlevel.checkpoint()
            done.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(write, number)
        await settle()
        victim = 0 if cancelled == "the one that writes" else 1
        scopes[victim].cancel()
        await settle()
        gated.open()
    assert done == [number for number in range(3) if number != victim]
    assert await kept(database) == ["0", "1", "2"]
    assert await journal.write(put("later")) == "kept later"


async def test_writers_go_on_in_the_order_of_their_commits(database):
    """A row that is brought to its actor before an older one would make it pass the older one over."""
    gated = GatedRunner(database)
    journal = Journal(gated)
    brought: list[int] = []

    async def write(number: int, follow_up: bool) -> None:
        (row,) = await journal.tell(ActorKey("!chat"), message(number), 1.0)
        brought.append(row.seq)
        if follow_up:
            (row,) = await journal.tell(ActorKey("!chat"), message(100 + number), 1.0)
            brought.append(row.seq)

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(write, number, number % 3 == 0)
            if number == 10:
                await settle()
                gated.open()
            await anyio.lowlevel.checkpoint()
    assert brought == sorted(brought)
    assert len(brought) == 40


async def test_nobody_is_held_up_by_work_that_never_ends(database):
    journal = Journal(database)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:

            async def write_for_ever() -> None:
                while True:
                    await journal.write(put("more"))

            for _ in range(3):
                group.start_soon(write_for_ever)
            await journal.write(put("mine"))
            group.cancel_scope.cancel()
    assert "mine" in await kept(database)
