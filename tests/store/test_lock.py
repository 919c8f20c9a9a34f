"""One daemon for each database: the lock, the test of the lock, and its removal."""

import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from store import DaemonLock, DatabaseLocked, DatabaseUnusable
from store.lock import is_held, lock_path, refuse_if_held


def test_a_second_daemon_is_refused_with_the_process_id_of_the_first(tmp_path: Path) -> None:
    with (
        DaemonLock(tmp_path / "bot.db"),
        pytest.raises(DatabaseLocked, match=str(os.getpid())),
        DaemonLock(tmp_path / "bot.db"),
    ):
        pytest.fail("it got in")


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with DaemonLock(tmp_path / "bot.db"):
            assert is_held(tmp_path / "bot.db")
        assert not is_held(tmp_path / "bot.db")


def test_testing_the_lock_creates_no_file(tmp_path: Path) -> None:
    refuse_if_held(tmp_path / "bot.db")
    assert list(tmp_path.iterdir()) == []


def test_a_test_of_the_lock_gives_the_same_error(tmp_path: Path) -> None:
    with DaemonLock(tmp_path / "bot.db"), pytest.raises(DatabaseLocked, match=str(os.getpid())):
        refuse_if_held(tmp_path / "bot.db")


def test_a_test_of_the_lock_does_not_block_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_path(tmp_path / "bot.db").touch()
    repair_pending = os.open(lock_path(tmp_path / "bot.db"), os.O_RDONLY)
    fcntl.flock(repair_pending, fcntl.LOCK_SH)
    waits: list[float] = []

    def look_away(seconds: float) -> None:
        waits.append(seconds)
        os.close(repair_pending)

    monkeypatch.setattr("store.lock.time.sleep", look_away)
    with DaemonLock(tmp_path / "bot.db"):
        assert len(waits) == 1


def test_a_file_that_is_removed_while_it_is_being_locked_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lock_path(tmp_path / "bot.db")
    path.touch()
    flock = fcntl.flock
    removed: list[Path] = []

    def remove_first(file: int, operation: int) -> None:
        if not removed and os.path.samestat(os.fstat(file), path.stat()):
            path.unlink()
            removed.append(path)
        flock(file, operation)

    monkeypatch.setattr("store.lock.fcntl.flock", remove_first)
    with DaemonLock(tmp_path / "bot.db"):
        assert removed
        assert is_held(tmp_path / "bot.db")


def test_a_removed_lock_leaves_no_file_and_a_free_database(tmp_path: Path) -> None:
    with DaemonLock(tmp_path / "bot.db", writes_pid=False) as held:
        held.remove()
        assert list(tmp_path.iterdir()) == []
    with DaemonLock(tmp_path / "bot.db"):
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    program = (
        "import pathlib, sys, store; lock = store.DaemonLock(pathlib.Path(sys.argv[1]));"
        " lock.__enter__(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DatabaseLocked, match=str(holder.pid)):
            DaemonLock(path).__enter__()
        holder.kill()
        holder.wait()
        with DaemonLock(path):
            assert is_held(path)


@pytest.mark.parametrize("how", ["symbolic link", "hard link", "linked directory"])
def test_a_database_that_is_held_is_held_under_every_name(tmp_path: Path, how: str) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "bot.db"
    other = tmp_path / "other.db"
    with DaemonLock(path):
        if how == "symbolic link":
            other.symlink_to(path)
        elif how == "hard link":
            other.hardlink_to(path)
        else:
            (tmp_path / "link").symlink_to(tmp_path / "data")
            other = tmp_path / "link" / "bot.db"
        assert is_held(other)
        before = {file: file.lstat().st_mtime_ns for file in tmp_path.rglob("*")}
        who = "another daemon" if how == "hard link" else str(os.getpid())
        with pytest.raises(DatabaseLocked, match=who), DaemonLock(other):
            pytest.fail("it got in")
        with pytest.raises(DatabaseLocked), DaemonLock(other, writes_pid=False):
            pytest.fail("it got in")
        left = set(tmp_path.rglob("*")) - set(before)
        assert left == set(), "a daemon that is refused leaves no file behind"


def test_a_store_directory_is_held_for_any_database(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (tmp_path / "link").symlink_to(store)
    with DaemonLock(tmp_path / "one.db", store):
        assert is_held(tmp_path / "two.db", tmp_path / "link")
        for name in (store, tmp_path / "link"):
            with (
                pytest.raises(DatabaseLocked, match="MATRIX_STORE_PATH"),
                DaemonLock(tmp_path / "two.db", name),
            ):
                pytest.fail("it got in")
    assert not is_held(tmp_path / "two.db", store)
    assert list(store.iterdir()) == []
    assert stat.S_IMODE(store.stat().st_mode) == 0o700


def test_a_refused_store_leaves_the_database_free(tmp_path: Path) -> None:
    with DaemonLock(tmp_path / "one.db", tmp_path / "store"):
        with pytest.raises(DatabaseLocked), DaemonLock(tmp_path / "two.db", tmp_path / "store"):
            pytest.fail("it got in")
        with DaemonLock(tmp_path / "two.db", tmp_path / "another"):
            pass


def test_sqlite_works_on_a_database_that_is_held(tmp_path: Path) -> None:
    """The lock on the file itself is of another kind than SQLite's locks, and is released after them."""
    path = tmp_path / "bot.db"
    program = (
        "import sqlite3, sys; raw = sqlite3.connect(sys.argv[1], timeout=0);"
        " raw.execute('INSERT INTO t VALUES (1)'); raw.commit()"
    )
    with DaemonLock(path), closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("CREATE TABLE t (n)")
        raw.execute("BEGIN IMMEDIATE")
        assert is_held(path.with_name("else.db")) is False
        written = subprocess.run([sys.executable, "-c", program, path], capture_output=True)
        assert b"locked" in written.stderr, "SQLite's own lock keeps another writer out"
        raw.execute("COMMIT")
        written = subprocess.run([sys.executable, "-c", program, path], capture_output=True)
        assert written.returncode == 0, written.stderr


def test_if_the_kinds_of_locks_are_not_independent_a_second_hard_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.lock.FLOCK_IS_INDEPENDENT", False)
    path = tmp_path / "bot.db"
    path.touch()
    with DaemonLock(path):
        pass
    (tmp_path / "other.db").hardlink_to(path)
    with pytest.raises(DatabaseLocked, match="hard link"), DaemonLock(path):
        pytest.fail("it got in")


def test_a_foreign_lock_file_is_not_changed(tmp_path: Path) -> None:
    lock_path(tmp_path / "bot.db").write_text("my notes")
    with pytest.raises(DatabaseUnusable, match="not a lock file"), DaemonLock(tmp_path / "bot.db"):
        pytest.fail("it got in")
    assert lock_path(tmp_path / "bot.db").read_text() == "my notes"


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("123")
    lock_path(tmp_path / "bot.db").symlink_to(tmp_path / "notes")
    with pytest.raises(OSError, match="symbolic links"), DaemonLock(tmp_path / "bot.db"):
        pytest.fail("it got in")
    assert (tmp_path / "notes").read_text() == "123"


def test_a_test_of_the_lock_changes_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bot.db")
    assert not is_held(tmp_path / "bot.db", tmp_path / "nowhere")
    assert [file.name for file in tmp_path.iterdir()] == ["bot.db"]
