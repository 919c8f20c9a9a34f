"""A reply whose question is not the last message of the room any more is sent as a reply to it (contract D18)."""

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.system.users import answer_to, onboard, replies

pytestmark = pytest.mark.anyio


class PatientAgent:
    """Answers every message when `go_on` is set."""

    def __init__(self):
        self.go_on = anyio.Event()

    async def __call__(self, request):
        yield Wait(self.go_on)
        yield Text(f"echo: {request.text}")
        yield End()


async def relations(onboarded) -> dict[str | None, object]:
    """Return the relation of the first event of each reply, by the message that it answers."""
    return {
        reply.answers: reply.content.get("m.relates_to")
        for reply in reversed(await replies(onboarded.user, onboarded.chat))
    }


def reply_to(event_id):
    return {"m.in_reply_to": {"event_id": event_id}}


async def test_an_answer_below_its_question_is_no_reply(onboarded):
    for text in ("one", "!help", "two"):
        await onboarded.ask(text)
    assert set((await relations(onboarded)).values()) == {None}


async def test_answers_to_messages_that_waited_are_replies(onboarded, agent):
    agent.script = patient = PatientAgent()
    asked = [await onboarded.user.send_text(onboarded.chat, f"{n}") for n in range(3)]
    command = await onboarded.user.send_text(onboarded.chat, "!skill on nothing")
    patient.go_on.set()
    await answer_to(onboarded.user, onboarded.chat, command)
    last = await onboarded.user.send_text(onboarded.chat, "the last one")
    await answer_to(onboarded.user, onboarded.chat, last)
    expected = {each: reply_to(each) for each in (*asked, command)} | {last: None}
    assert await relations(onboarded) == expected


async def test_quick_messages_are_related_where_the_answer_before_is_between(onboarded):
    """The agent answers at once, so a message may reach the bot just after the answer before it was ordered."""
    user, chat = onboarded.user, onboarded.chat
    asked = [await user.send_text(chat, f"message {number}") for number in range(20)]
    await answer_to(user, chat, asked[-1])
    shown = [each for each in await user.messages(chat) if each.replaces is None]
    ids = [each.event_id for each in shown]
    for index, reply in enumerate(shown):
        if reply.answers not in asked:
            continue
        between = shown[ids.index(reply.answers) + 1 : index]
        if not between:
            assert "m.relates_to" not in reply.content, reply.body
        # A message that arrives while the answer is on its way can't be known.
        elif any(each.answers for each in between):
            assert reply.content.get("m.relates_to") == reply_to(reply.answers), reply.body


async def test_a_command_that_was_answered_in_between_makes_a_reply(onboarded, agent):
    agent.script = patient = PatientAgent()
    asked = await onboarded.user.send_text(onboarded.chat, "take your time")
    helped = await onboarded.ask("!help")
    patient.go_on.set()
    await answer_to(onboarded.user, onboarded.chat, asked)
    assert await relations(onboarded) == {helped.answers: None, asked: reply_to(asked)}


async def test_an_edit_does_not_come_between(onboarded, agent):
    first = await onboarded.user.send_text(onboarded.chat, "one")
    await answer_to(onboarded.user, onboarded.chat, first)
    agent.script = patient = PatientAgent()
    asked = await onboarded.user.send_text(onboarded.chat, "take your time")
    await onboarded.user.edit(onboarded.chat, first, "better")
    # The edit has reached the bot before this message in another room.
    await onboarded.ask("!help", onboarded.entry)
    patient.go_on.set()
    await answer_to(onboarded.user, onboarded.chat, asked)
    assert (await relations(onboarded))[asked] is None


async def test_in_a_thread_the_late_answer_stays_in_the_thread(onboarded, agent):
    root = await onboarded.user.send_text(onboarded.chat, "the root")
    await answer_to(onboarded.user, onboarded.chat, root)
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    agent.script = patient = PatientAgent()
    asked = await onboarded.user.send_text(onboarded.chat, "in the thread", **thread)
    await onboarded.ask("!help")
    patient.go_on.set()
    await answer_to(onboarded.user, onboarded.chat, asked)
    assert (await relations(onboarded))[asked] == {
        "rel_type": "m.thread",
        "event_id": root,
        "is_falling_back": False,
        "m.in_reply_to": {"event_id": asked},
    }


@pytest.mark.parametrize("between", ["a command", "a message"])
async def test_it_is_known_after_a_kill(make_bot, user, agent, between):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        agent.script = patient = PatientAgent()
        asked = await user.send_text(onboarded.chat, "take your time")
        if between == "a command":
            await onboarded.ask("!help")
        else:
            await user.send_text(onboarded.chat, "and another one")
            await onboarded.ask("!help", onboarded.entry)
        await daemon.kill()
        patient.go_on.set()
        await daemon.start()
        await answer_to(user, onboarded.chat, asked)
        assert (await relations(onboarded))[asked] == reply_to(asked)


async def test_it_is_known_with_the_database_lost(make_bot, user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        await daemon.kill()
        asked = await user.send_text(onboarded.chat, "one")
        last = await user.send_text(onboarded.chat, "two")
        for file in daemon.directory.glob("*.db*"):
            file.unlink()
        await daemon.start()
        await answer_to(user, onboarded.chat, last)
        found = await relations(onboarded)
        assert (found[asked], found[last]) == (reply_to(asked), reply_to(last))
