"""One request as the rest of the package asks for it, and the path it goes to."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from matrix.http.parsing import parse_answer
from matrix.http.rate_limits import LaneName
from matrix.sync.streaming import BodyReader

READ_TIMEOUT_S = 30.0


_ESCAPES = str.maketrans({chr(code): quote(chr(code), safe="") for code in range(128)})


def _escaped(segment: str) -> str:
    # A table does for ids, which come with every message, in a tenth of the time that `quote` takes.
    return segment.translate(_ESCAPES) if segment.isascii() else quote(segment, safe="")


def client_path(*segments: str) -> str:
    """Build a path of the client-server API, each segment percent-encoded."""
    return "/_matrix/client/v3/" + "/".join(map(_escaped, segments))


class Call(Struct, frozen=True):
    """One request as the rest of the package asks for it.

    `again` replaces the query when the request is repeated (a sync that follows an outage must not
    long-poll). `repeatable` is false where a second request does a second thing: then `Unreachable` is
    raised instead. `patient` requests are never given up as poison. `long_poll` requests are broken off
    when the session ends and are the ones to raise `LoggedOut`. `droppable` ones raise `Dropped`
    rather than wait. `anonymous` and `token` bypass the session, for login. `read` makes out of an answer's
    body what is returned, in a thread where the body is large; it raises `Unreachable` when somebody else than
    a homeserver gave it. `stream` makes what reads an answer that is too long to be held, to the same end.
    """

    method: str
    path: str
    query: Mapping[str, str] | None = None
    again: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None
    lane: LaneName = "read"
    timeout_s: float = READ_TIMEOUT_S
    repeatable: bool = True
    patient: bool = False
    long_poll: bool = False
    droppable: bool = False
    anonymous: bool = False
    token: str | None = None
    read: Callable[[bytes], Any] = parse_answer
    stream: Callable[[], BodyReader] | None = None
