"""The errors of the sandbox."""


class SandboxError(Exception):
    """Base of all errors that the sandbox raises itself."""


class SynapseFailed(SandboxError):
    """Synapse did not start, or ended by itself; the message has the end of its log."""


class MatrixRefused(SandboxError):
    """The homeserver answered a user's request with an error.

    `status` is the HTTP status, `errcode` the Matrix error code ("" if there was none), `retry_after_ms` the wait that
    a rate limit requires.
    """

    def __init__(
        self,
        request: str,
        status: int,
        errcode: str = "",
        reason: str = "",
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(f"{request}: {status} {errcode} {reason}".rstrip())
        self.status = status
        self.errcode = errcode
        self.reason = reason
        self.retry_after_ms = retry_after_ms


class WaitTimeout(SandboxError, TimeoutError):
    """The expected event did not come in time; the message has the last events."""
