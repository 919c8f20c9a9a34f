"""`surfaces-bot inspect-room`: shows what the database has about one room, or about all (contract section 11).

It only reads; the daemon may be running, stopped or killed (`store.readonly`).
"""

import json
from pathlib import Path
from typing import Any

from cli.diagram import DiagramFormat, draw
from cli.errors import CommandFailed, ExitCode
from cli.find_room import find_room, rooms_of
from cli.inspect_json import bot_object, room_object
from cli.inspect_text import Page
from cli.settings import LocalPaths
from cli.terminal import closed_stdout_allowed, replace_unencodable
from machines.ids import RoomId
from store.errors import DatabaseAbsent, DatabaseUnusable
from store.inspection import bot_snapshot, room_labels, room_snapshot, room_snapshots
from store.lock import is_held
from store.readonly import read

TRANSITIONS_IN_TEXT = 12
TRANSITIONS_IN_JSON = 100


def inspect_room(
    room: str | None,
    *,
    user: str | None,
    as_json: bool,
    diagram: DiagramFormat | None,
    server: bool,
    last: int | None,
) -> None:
    """Print one room, or the bot and all rooms; `user` limits both to the rooms of an owner.

    Raises:
        CommandFailed: there is no such room or database, or several rooms are meant (2); the database can't be read
            (4); or the homeserver can't be asked (1, 2, 3).
    """
    paths = LocalPaths()
    path = paths.matrix_db_path
    replace_unencodable()
    last = last or (TRANSITIONS_IN_JSON if as_json else TRANSITIONS_IN_TEXT)
    if room is None and (diagram is not None or server):
        raise CommandFailed(
            ExitCode.USAGE,
            f"{'--diagram' if diagram is not None else '--server'} is about one room: name it,"
            " as in `surfaces-bot inspect-room ROOM_ID`",
        )
    try:
        with closed_stdout_allowed():
            if room is None:
                _show_all(path, user, as_json, last)
            else:
                room_id = _find(paths, room, user)
                _show_one(paths, room_id, as_json, diagram, server, last)
    except DatabaseAbsent as error:
        raise CommandFailed(
            ExitCode.USAGE,
            f"MATRIX_DB_PATH: {error}; set it to the daemon's database, or start the daemon once",
        ) from error
    except DatabaseUnusable as error:
        raise CommandFailed(
            ExitCode.DATABASE,
            f"the database {path} can't be read: {error}; correct its permissions, or, if it is damaged,"
            " stop the daemon and move the file away: it is rebuilt from the homeserver",
        ) from error


def _show_one(
    paths: LocalPaths,
    room_id: RoomId,
    as_json: bool,
    diagram: DiagramFormat | None,
    server: bool,
    last: int,
) -> None:
    path = paths.matrix_db_path
    snapshot = read(path, lambda raw: room_snapshot(raw, room_id, last))
    if snapshot is None:
        raise CommandFailed(ExitCode.USAGE, f"the room {room_id} is not in the database any more")
    drawing = draw(diagram, snapshot.room.state) if diagram is not None else None
    comparison = None
    if server:
        # Imported here, because a Matrix library takes long to load.
        from cli.inspect_server import compare_with_server

        comparison = compare_with_server(paths.matrix_store_path, snapshot.room)
    if as_json:
        value = room_object(snapshot)
        if drawing is not None:
            value["diagram"] = drawing
        if comparison is not None:
            value["server"] = comparison.as_object()
        _print_json(value)
    elif drawing is not None:
        print(drawing, end="")
    else:
        page = Page()
        page.room(snapshot, running=is_held(path))
        if comparison is not None:
            page.server(comparison)


def _find(paths: LocalPaths, text: str, user: str | None) -> RoomId:
    def resolve_alias(alias: str) -> RoomId:
        # Imported here, because a Matrix library takes long to load.
        from cli.inspect_server import resolve_alias

        return resolve_alias(paths.matrix_store_path, alias)

    return find_room(text, user, read(paths.matrix_db_path, room_labels), resolve_alias)


def _show_all(path: Path, user: str | None, as_json: bool, last: int) -> None:
    bot, rooms, labels = read(
        path, lambda raw: (bot_snapshot(raw, last), room_snapshots(raw, last), room_labels(raw))
    )
    if user is not None:
        own = {label.room_id for label in rooms_of(user, labels)}
        rooms = tuple(snapshot for snapshot in rooms if snapshot.room.room_id in own)
    running = is_held(path)
    if as_json:
        _print_json(
            {
                "bot": bot_object(bot, running),
                "rooms": [room_object(snapshot) for snapshot in rooms],
            }
        )
    else:
        Page().rooms(bot, rooms, running)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
