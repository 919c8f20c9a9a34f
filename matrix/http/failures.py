"""Describes failed requests for the operator: what happened, and what to correct (contract L12).

The text of an aiohttp error may quote the request, so only texts of the operating system and of OpenSSL are used.
"""

import ssl

import aiohttp

_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


def no_connection(error: aiohttp.ClientConnectorError, *, tls: bool) -> str:
    """Return why no connection was opened; with `tls` the URL is an `https` one."""
    where, cause = f"{error.host}:{error.port}", error.os_error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} can't be resolved ({_text(cause)})"
    if isinstance(cause, ConnectionRefusedError):
        return f"connection refused: nothing listens at {where}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the TLS certificate of {where} is not accepted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
        return f"the server does not speak TLS on this port ({where}){_PLAIN}"
    if isinstance(cause, ssl.SSLError):
        return f"no TLS connection to {where} ({cause.reason or _text(cause)})"
    if tls and isinstance(cause, ConnectionResetError):
        return f"{where} closed the connection during the TLS handshake{_PERHAPS_PLAIN}"
    return f"no connection to {where} ({_text(cause)})"


def no_connection_in_time(seconds: float, *, tls: bool) -> str:
    """Return that no connection was opened within the limit."""
    return f"no connection within {seconds:g} s{_PERHAPS_PLAIN if tls else ''}"


def broken(error: aiohttp.ClientError | OSError, *, tls: bool) -> str:
    """Return why an open connection gave no response."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return f"the server closed the connection without an answer{'' if tls else _PERHAPS_TLS}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the server does not answer in HTTP{'' if tls else _PERHAPS_TLS}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer was cut off"
    return f"the connection broke ({_text(error)})"


def _text(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or type(error).__name__


_PLAIN = "; if that is right, MATRIX_HOMESERVER must begin with http://"
_PERHAPS_PLAIN = "; if this port does not speak TLS, MATRIX_HOMESERVER must begin with http://"
_PERHAPS_TLS = "; if this port speaks TLS, MATRIX_HOMESERVER must begin with https://"
