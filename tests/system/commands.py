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
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as JSON."""
        return json.loads(self.out)


async def command(bot: Bot, *arguments: str, stdin: int | None = None, **more: str) -> Result:
    """Run `surfaces-bot` with these arguments; `stdin` is the file of a terminal, `more` overrides the environment."""
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
    """Open a terminal on which this line is typed; yield its file for the standard input of a command."""
    typist, terminal = os.openpty()
    try:
        os.write(typist, f"{line}\n".encode())
        yield terminal
    finally:
        os.close(typist)
        os.close(terminal)


def files(directory: Path) -> Files:
    """Return the modification time and the content of every file, to detect changes."""
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(directory.rglob("*"))
    }
