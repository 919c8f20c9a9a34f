"""Sends one JSON request to a homeserver; an error names the request and the reason."""

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
    """Send `body` as JSON and return the JSON of the response.

    Raises:
        MatrixRefused: the response is an error.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with session.request(
        method, url, json=body, params=params, headers=headers, timeout=timeout
    ) as response:
        if response.ok:
            return await response.json(content_type=None)
        text = await response.text(errors="replace")
        try:
            error = json.loads(text)
        except ValueError:
            error = None
        if not isinstance(error, dict):
            error = {"error": text[:200]}
        raise MatrixRefused(
            f"{method} {response.url.path}",
            response.status,
            error.get("errcode", ""),
            error.get("error", ""),
            error.get("retry_after_ms"),
        )
