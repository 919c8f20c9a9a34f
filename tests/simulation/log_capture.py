"""Captures the log of the bot for the checks and the trace."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog


@contextmanager
def structlog_into(receive: Callable[[str, dict[str, Any]], None]) -> Iterator[None]:
    """Pass every log line to `receive` while the block lasts."""
    before = structlog.get_config()

    def catch(logger: Any, method: str, fields: MutableMapping[str, Any]) -> dict[str, Any]:
        receive(fields.pop("event"), dict(fields))
        raise structlog.DropEvent

    structlog.configure(processors=[catch], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
