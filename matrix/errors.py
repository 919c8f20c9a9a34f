"""What can go wrong between the bot and its homeserver.

`Unreachable`, `RequestRefused` and `Dropped` stay inside this package: the transport retries the first,
the performers turn the second into a `Refused` outcome. What crosses the border is in
`machines.errors`, and the two errors about the kept session, which the operator has to mend.
"""

from typing import Literal

from machines.errors import SurfacesError
from machines.orders import Refused

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
    """Base of what goes wrong inside `matrix`."""


class Unreachable(MatrixError):
    """No answer of a homeserver came back: the network's or the server's fault, worth a retry.

    `connect` means that the request was never sent; after `timeout` and `broken` it may have been
    carried out.
    """

    def __init__(self, kind: Literal["connect", "timeout", "broken"], reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class AnswerTooLong(MatrixError):
    """The homeserver's answer is longer than what may be held; it would be as long the next time."""


class Redirected(Unreachable):
    """The answer sent us elsewhere, where nothing of ours goes: MATRIX_HOMESERVER or a proxy is to be mended (E11)."""

    def __init__(self, target: str) -> None:
        super().__init__("broken", f"it redirects to {target}, which is not followed")


class RequestRefused(MatrixError):
    """The homeserver answered, and will not do it: a 4xx, or a 5xx that only this request gets."""

    def __init__(
        self, status: int, errcode: str, reason: str, *, soft_logout: bool = False
    ) -> None:
        super().__init__(f"{errcode} ({status}): {reason}")
        self.status = status
        self.errcode = errcode
        self.reason = reason
        self.soft_logout = soft_logout


class Dropped(MatrixError):
    """A request that may be left out was left out, because the homeserver is under pressure (D8)."""


class SessionUnusable(SurfacesError):
    """The kept session can't be read (the operator's to mend; exit 2)."""


class SessionAbsent(SurfacesError):
    """There is no kept session where one is needed (the daemon never logged in; exit 2)."""


class HomeserverUnreachable(SurfacesError):
    """A command needs the homeserver now, and it does not answer (exit 1); the daemon would wait."""


class SessionMismatch(SessionUnusable):
    """The kept session belongs to another account, device or homeserver than the configured one."""


def refusal_of(refused: RequestRefused) -> Refused:
    """Say to the runtime what kind of refusal this is."""
    if refused.status >= 500:
        kind: RefusalKind = "unsendable"
    else:
        kind = _KIND_OF_STATUS.get(refused.status) or _KIND_OF_ERRCODE.get(
            refused.errcode, "invalid"
        )
    return Refused(kind=kind, errcode=refused.errcode, reason=refused.reason)
