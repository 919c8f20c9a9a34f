"""`kill -9` between any two requests of `!new`: one room, one answer (contract K2)."""

import pytest

from tests.system.boundaries import BoundaryRunner, Work
from tests.system.users import BINDING, answer_to, children, made_rooms, onboard, said

pytestmark = pytest.mark.anyio


async def prepare(attempt):
    onboarded = attempt.notes["onboarded"] = await onboard(attempt.person, attempt.bot.user_id)
    # The last thing that an onboarding does is done before an answer comes.
    await onboarded.ask("are you there?")


async def begin(attempt):
    onboarded = attempt.notes["onboarded"]
    attempt.notes["asked"] = await attempt.person.send_text(onboarded.chat, "!new Garden")


async def ended(attempt):
    onboarded, person = attempt.notes["onboarded"], attempt.person
    await answer_to(person, onboarded.chat, attempt.notes["asked"])
    (garden,) = await person.rooms_invited()
    await person.join(garden)
    attempt.notes["garden"] = garden


async def use(attempt):
    onboarded, garden = attempt.notes["onboarded"], attempt.notes["garden"]
    assert said(await onboarded.ask("what grows here?", garden)) == "echo: what grows here?"


async def check(witness, attempts):
    spaces, chats = await made_rooms(witness)
    assert sorted(spaces) == sorted(attempt.notes["onboarded"].space for attempt in attempts)
    assert sorted(chats) == sorted(
        room
        for attempt in attempts
        for room in (attempt.notes["onboarded"].chat, attempt.notes["garden"])
    )
    for attempt in attempts:
        onboarded, garden = attempt.notes["onboarded"], attempt.notes["garden"]
        assert await onboarded.person.rooms_invited() == []
        assert len(await onboarded.person.replies_to(onboarded.chat, attempt.notes["asked"])) == 1
        assert await onboarded.person.state_content(garden, "m.room.name") == {"name": "Garden"}
        assert set(await children(witness, onboarded.space)) == {onboarded.chat, garden}
        binding = await witness.account_data(BINDING, garden)
        assert binding is not None
        assert (binding["chat_id"], binding["space_id"]) == ("C2", onboarded.space)
        spoken = [
            event.msgtype
            for event in await onboarded.person.messages(garden)
            if event.sender == onboarded.bot and event.msgtype and not event.replaces
        ]
        assert spoken == ["m.notice", "m.text"]


@pytest.mark.usefixtures("agent")
async def test_a_new_chat_killed_anywhere_is_one_room(synapse, make_bot, make_person):
    runner = BoundaryRunner(synapse, make_bot, make_person)
    boundaries = await runner.interrupted_everywhere(Work(prepare, begin, ended, use, check))
    # At least: a room, a link, a binding, a welcome and an answer; before and after.
    assert boundaries >= 10
