"""Structured logs on stderr (contract E9).

A JSON line has `event`, `level`, `timestamp` and the event's own fields; `log_console` renders lines for people.
No caller logs a token, a password or the body of a message; in addition, a processor hides the secrets that this
process knows.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import structlog

from cli.log_console import ConsoleRenderer
from cli.log_limits import LogLimiter
from cli.terminal import escape_controls

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_HIDDEN = "[hidden]"
_OWN_FIELDS = frozenset({"event", "level", "timestamp", "from", "to", "outcome"})
_LONG_CHARS = 8
"""A secret of this length does not appear in a line by coincidence."""

_Processor = Callable[[Any, str, MutableMapping[str, Any]], Mapping[str, Any]]


def silence_logs() -> None:
    """Write no log: a command other than the daemon prints its result, or one line about its failure (contract S4)."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def set_up_logs(
    format_: Literal["json", "console"] | None, level: str, secrets: Iterable[str] = ()
) -> None:
    """Configure structlog; without a format, console on a terminal and JSON elsewhere."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    if format_ is None:
        format_ = "console" if on_terminal else "json"
    time: Any = structlog.processors.TimeStamper(fmt="iso", utc=True)
    renderer: Any = _render_json
    if format_ == "console":
        # In a file the lines may be read on another day, and in another country.
        time_format = "%H:%M:%S" if on_terminal else "%Y-%m-%d %H:%M:%S%z"
        time = structlog.processors.TimeStamper(fmt=time_format, utc=False)
        renderer = ConsoleRenderer(colours=on_terminal and _allows_colours())
    structlog.configure(
        processors=[
            LogLimiter(),
            structlog.processors.add_log_level,
            time,
            _cleaning_processor(secrets),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _StderrLogger(),
        cache_logger_on_first_use=True,
    )
    # Libraries log bodies and tokens (nio does). Their failures are raised as exceptions.
    logging.getLogger().handlers = [logging.NullHandler()]


def _render_json(logger: object, method: str, event: Mapping[str, Any]) -> str | bytes:
    """Return the event as JSON; what every line has comes first."""
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return _to_json(logger, method, {**first, **event})


_to_json = structlog.processors.JSONRenderer(ensure_ascii=False)


def _allows_colours() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _StderrLogger:
    """Writes lines to stderr; with a closed stderr or a full disk the lines are lost and the daemon continues."""

    def msg(self, line: str) -> None:
        """Write one line."""
        if sys.stderr is not None:
            with suppress(OSError):
                print(line, file=sys.stderr, flush=True)

    debug = info = warning = error = msg


def _cleaning_processor(secrets: Iterable[str]) -> _Processor:
    """Return a processor that hides the given secrets and escapes control characters, at any depth.

    An untrusted name can then neither move the cursor nor fake a line. A short secret is hidden only as a whole
    word, and not in the program's own fields: with the password `bot`, the event `bot_live` must stay readable.
    """
    known = sorted(filter(None, secrets), key=len, reverse=True)
    long = [re.escape(secret) for secret in known if len(secret) >= _LONG_CHARS]
    short = [re.escape(secret) for secret in known if len(secret) < _LONG_CHARS]
    anywhere = [_pattern(long)]
    # After the long ones: a short secret directly beside a long one is a word only when that one is hidden.
    everything = [*anywhere, _pattern([rf"(?<![^\W_]){secret}(?![^\W_])" for secret in short])]

    def processor(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {
            _clean(str(key), anywhere): _walk(value, anywhere if key in _OWN_FIELDS else everything)
            for key, value in event.items()
        }

    return processor


def _pattern(alternatives: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(alternatives) or r"(?!)")


def _clean(text: str, secrets: Sequence[re.Pattern[str]]) -> str:
    for pattern in secrets:
        text = pattern.sub(_HIDDEN, text)
    return escape_controls(text)


def _walk(value: Any, secrets: Sequence[re.Pattern[str]]) -> Any:
    if isinstance(value, Mapping):
        return {_clean(str(key), secrets): _walk(each, secrets) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(each, secrets) for each in value]
    if isinstance(value, int | float | bool) or value is None:
        return value
    return _clean(str(value), secrets)
