"""`surfaces-bot run` with an agent that needs no time; everything else is unchanged."""

import os
from contextlib import nullcontext
from unittest.mock import patch

from cli.app import run
from tests.bench.doubles import InstantPlatform

MUTE_CONTEXT = "BENCH_MUTE_CONTEXT"
"""The variable with the `platform_chat_id` in which the agent never answers."""

if __name__ == "__main__":
    platform = InstantPlatform(os.environ.get(MUTE_CONTEXT, ""))
    with patch("cli.run.open_platform", lambda _settings, _registry: nullcontext(platform)):
        run()
