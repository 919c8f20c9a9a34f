"""Log lines for a terminal: local time, the level if it matters, a sentence, and the remaining fields (contract L12).

The name of the event stands in brackets at the end of a line, to be found in docs/operating.md. `bot_live` becomes
several lines. Values come escaped and without secrets from the processors of `cli.logs`.
"""

import json
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from cli.terminal import counted

_Fields = MutableMapping[str, Any]

_COLOURS = {"debug": "2", "warning": "33", "error": "31"}
_DIM = "2"
MAX_AGENTS = 10
"""Maximum number of agents that the lines of `bot_live` name."""


class ConsoleRenderer:
    """The last processor of structlog where lines are read by people."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: object, _method: str, event: Mapping[str, Any]) -> str:
        """Return the text of one event: one line, and several for `bot_live`."""
        fields = dict(event)
        name, level = str(fields.pop("event")), str(fields.pop("level", "info"))
        time = str(fields.pop("timestamp", ""))
        head = time if level == "info" else f"{time} {self._paint(level.upper(), _COLOURS[level])}"
        sentence, *more = _lines(name, fields)
        rest = "".join(f"  {key}={_shown(value)}" for key, value in fields.items())
        first = f"{head} {sentence}{self._paint(f'{rest}  [{name}]', _DIM)}"
        return "\n".join((first, *(f"{head}   {line}" for line in more)))

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


def _shown(value: object) -> str:
    if isinstance(value, str) and value and not any(map(str.isspace, value)):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _lines(name: str, fields: _Fields) -> list[str]:
    """Return the sentence of an event, and further lines; the fields that they show are removed."""
    if name == "bot_live":
        return _bot_live(fields)
    if name in SENTENCES:
        known = _Known(fields)
        sentence = SENTENCES[name](known)
        for field in known.used:
            fields.pop(field, None)
        return [sentence]
    reason = f": {fields.pop('reason')}" if "reason" in fields else ""
    return [f"{name.replace('_', ' ')}{reason}"]


class _Known:
    """The fields of an event; remembers which of them a sentence shows."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.used.add(name)
        return self._fields.get(name, "?")

    def after(self, separator: str, name: str) -> str:
        """Return the field behind a separator, or nothing if it is absent or empty."""
        self.used.add(name)
        value = self._fields.get(name)
        return f"{separator}{value}" if value else ""

    def hide(self, name: str) -> None:
        """Leave out a field."""
        self.used.add(name)

    def drop_empty(self, *names: str) -> None:
        """Leave out fields that are empty."""
        self.used.update(name for name in names if not self._fields.get(name))


def _bot_live(fields: _Fields) -> list[str]:
    known = {name: fields.pop(name) for name in tuple(fields)}
    agents = known.get("agents") or []
    listed = [f"{each['agent']} at {each['url']}" for each in agents[:MAX_AGENTS]]
    if len(agents) > MAX_AGENTS:
        listed.append(f"and {len(agents) - MAX_AGENTS} more")
    # The mock agent has a line of its own, a warning.
    shown = {
        "version": known.get("version"),
        "account": known.get("account"),
        "homeserver": known.get("homeserver"),
        "agents": ", ".join(listed) if known.get("backend") == "real" else None,
        "may talk": ", ".join(known.get("allowed_users") or []),
        "database": known.get("database"),
        "to begin": known.get("begin"),
    }
    lines = [f"{title + ':':<12}{value}" for title, value in shown.items() if value]
    return [f"live, {counted(known.get('rooms', 0), 'room')}", *lines]


def _reconciled(known: _Known) -> str:
    known.drop_empty("conflicts", "skipped")
    return (
        f"rooms compared with the homeserver in {known['duration_s']} s:"
        f" {counted(known['spaces'], 'Space')}, {counted(known['rooms_recovered'], 'room')} recovered,"
        f" {known['rooms_unchanged']} unchanged, {counted(known['backfilled'], 'binding')} written"
    )


def _agent_down(known: _Known) -> str:
    waiting = counted(known["waiting"], "turn")
    return f"agent {known['agent']} at {known['url']} can't be reached: {known['reason']}; {waiting} waiting"


def _agent_up(known: _Known) -> str:
    where = f"agent {known['agent']} at {known['url']}"
    return f"{where} answers again after {known['outage_s']} s; {counted(known['waiting'], 'turn')} waiting"


def _turn_ended(known: _Known) -> str:
    fault = known.after(": ", "fault")
    return f"turn {known['outcome']} after {known['duration_s']} s, agent {known['agent']}{fault}"


def _not_restored(known: _Known) -> str:
    report = known["report"]
    remarks = report.get("remarks") if isinstance(report, Mapping) else None
    reasons = "; ".join(each["reason"] for each in remarks or [])
    return f"room not restored, its users were told{reasons and ': '}{reasons}"


def _state_changed(known: _Known) -> str:
    # The reason of a failure is the last line on stderr (contract S4), and is shown only once.
    reason = known.after(": ", "reason")
    return f"{known['from']} → {known['to']}{'' if known['to'] == 'failed' else reason}"


def _fatal(known: _Known) -> str:
    known.hide("reason")
    return f"the daemon ends with exit code {known['exit_code']}"


SENTENCES: dict[str, Callable[[_Known], str]] = {
    "agent_reachable": _agent_up,
    "agent_unreachable": _agent_down,
    "bot_state_changed": _state_changed,
    "chat_made": lambda known: (
        f"chat {known['chat_id']} made for {known['matrix_user_id']}, agent {known['agent']}"
    ),
    "env_file_readable": lambda known: f"{known['path']} (mode {known['mode']}): {known['advice']}",
    "fatal": _fatal,
    "homeserver_reachable": lambda known: (
        f"homeserver {known['url']} answers again after {known['outage_s']} s"
    ),
    "homeserver_unreachable": lambda known: (
        f"homeserver {known['url']} can't be reached: {known['reason']}"
    ),
    "invite_accepted": lambda known: f"invitation of {known['sender']} accepted",
    "invite_rejected": lambda known: (
        f"invitation of {known['sender']} rejected{known.after(': ', 'reason')}"
    ),
    "matrix_reconcile_complete": _reconciled,
    "mock_agents_used": lambda known: f"agents: {known['reason']}",
    "order_refused": lambda known: (
        f"the homeserver refuses {known['order']}{known.after(': ', 'reason')}"
    ),
    "registry_refused": lambda known: (
        f"agents file refused, the one in use stays{known.after(': ', 'reason')}"
    ),
    "registry_reloaded": lambda known: f"agents file read again: {', '.join(known['agents'])}",
    "room_recovery_failed": _not_restored,
    "signal_received": lambda known: f"{known['signal']} received",
    "turn_ended": _turn_ended,
}
