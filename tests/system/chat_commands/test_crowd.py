"""Two users, three agents, twelve chats at once: every frame belongs to its chat (contracts A3, A5, D11)."""

import itertools
import random
from collections import defaultdict
from dataclasses import dataclass

import anyio
import pytest

from tests.system.chat_commands.agents_fixture import NAMES, AgentsFixture, open_servers
from tests.system.chat_commands.localized_user import one_answer_each, open_chat
from tests.system.recovery.bot_internals import BotInternals
from tests.system.users import OnboardedUser, onboard, text_of

pytestmark = pytest.mark.anyio

CHATS_EACH = 6
ROUND = 3


@dataclass(frozen=True)
class Chat:
    """One chat, its owner, and the agent to which it was bound when it was created."""

    onboarded: OnboardedUser
    room: str
    agent: str


class Crowd:
    """All chats and their messages. Every text names its chat, so that an agent's frames do too."""

    def __init__(self, agents, chats):
        self.agents = agents
        self.chats = chats
        self.silent = set()
        self._numbers = itertools.count(1)
        self._order = random.Random(5)

    async def send_messages(self):
        """Let all users write in every chat, interleaved; return the messages by chat."""
        asked = defaultdict(list)
        turns = [chat for chat in self.chats for _ in range(ROUND)]
        self._order.shuffle(turns)
        for chat in turns:
            text = f"{chat.onboarded.user.user_id} {chat.room} {next(self._numbers)}"
            asked[chat].append((await chat.onboarded.user.send_text(chat.room, text), text))
        return asked

    async def check_answers(self, asked):
        """Check that each message has one answer, in its room."""
        for chat, messages in asked.items():
            ids = [message_id for message_id, _ in messages]
            answers = await one_answer_each(chat.onboarded.user, chat.room, ids)
            for (_, text), answer in zip(messages, answers, strict=True):
                archived = chat in self.silent
                assert answer.msgtype == ("m.notice" if archived else "m.text")
                assert archived or text_of(answer) == f"echo: {text}"

    def contexts(self):
        """Return the contexts in which an agent got the messages of each chat, in the order of their use.

        Raises:
            AssertionError: an agent got a frame of a chat of another agent.
        """
        used = {chat: [] for chat in self.chats}
        by_room = {chat.room: chat for chat in self.chats}
        for agent, requests in self.agents.requests_by_agent().items():
            for request in requests:
                user, room, _ = request.text.split()
                chat = by_room[room]
                assert (chat.agent, chat.onboarded.user.user_id) == (agent, user)
                if request.chat_id not in used[chat]:
                    used[chat].append(request.chat_id)
        everywhere = [context for contexts in used.values() for context in contexts]
        assert len(everywhere) == len({*everywhere})
        return used


@pytest.fixture
async def crowd(make_bot, make_user, tmp_path):
    file = tmp_path / "agents.yaml"
    async with open_servers() as servers:
        bot = await make_bot(
            MATRIX_AGENT_REGISTRY_PATH=str(file),
            AGENT_BASE_URL="",
            ALPHA_TOKEN="one",
            BETA_TOKEN="two",
        )
        ann, bob = await make_user(), await make_user()
        agents = AgentsFixture(servers, file, bot, {ann.user_id: "alpha", bob.user_id: "beta"})
        agents.write(*servers)
        await bot.daemon.start()
        await bot.daemon.wait_live()
        chats = []
        for user, first in ((ann, "alpha"), (bob, "beta")):
            onboarded = await onboard(user, bot.user_id)
            chats.append(Chat(onboarded, onboarded.chat, first))
            others = itertools.cycle(name for name in NAMES if name != first)
            for name in itertools.islice(others, CHATS_EACH - 1):
                await onboarded.run_command(f"!agent {name}", onboarded.entry)
                chats.append(Chat(onboarded, await open_chat(onboarded, name), name))
        yield Crowd(agents, chats)
        await bot.daemon.kill()


async def test_an_agent_gets_only_frames_of_its_chats(crowd, synapse):
    assert len(crowd.chats) == 2 * CHATS_EACH
    assert {chat.agent for chat in crowd.chats} == {*NAMES}
    await crowd.check_answers(await crowd.send_messages())
    first = crowd.contexts()
    assert [len(contexts) for contexts in first.values()] == [1] * len(crowd.chats)

    # Some are cleared, some archived, and some users select another agent, all at the same time.
    cleared, archived = crowd.chats[::4], crowd.chats[1::4]
    async with anyio.create_task_group() as tasks:
        for chat in cleared:
            tasks.start_soon(chat.onboarded.run_command, "!clear", chat.room)
        for chat in archived:
            tasks.start_soon(chat.onboarded.run_command, "!archive", chat.room)
        for chat in crowd.chats[2::4]:
            tasks.start_soon(chat.onboarded.run_command, "!agent gamma", chat.room)
    crowd.silent |= {*archived}
    await crowd.check_answers(await crowd.send_messages())
    second = crowd.contexts()
    for chat, contexts in second.items():
        assert len(contexts) == (2 if chat in cleared else 1)
        assert contexts[0] == first[chat][0]

    asked = await crowd.send_messages()
    await crowd.agents.bot.daemon.kill()
    await crowd.agents.bot.daemon.start()
    await crowd.agents.bot.daemon.wait_live()
    await crowd.check_answers(asked)
    await crowd.check_answers(await crowd.send_messages())
    assert crowd.contexts() == second

    # The bindings have the same contexts, and the newest contexts have the highest numbers.
    internals = BotInternals(crowd.agents.bot, synapse.url)
    bindings = await internals.bindings(*(chat.room for chat in crowd.chats))
    for chat in crowd.chats:
        binding = bindings[chat.room]
        assert (binding["agent_id"], binding["platform_chat_id"]) == (chat.agent, second[chat][-1])
        assert binding["matrix_user_id"] == chat.onboarded.user.user_id
        assert binding["archived"] == (chat in archived)
    highest = max(int(context) for contexts in first.values() for context in contexts)
    assert all(int(second[chat][-1]) > highest for chat in cleared)
