"""One request of the client-server API."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

from tests.support.memory_homeserver.rooms import JsonObject, Refused


@dataclass(slots=True)
class Request:
    """One request; `parts` is its path after the API's prefix and version."""

    method: str
    path: str
    parts: list[str]
    query: Mapping[str, str]
    body: JsonObject
    token: str
    user_id: str = ""
    device_id: str = ""

    @classmethod
    def read(
        cls, method: str, path: str, query: Mapping[str, str], body: bytes | None, token: str
    ) -> Self:
        """Read a request; an empty body is an empty object.

        Raises:
            Refused: the body is no JSON object.
        """
        try:
            content = json.loads(body or b"{}")
        except ValueError as error:
            raise Refused(400, "M_NOT_JSON", "Content not JSON.") from error
        if not isinstance(content, dict):
            raise Refused(400, "M_BAD_JSON", "Content must be a JSON object.")
        return cls(method, path, path_parts(path), query, content, token)

    def unrecognized(self) -> Refused:
        """Return the error for a request without an endpoint."""
        return Refused(404, "M_UNRECOGNIZED", f"Unrecognized request {self.method} {self.path}")


def path_parts(path: str) -> list[str]:
    """Return the decoded parts of a path after the API's prefix and version."""
    parts = [unquote(part) if "%" in part else part for part in path.split("/")[1:]]
    if parts[:2] != ["_matrix", "client"]:
        return parts
    return parts[2:] if parts[2:] == ["versions"] else parts[3:]
