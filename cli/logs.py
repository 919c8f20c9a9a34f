"""Structured logs on stderr (contract E9).

A line has `event`, `level`, `timestamp` and the event's own fields. Nobody who logs puts a token, a password or the
body of a message into a field; the last processor makes sure of the secrets that this process knows.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Literal

import structlog

from cli.terminal import printable

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_HIDDEN = "[hidden]"
_OUR_WORDS = frozenset({"event", "level", "timestamp", "from", "to"})
_LONG_CHARS = 8
"""A secret of so many characters stands in no line by chance."""


def set_up_logs(
    format_: Literal["json", "console"] | None, level: str, secrets: Iterable[str] = ()
) -> None:
    """Configure structlog; `format_` `None` means console on a terminal and JSON elsewhere."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    if format_ is None:
        format_ = "console" if on_terminal else "json"
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if format_ == "json"
        else structlog.dev.ConsoleRenderer(colors=on_terminal)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide(secrets),
            escape_controls,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )
    # Libraries log bodies and tokens (nio does); what they have to say reaches us as errors.
    logging.getLogger().handlers = [logging.NullHandler()]


class _Lines:
    """Writes lines to stderr as long as somebody takes them.

    A reader that went away, or a full disk behind a redirected stderr, costs the lines and not the daemon.
    """

    def msg(self, line: str) -> None:
        """Write one line."""
        if sys.stderr is not None:
            with suppress(OSError):
                print(line, file=sys.stderr, flush=True)

    debug = info = warning = error = msg


_Processor = Callable[[Any, str, MutableMapping[str, Any]], Mapping[str, Any]]


def hide(secrets: Iterable[str]) -> _Processor:
    """Return a processor that blanks the given secrets wherever they stand.

    A short one is blanked as a word of its own, and not in the program's own words: where the password
    is `bot`, a line must go on saying `bot_live`.
    """
    known = sorted(filter(None, secrets), key=len, reverse=True)
    long = [re.compile(re.escape(secret)) for secret in known if len(secret) >= _LONG_CHARS]
    short = [
        re.compile(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])")
        for secret in known
        if len(secret) < _LONG_CHARS
    ]

    def processor(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        fields = _walk_all(event, lambda text: _blank(text, long))
        return {
            key: value if key in _OUR_WORDS else _walk(value, lambda text: _blank(text, short))
            for key, value in fields.items()
        }

    return processor


def escape_controls(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Escape control characters: a name from outside can't move a terminal's cursor or fake a line."""
    return _walk_all(event, printable)


def _blank(text: str, secrets: Iterable[re.Pattern[str]]) -> str:
    for secret in secrets:
        text = secret.sub(_HIDDEN, text)
    return text


def _walk_all(fields: Mapping[Any, Any], change: Callable[[str], str]) -> dict[str, Any]:
    return {change(str(key)): _walk(value, change) for key, value in fields.items()}


def _walk(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return _walk_all(value, change)
    if isinstance(value, list | tuple):
        return [_walk(each, change) for each in value]
    if isinstance(value, int | float | bool) or value is None:
        return value
    return change(str(value))
