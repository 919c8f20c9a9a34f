"""`surfaces-bot run` with one part replaced: the agent needs no time. Everything else is the daemon as it is."""

from contextlib import nullcontext
from unittest.mock import patch

from cli.app import run
from tests.bench.doubles import InstantPlatform

if __name__ == "__main__":
    with patch(
        "cli.run.open_platform", lambda _settings, _registry: nullcontext(InstantPlatform())
    ):
        run()
