"""What the runtime tells the operator: the installation, agents' outages, each failed try (contract L12)."""

import pytest
from structlog.testing import capture_logs

from machines.events.agent import AgentEnd, AgentError, AgentFailure
from machines.events.matrix import Quarantined, SyncBatch
from machines.ids import AgentId, EventId, RoomId, SyncToken
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle

REFUSED = AgentFailure("unreachable", "connection refused")
SECRET = "the agent quotes the message"


class Changes(list):
    """Collects the changes of agents."""

    def __call__(self, agent_id, *, up, reason, waiting, outage_s):
        self.append((agent_id, up, reason, waiting))


@pytest.mark.parametrize("mock", [False, True])
async def test_bot_live_has_the_description_and_the_mock_is_a_warning(
    runtime: RuntimeFixture, mock
):
    runtime.description, runtime.mock_agents = {"version": "1.2"}, mock
    with capture_logs() as logs:
        async with runtime.running():
            pass
    (live,) = [line for line in logs if line["event"] == "bot_live"]
    assert (live["log_level"], live["version"], live["rooms"]) == ("info", "1.2", 0)
    warnings = [line["log_level"] for line in logs if line["event"] == "mock_agents_used"]
    assert warnings == ["warning"] * mock


async def test_an_agents_outage_is_reported_once_with_the_turns_that_wait(runtime: RuntimeFixture):
    rooms = runtime.with_chats(3)
    changes = runtime.on_agent_change = Changes()
    runtime.agents.answer = lambda _: (REFUSED,)
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_sync(*(runtime.message(room, "hello") for room in rooms))
            await settle()
            await runtime.clock.advance(20.0)
            agent = AgentId("default")
            assert changes == [(agent, False, "connection refused", 3)]
            runtime.agents.answer = lambda _: (AgentEnd(1),)
            await runtime.clock.advance(30.0)
            # The first answer is not handled yet when the change is reported.
            assert changes[1:] == [(agent, True, "", 3)]
    tries = [line for line in logs if line["event"] == "agent_call_failed"]
    assert len(tries) == len(runtime.agents.requests) - 3
    assert {line["log_level"] for line in tries} == {"debug"}
    ends = [line["outcome"] for line in logs if line["event"] == "turn_ended"]
    assert ends == ["answered"] * 3


async def test_an_event_in_quarantine_is_named_by_its_id(runtime: RuntimeFixture):
    item = Quarantined("timeline", RoomId("!r:x"), EventId("$poison"), "the body is not text")
    runtime.homeserver.first.append(SyncBatch(SyncToken("s0"), quarantined=(item,)))
    with capture_logs() as logs:
        async with runtime.running():
            pass
    (line,) = [line for line in logs if line["event"] == "event_quarantined"]
    assert (line["log_level"], line["room_id"]) == ("warning", "!r:x")
    assert line["event_id"] == "$poison"


async def test_a_turn_that_has_ended_waits_no_more(runtime: RuntimeFixture):
    first, second = runtime.with_chats(2)
    changes = runtime.on_agent_change = Changes()
    runtime.agents.answer = lambda _: (REFUSED,)
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(first, "hello"))
        await runtime.clock.advance(200.0)
        runtime.agents.answer = lambda _: (AgentEnd(1),)
        runtime.homeserver.next_sync(runtime.message(second, "hello"))
        await runtime.clock.advance(5.0)
    assert [waiting for _, _, _, waiting in changes] == [1, 1]


async def test_a_failed_attempt_has_the_code_of_the_agents_error(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.answer = lambda _: (AgentError("MODEL_OVERLOADED", SECRET),)
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_sync(runtime.message(room, "hello"))
            await settle()
    (line,) = [line for line in logs if line["event"] == "agent_call_failed"]
    assert line["kind"] == "MODEL_OVERLOADED"


async def test_the_details_of_an_agents_error_are_in_no_line(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.answer = lambda _: (AgentError(f"code {SECRET}", SECRET),)
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_sync(runtime.message(room, "hello"))
            await runtime.clock.advance(5.0)
    assert [line["kind"] for line in logs if line["event"] == "agent_call_failed"] == [
        "agent_error"
    ]
    assert SECRET not in str(logs)
