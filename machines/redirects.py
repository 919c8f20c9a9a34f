"""Formats the target of a redirect for the log: redirects are reported, never followed (contract E11)."""

from urllib.parse import quote, urljoin, urlsplit

_MAX_LENGTH = 200
_UNREADABLE = "an address that can't be read"


def redirect_target(url: str, location: str) -> str:
    """Return scheme, host, port and path of the `Location` header of a response to `url`.

    User names, passwords and queries are left out, because they may be secrets. The result is one line of ASCII of
    bounded length, because the header is untrusted.
    """
    try:
        parts = urlsplit(urljoin(url, location))
        host, port = parts.hostname, parts.port
    except ValueError:
        return _UNREADABLE
    if not host:
        return _UNREADABLE
    # Bytes of a header that are not UTF-8 have become lone surrogates.
    name = f"[{host}]" if ":" in host else quote(host, errors="replace")
    where = name if port is None else f"{name}:{port}"
    path = quote(parts.path, safe="/%:@!$&()*+,;=~", errors="replace")
    shown = f"{parts.scheme}://{where}{path}"
    return shown if len(shown) <= _MAX_LENGTH else f"{shown[: _MAX_LENGTH - 1]}…"
