"""Errors between the bot and its homeserver.

The subclasses of `MatrixError` stay inside this package: the transport retries `Unreachable`, and `rooms.perform` turns
`RequestRefused` into a `Refused` outcome. The others are for the commands of `cli`, as those of `machines.errors` are.
"""

from typing import Literal

from machines.errors import SurfacesError
from machines.events.orders import Refused

RefusalKind = Literal["forbidden", "not_found", "too_large", "unsendable", "encrypted", "invalid"]

_KIND_OF_STATUS: dict[int, RefusalKind] = {
    401: "forbidden",
    403: "forbidden",
    404: "not_found",
    410: "not_found",
    413: "too_large",
}
_KIND_OF_ERRCODE: dict[str, RefusalKind] = {
    "M_FORBIDDEN": "forbidden",
    "M_NOT_FOUND": "not_found",
    "M_TOO_LARGE": "too_large",
}


class MatrixError(SurfacesError):
    """Base of the errors inside `matrix`."""


class Unreachable(MatrixError):
    """No response of a homeserver came back: the fault of the network or the server, to be retried.

    `connect` means that the request was never sent; after `timeout` and `broken` it may have been
    carried out.
    """

    def __init__(self, kind: Literal["connect", "timeout", "broken"], reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class Redirected(Unreachable):
    """The response is a redirect, which is never followed; MATRIX_HOMESERVER or a proxy must be corrected (E11)."""

    def __init__(self, target: str) -> None:
        super().__init__("broken", f"it redirects to {target}, which is not followed")


class RequestRefused(MatrixError):
    """The homeserver refuses the request: a 4xx, or a 5xx that only this request gets."""

    def __init__(
        self, status: int, errcode: str, reason: str, *, soft_logout: bool = False
    ) -> None:
        super().__init__(f"{errcode} ({status}): {reason}")
        self.status = status
        self.errcode = errcode
        self.reason = reason
        self.soft_logout = soft_logout


class ResponseTooLong(RequestRefused):
    """The homeserver's response is longer than the limit; a retry would not help."""

    def __init__(self, reason: str) -> None:
        super().__init__(413, "M_TOO_LARGE", reason)


class Dropped(MatrixError):
    """A droppable request was left out, because the homeserver is under pressure (contract D8)."""


class SessionUnusable(SurfacesError):
    """The stored session can't be read or written (the operator must correct it; exit 2)."""


class SessionAbsent(SurfacesError):
    """A command needs the stored session, and there is none (the daemon never logged in; exit 2)."""


class HomeserverUnreachable(SurfacesError):
    """A command needs the homeserver, which does not answer (exit 1); the daemon would wait."""


class SessionMismatch(SessionUnusable):
    """The stored session belongs to another account, device or homeserver than the configured one."""


def refusal_of(refused: RequestRefused) -> Refused:
    """Return the outcome of an order whose request was refused."""
    if refused.status >= 500:
        kind: RefusalKind = "unsendable"
    else:
        kind = _KIND_OF_STATUS.get(refused.status) or _KIND_OF_ERRCODE.get(
            refused.errcode, "invalid"
        )
    return Refused(kind=kind, errcode=refused.errcode, reason=refused.reason)
