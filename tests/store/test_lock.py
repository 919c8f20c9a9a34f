"""One daemon a database: the lock, looking at it, and taking it away."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from store import DaemonLock, DatabaseLocked
from store.lock import is_held, lock_path, refuse_if_held


def test_a_second_daemon_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
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


def test_looking_makes_no_file(tmp_path: Path) -> None:
    refuse_if_held(tmp_path / "bot.db")
    assert list(tmp_path.iterdir()) == []


def test_who_is_refused_by_looking_is_told_the_same(tmp_path: Path) -> None:
    with DaemonLock(tmp_path / "bot.db"), pytest.raises(DatabaseLocked, match=str(os.getpid())):
        refuse_if_held(tmp_path / "bot.db")


def test_somebody_who_only_looks_does_not_keep_a_daemon_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_path(tmp_path / "bot.db").touch()
    looking = os.open(lock_path(tmp_path / "bot.db"), os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    waits: list[float] = []

    def look_away(seconds: float) -> None:
        waits.append(seconds)
        os.close(looking)

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
        if not removed:
            path.unlink()
            removed.append(path)
        flock(file, operation)

    monkeypatch.setattr("store.lock.fcntl.flock", remove_first)
    with DaemonLock(tmp_path / "bot.db"):
        assert removed
        assert is_held(tmp_path / "bot.db")


def test_a_removed_lock_leaves_no_file_and_a_free_database(tmp_path: Path) -> None:
    with DaemonLock(tmp_path / "bot.db") as held:
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
