"""A broken server that answers every sync at once is asked at most once a second."""

from itertools import pairwise

import anyio
import pytest

from machines.ids import SyncToken, UserId
from matrix import Account, MatrixClient
from tests.matrix.fake_backend import FakeBackend, json_response
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio


class ClientFixture:
    """A client whose backend gives the same answer to every sync."""

    def __init__(self, path, sync_answer):
        self.clock = VirtualClock()
        self.changes: list[bool] = []
        self.backend = FakeBackend(self.clock, self.respond)
        self.sync_answer = sync_answer
        account = Account("http://nowhere", UserId("@bot:localhost"), path)
        self.client = MatrixClient(
            account,
            on_change=lambda up, *_: self.changes.append(up),
            clock=self.clock,
            backend=self.backend,
            jitter=lambda: 0.0,
        )

    def respond(self, request):
        return json_response(self.sync_answer if request.path.endswith("/sync") else {})

    async def minute_of_syncs(self):
        """Sync as the bot does, for a minute; return the last token."""
        token = SyncToken("s1")
        async with self.clock.running(), anyio.create_task_group() as group:
            group.start_soon(self._end_after_a_minute, group.cancel_scope)
            while True:
                token = (await self.client.sync(token)).token
        return token

    async def _end_after_a_minute(self, scope):
        await self.clock.sleep(60)
        scope.cancel()


@pytest.mark.parametrize("body", [{}, [], {"next_batch": 7}, {"next_batch": ""}, {"rooms": {}}])
async def test_an_answer_without_a_token_is_an_outage(tmp_path, body):
    fixture = ClientFixture(tmp_path, body)
    await fixture.minute_of_syncs()
    times = fixture.backend.times()
    assert 2 < len(times) <= 90
    assert all(later - one >= 0.999 for one, later in pairwise(fixture.backend.times("/sync")))


async def test_an_immediate_answer_with_the_same_token_is_requested_once_a_second(tmp_path):
    fixture = ClientFixture(tmp_path, {"next_batch": "s1"})
    assert await fixture.minute_of_syncs() == "s1"
    times = fixture.backend.times("/sync")
    assert 50 <= len(times) <= 61
    assert fixture.changes == []
