from pathlib import Path

import anyio

from actors.ports import AgentPlatform
from agent_platform import MockPlatform, RealPlatform, load_registry, single_agent
from machines.events.agent import AgentEnd, AgentFailure
from tests.agent_platform.support import QUICK, collect, request, said
from tests.support.agent_server import AgentServer

ROOT = Path("/agents")


def test_both_platforms_implement_the_port_of_the_runtime() -> None:
    # The type checker reads this; and both can be created before there is an event loop.
    real = RealPlatform(lambda: single_agent("http://h", ROOT, "Agent"))
    platforms: list[AgentPlatform] = [real, MockPlatform()]
    assert all(callable(platform.ask) for platform in platforms)


async def test_each_agent_is_asked_at_its_own_address_with_its_own_token(tmp_path):
    async with AgentServer() as one, AgentServer() as two:
        file = tmp_path / "agents.yaml"
        file.write_text(
            "agents:\n"
            f"  - {{id: a1, label: One, base_url: '{one.url}', token_env: T1}}\n"
            f"  - {{id: a2, label: Two, base_url: '{two.url}'}}\n"
        )
        registry = load_registry(
            file, base_url=None, workspace_dir=ROOT, environ={"T1": "token-of-one"}
        )
        async with RealPlatform(lambda: registry, timings=QUICK) as platform:
            for agent_id in ("a1", "a2"):
                frames = await collect(platform.ask(request(f"to {agent_id}", agent_id=agent_id)))
                assert said(frames) == f"echo: to {agent_id}"
        [first], [second] = one.requests, two.requests
    assert (first.text, first.headers["authorization"]) == ("to a1", "Bearer token-of-one")
    assert second.text == "to a2"
    assert "authorization" not in second.headers


async def test_a_reload_applies_from_the_next_request_on():
    async with AgentServer() as old, AgentServer() as new:
        current = single_agent(old.url, ROOT, "Agent")
        async with RealPlatform(lambda: current, timings=QUICK) as platform:
            await collect(platform.ask(request("first")))
            current = single_agent(new.url, ROOT, "Agent")
            await collect(platform.ask(request("second")))
        assert [got.text for got in old.requests] == ["first"]
        assert [got.text for got in new.requests] == ["second"]


async def test_an_agent_that_is_gone_is_unreachable(tmp_path):
    file = tmp_path / "agents.yaml"
    file.write_text("agents: [{id: b, label: B, base_url: 'http://h'}]")
    registry = load_registry(file, base_url=None, workspace_dir=ROOT, environ={})
    async with RealPlatform(lambda: registry) as platform:
        frames = await collect(platform.ask(request()))
    assert frames == [AgentFailure("unreachable", "there is no agent 'a1'")]


async def test_closing_the_platforms_generator_disconnects():
    async with AgentServer() as agent:
        agent.hold()
        registry = single_agent(agent.url, ROOT, "Agent")
        async with RealPlatform(lambda: registry, timings=QUICK) as platform:
            frames = platform.ask(request())
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anext, frames)
                await agent.connections_opened(1)
                tasks.cancel_scope.cancel()
            await frames.aclose()
            with anyio.fail_after(5):
                await agent.connections[0].closed.wait()
            agent.release()
            assert (await collect(platform.ask(request())))[-1] == AgentEnd(2)
