"""One JSON request to a homeserver; an error has the request and the reason."""

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from sandbox.errors import MatrixRefused

JsonObject = dict[str, Any]


async def request_json(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    body: Mapping[str, Any] | None = None,
    *,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Any:
    """Send `body` as JSON and return the JSON answer.

    Raises:
        MatrixRefused: the answer is not a success.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with session.request(
        method, url, json=body, params=params, headers=headers, timeout=timeout
    ) as response:
        if response.ok:
            return await response.json(content_type=None)
        answer = await _error_of(response)
        raise MatrixRefused(
            f"{method} {response.url.path}",
            response.status,
            answer.get("errcode", ""),
            answer.get("error", ""),
            answer.get("retry_after_ms"),
        )


async def _error_of(response: aiohttp.ClientResponse) -> JsonObject:
    text = await response.text(errors="replace")
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"error": text[:200]}
