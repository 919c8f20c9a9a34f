"""`surfaces-bot run` with one part replaced: the agent needs no time. Everything else is the daemon as it is."""

import os
from contextlib import nullcontext
from unittest.mock import patch

from cli.app import run
from tests.bench.doubles import InstantPlatform

MUTE_CONTEXT = "BENCH_MUTE_CONTEXT"
"""The variable that names the one `platform_chat_id` in which the agent never answers."""

if __name__ == "__main__":
    platform = InstantPlatform(os.environ.get(MUTE_CONTEXT, ""))
    with patch("cli.run.open_platform", lambda _settings, _registry: nullcontext(platform)):
        run()
