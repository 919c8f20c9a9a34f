"""Gives the bot's account a display name if it has none (contract O1).

The homeserver shows a new name in every room of the account, by an event in each. So it is set at most once in the life
of an account: where there is no name, or only the localpart, which Synapse sets as the name of a new account.
"""

from machines.ids import UserId
from matrix.errors import RequestRefused, Unreachable
from matrix.http.request import Request, client_path
from matrix.http.transport import Transport
from matrix.raw_events import as_dict


async def ensure_display_name(transport: Transport, bot: UserId, name: str) -> None:
    """Set the display name of an account that has none; best effort, and a name that somebody chose stays."""
    try:
        # A profile without a name is a 404; any other refusal leaves it unknown.
        profile = await transport.get("profile", bot, "displayname", absent=(404,))
    except (RequestRefused, Unreachable):
        return
    current = as_dict(profile).get("displayname") or ""
    if current not in ("", bot[1:].partition(":")[0]) or current == name:
        return
    path = client_path("profile", bot, "displayname")
    await transport.best_effort(Request("PUT", path, body={"displayname": name}, bucket="send"))
