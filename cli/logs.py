"""Structured logs on stderr (contract E9).

A line has `event`, `level`, `timestamp` and the event's own fields. Nobody who logs puts a token, a password or the
body of a message into a field; the last processor makes sure of the secrets that this process knows.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_HIDDEN = "[hidden]"


def set_up_logs(
    format_: Literal["json", "console"] | None, level: str, secrets: Iterable[str] = ()
) -> None:
    """Configure structlog; `format_` `None` means console on a terminal and JSON elsewhere."""
    if format_ is None:
        format_ = "console" if sys.stderr.isatty() else "json"
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if format_ == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log bodies and tokens (nio does); what they have to say reaches us as errors.
    logging.getLogger().handlers = [logging.NullHandler()]


_Processor = Callable[[Any, str, MutableMapping[str, Any]], Mapping[str, Any]]


def hide(secrets: Iterable[str]) -> _Processor:
    """Return a processor that blanks the given secrets wherever they stand."""
    known = tuple(secret for secret in secrets if secret)

    def processor(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return _walk_all(event, lambda text: _blank(text, known))

    return processor


def escape_controls(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Escape control characters: a name from outside can't move a terminal's cursor or fake a line."""
    return _walk_all(event, _escape)


def _blank(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


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
