"""Runs the command line without a process: arguments in, exit code and two streams out."""

import sys
from dataclasses import dataclass

import pytest

from cli.app import main


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands; the environment and the working directory are the test's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Result:
        """Run `surfaces-bot` with these arguments."""
        self._monkeypatch.setattr(sys, "argv", ["surfaces-bot", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        out, err = self._capsys.readouterr()
        if code:
            assert err.startswith("surfaces-bot: ")
            assert err.count("\n") == 1, "a failure is one line on stderr (contract S4)"
        return Result(code, out, err)
