"""The session's access token: in use, ended softly and waiting for a new login, or ended for good (contract L10)."""

import anyio

from machines.errors import CredentialsRefused, LoggedOut
from matrix.errors import RequestRefused

SESSION_ENDED = frozenset({"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"})
"""The error codes with which the homeserver refuses a token that it does not accept any more."""


class AccessToken:
    """Holds the token; requests wait here while a new login is needed."""

    def __init__(self) -> None:
        self.value: str | None = None
        self._renewed: anyio.Event | None = None
        self.ended = anyio.Event()
        """Set while the session has ended softly."""
        self._refused: CredentialsRefused | None = None

    @property
    def is_usable(self) -> bool:
        """Whether there is a token, and the session has not ended softly."""
        return self.value is not None and self._renewed is None

    def replace(self, token: str) -> None:
        """Use the session's new token; requests that waited for it continue."""
        self.value = token
        self._refused = None
        if self._renewed is not None:
            self._renewed.set()
            self._renewed = None
            self.ended = anyio.Event()

    async def get(self, *, wait: bool) -> str | None:
        """Return the token; while a new login is needed, wait for it, or raise.

        Raises:
            LoggedOut: the session ended softly, and `wait` is false.
            CredentialsRefused: the session ended for good.
        """
        while True:
            if self._refused is not None:
                raise self._refused
            if self._renewed is None:
                return self.value
            if not wait:
                raise LoggedOut("the homeserver ended the session; it allows a new login")
            await self._renewed.wait()

    def end(self, refusal: RequestRefused) -> None:
        """Record the end of the session: softly, or for good."""
        if not refusal.soft_logout:
            self._refused = CredentialsRefused(
                "the homeserver ended this session for good"
                f" ({refusal.errcode}: {refusal.reason}); to log in as a new device,"
                " run `surfaces-bot reset` and start again"
            )
        elif self._renewed is None:
            self._renewed = anyio.Event()
            self.ended.set()
