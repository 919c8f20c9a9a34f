"""The errors that cross package boundaries."""


class SurfacesError(Exception):
    """Base class of every error that this program raises."""


class CredentialsRefused(SurfacesError):
    """The homeserver rejects the account's credentials: the operator corrects them (exit 3)."""


class LoggedOut(SurfacesError):
    """The access token ended with `soft_logout`: log in again with the same device (contract L10)."""


class TokenUnknown(SurfacesError):
    """The homeserver rejects the sync token: start again with a full sync."""


class HistoryUnavailable(SurfacesError):
    """The homeserver fails to return the history of one room: retry later."""


class IllegalEvent(SurfacesError):
    """A machine refuses an event in its current state; nothing was changed (a bug of this program)."""
