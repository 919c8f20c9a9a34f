"""Commands beside the daemon, run as an operator runs them: same directory, same environment, other process."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tests.system.users import Bot

Files = dict[str, tuple[int, bytes]]


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as one object."""
        return json.loads(self.out)


async def command(bot: Bot, *arguments: str, stdin: int | None = None, **more: str) -> Result:
    """Run `surfaces-bot` with these arguments; `stdin` is a file to type from, `more` wins over the environment."""
    done = await anyio.run_process(
        [sys.executable, "-m", "cli", *arguments],
        check=False,
        cwd=bot.daemon.directory,
        env={"PATH": os.environ["PATH"]} | bot.daemon.environment | more,
        stdin=stdin,
    )
    result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.err
    return result


@contextmanager
def typing(line: str) -> Iterator[int]:
    """A terminal on which this line is typed; yields its file for a command to read from."""
    typist, terminal = os.openpty()
    try:
        os.write(typist, f"{line}\n".encode())
        yield terminal
    finally:
        os.close(typist)
        os.close(terminal)


def files(directory: Path) -> Files:
    """Return the time and the content of every file, to tell whether anything was touched."""
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(directory.rglob("*"))
    }
