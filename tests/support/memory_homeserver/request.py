"""One request of the client-server API, taken apart."""

import json
from dataclasses import dataclass

from tests.support.memory_homeserver.world import JsonObject, Refused


@dataclass(slots=True)
class Request:
    """Who asks for what; `parts` are those of the path that are still to be looked at."""

    method: str
    path: str
    parts: list[str]
    query: dict[str, str]
    body: bytes
    token: str = ""
    user_id: str = ""
    device_id: str = ""

    def json(self) -> JsonObject:
        """Read the body as a JSON object; an empty body is an empty one."""
        try:
            content = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refused(400, "M_NOT_JSON", "Content not JSON.") from error
        if not isinstance(content, dict):
            raise Refused(400, "M_BAD_JSON", "Content must be a JSON object.")
        return content

    def unrecognized(self) -> Refused:
        """Say that there is no such endpoint here."""
        return Refused(404, "M_UNRECOGNIZED", f"Unrecognized request {self.method} {self.path}")
