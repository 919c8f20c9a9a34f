"""Checks an agent's base URL (contracts E5, A2)."""

import json
import re
from urllib.parse import urlsplit

from agent_platform.redaction import may_be_secret

SCHEMES = ("http", "https", "ws", "wss")
_ENDPOINT = re.compile(r"(?:/v1)?/agent_ws(?=/|\Z)")


def base_url_fault(url: str) -> tuple[str, str] | None:
    """Return what was found and what is expected, without possible secrets; None for a usable base URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "a URL that can't be read", _EXPECTED
    if parts.username is not None or parts.password is not None:
        return "a URL with a user name or password", f"{_EXPECTED}; secrets belong in `token_env`"
    usable = parts.scheme in SCHEMES and host and port != 0 and re.fullmatch(r"[!-~]+", url)
    if not usable or parts.query or parts.fragment:
        if may_be_secret(url):
            return "a URL that is not shown, because it may hold a secret", _EXPECTED
        return json.dumps(url, ensure_ascii=False), _EXPECTED
    return None


_EXPECTED = f"a URL such as https://agents.example.org ({', '.join(SCHEMES)}; no query)"


def base_from_ws_url(ws_url: str) -> str:
    """Return the base URL in an `AGENT_WS_URL`: the part before `/agent_ws` or `/v1/agent_ws`.

    The rest of the path, such as a chat id, is dropped, so that chats never share a context (contract A5). A URL
    without a path is a base already.

    Raises:
        ValueError: the path has neither; the message says what was found and expected.
    """
    scheme, mark, rest = ws_url.strip().partition("://")
    # Only the path is searched: the host may be named agent_ws too.
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    path = slash + path
    if found := _ENDPOINT.search(path):
        path = path[: found.start()]
    elif path.strip("/"):
        raise ValueError(
            f"found {json.dumps(ws_url, ensure_ascii=False)}; "
            "expected a URL whose path has /v1/agent_ws/ or /agent_ws/"
        )
    return f"{scheme}{mark}{host}{path.rstrip('/')}"
