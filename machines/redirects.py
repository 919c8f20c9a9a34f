"""Where a redirect pointed, as a log may show it: redirects are never followed, but named (contract E11)."""

from urllib.parse import quote, urljoin, urlsplit

_LONGEST = 200
_UNREADABLE = "an address that can't be read"


def redirect_target(asked: str, location: str) -> str:
    """Return scheme, host, port and path of `location`, an answer to the URL `asked`.

    User names, passwords and queries are left out, because they may be secrets; what is left is the other side's
    text, so it is one line of ASCII of bounded length.
    """
    try:
        parts = urlsplit(urljoin(asked, location))
        host, port = parts.hostname, parts.port
    except ValueError:
        return _UNREADABLE
    if not host:
        return _UNREADABLE
    # A header is bytes: those that are no UTF-8 have become lone surrogates.
    name = f"[{host}]" if ":" in host else quote(host, errors="replace")
    where = name if port is None else f"{name}:{port}"
    path = quote(parts.path, safe="/%:@!$&()*+,;=~", errors="replace")
    shown = f"{parts.scheme}://{where}{path}"
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
