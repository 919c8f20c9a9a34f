"""A fake account with a list of rooms, for `reset`."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from machines.ids import UserId
from matrix import Account
from matrix.errors import HomeserverUnreachable, RequestRefused

BOT = UserId("@lambda:example.org")


@dataclass
class FakeAccount:
    """Satisfies what `matrix.rooms.leave` needs of a `OneShotClient`; `posts` are the requests that change something.

    A room in `refusing` can't be left; from the room `dies_at` on there is no response.
    """

    joined: dict[str, str] = field(default_factory=dict)
    invited: dict[str, str] = field(default_factory=dict)
    refusing: frozenset[str] = frozenset()
    dies_at: str | None = None
    posts: list[tuple[str, str]] = field(default_factory=list)
    dead: bool = False
    user_id: UserId = BOT

    async def get(
        self, *segments: str, query: Mapping[str, str] | None = None, timeout_s: float = 0.0
    ) -> Any:
        """Return the joined rooms, or the response to a sync."""
        if segments == ("joined_rooms",):
            return {"joined_rooms": list(self.joined)}
        assert segments == ("sync",)
        return {
            "rooms": {
                "join": {
                    room: {"state": {"events": _name(name)}} for room, name in self.joined.items()
                },
                "invite": {
                    room: {"invite_state": {"events": _name(name)}}
                    for room, name in self.invited.items()
                },
            }
        }

    async def post(self, *segments: str, bucket: str) -> Any:
        """Leave or forget a room."""
        _, room, deed = segments
        self.dead = self.dead or room == self.dies_at
        if self.dead:
            raise HomeserverUnreachable("the homeserver does not answer")
        if room in self.refusing:
            raise RequestRefused(403, "M_FORBIDDEN", "you may not")
        self.posts.append((deed, room))
        if deed == "leave":
            self.joined.pop(room, None)
            self.invited.pop(room, None)
        return {}

    def session(self) -> Callable[[Account], AbstractAsyncContextManager["FakeAccount"]]:
        """Return a replacement for `any_session`."""

        @asynccontextmanager
        async def any_session(account: Account) -> AsyncIterator[FakeAccount]:
            assert account.user_id == self.user_id
            yield self

        return any_session


def _name(name: str) -> list[dict[str, Any]]:
    if not name:
        return []
    return [{"type": "m.room.name", "state_key": "", "content": {"name": name}}]
