"""Errors that cross the borders of the program, each saying who is at fault and who handles it."""


class SurfacesError(Exception):
    """Base of every error this program raises on purpose."""


class CredentialsRefused(SurfacesError):
    """The homeserver refuses the account's credentials (the operator's to mend; exit 3)."""


class LoggedOut(SurfacesError):
    """The access token ended with `soft_logout`: log in again with the same device (contract L10)."""


class TokenUnknown(SurfacesError):
    """The homeserver does not accept our sync token: start again from a full sync."""


class HistoryUnavailable(SurfacesError):
    """The homeserver fails at a room's history, and at nothing else: ask again later."""


class IllegalEvent(SurfacesError):
    """A machine was given an event that its state refuses; nothing was changed (our bug)."""
