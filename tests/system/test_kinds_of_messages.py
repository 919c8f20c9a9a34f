"""Emotes, captions, voice messages, and what cannot be sent to an agent (contract D5)."""

import pytest

from machines.i18n import catalog_for
from tests.support.agent_script import End, Text
from tests.system.users import answer_to, onboard, replies, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
LOCATION = {"msgtype": "m.location", "body": "here", "geo_uri": "geo:52.5,13.4"}
STICKER = {"body": "a cat", "url": "mxc://example.org/cat", "info": {}}
POLL = {
    "m.text": [{"body": "lunch?"}],
    "m.poll": {
        "question": {"m.text": [{"body": "lunch?"}]},
        "answers": [{"m.id": "y", "m.text": [{"body": "yes"}]}],
    },
}
UNSUPPORTED = [
    ("m.room.message", LOCATION, "location"),
    ("m.room.message", {"msgtype": "org.example.new", "body": "x"}, "other"),
    ("m.sticker", STICKER, "sticker"),
    ("m.poll.start", POLL, "poll"),
    ("org.matrix.msc3381.poll.start", {"org.matrix.msc3381.poll.start": {}}, "poll"),
]
IMAGE = {"msgtype": "m.image", "url": "mxc://example.org/image", "info": {"mimetype": "image/png"}}


async def test_an_emote_is_text_with_the_name_of_its_sender(session_bot, agent, make_user):
    user = await make_user("Ann of the Lake")
    onboarded = await onboard(user, session_bot.user_id)

    async def emote(body):
        content = {"msgtype": "m.emote", "body": body}
        message_id = await user.send_event(onboarded.chat, "m.room.message", content)
        return text_of(await answer_to(user, onboarded.chat, message_id))

    assert await emote("waves") == "echo: * Ann of the Lake waves"
    await user.set_display_name("Ann")
    await user.wait_for(
        lambda event: (
            (event.room_id, event.state_key) == (onboarded.chat, user.user_id)
            and event.content.get("displayname") == "Ann"
        )
    )
    assert await emote("!archive") == "echo: * Ann !archive"


async def test_what_cannot_be_sent_to_an_agent_gets_one_notice(onboarded, agent):
    user, chat = onboarded.user, onboarded.chat
    asked = len(agent.requests)
    sent = [await user.send_event(chat, kind, content) for kind, content, _ in UNSUPPORTED]
    for message_id, (_, _, kind) in zip(sent, UNSUPPORTED, strict=True):
        notice = await answer_to(user, chat, message_id)
        text = CATALOG.unsupported_message(kind)
        assert (notice.msgtype, notice.body) == ("m.notice", text)
    await onboarded.ask("a question")
    assert [reply.answers for reply in await replies(user, chat)][: len(sent)] == sent
    assert [request.text for request in agent.requests[asked:]] == ["a question"]


async def test_machinery_is_not_answered(onboarded, agent):
    user, chat = onboarded.user, onboarded.chat
    told = await user.send_event(chat, "m.poll.start", POLL)
    await answer_to(user, chat, told)
    relation = {"m.relates_to": {"rel_type": "m.reference", "event_id": told}}
    verification = {
        "msgtype": "m.key.verification.request",
        "body": "verify",
        "to": onboarded.bot,
        "from_device": "D",
        "methods": [],
    }
    await user.send_event(chat, "m.room.message", verification)
    await user.send_event(chat, "m.poll.response", relation)
    await user.send_event(chat, "org.matrix.msc3381.poll.end", relation)
    await onboarded.ask("a question")
    assert len(await replies(user, chat)) == 2


async def test_it_is_told_once_also_over_a_restart_with_the_database_lost(make_bot, user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        told = await user.send_event(onboarded.chat, "m.sticker", STICKER)
        await answer_to(user, onboarded.chat, told)
        await daemon.kill()
        meanwhile = await user.send_event(onboarded.chat, "m.poll.start", POLL)
        for file in bot.daemon.directory.glob("*.db*"):
            file.unlink()
        await daemon.start()
        notice = await answer_to(user, onboarded.chat, meanwhile)
        assert notice.body == CATALOG.unsupported_message("poll")
        await onboarded.ask("a question")
        answered = [reply.answers for reply in await replies(user, onboarded.chat)]
        assert answered[:2] == [told, meanwhile]
        assert len(answered) == 3


async def test_in_the_entry_room_it_gets_the_pointer(onboarded):
    user, entry = onboarded.user, onboarded.entry
    pointer = await onboarded.ask("hello", entry)
    message_id = await user.send_event(entry, "m.sticker", STICKER)
    assert (await answer_to(user, entry, message_id)).body == pointer.body


async def test_a_caption_is_answered_and_the_reply_says_that_the_file_is_not_opened(
    onboarded, agent
):
    user, chat = onboarded.user, onboarded.chat
    content = IMAGE | {"body": "what is it?", "filename": "plan.png"}
    message_id = await user.send_event(chat, "m.room.message", content)
    answer = await answer_to(user, chat, message_id)
    assert answer.msgtype == "m.text"
    assert text_of(answer) == f"echo: what is it?\n\n{CATALOG.file_not_opened('plan.png')}"
    assert len(await user.replies_to(chat, message_id)) == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"body": "plan.png", "filename": "plan.png"}, CATALOG.files_not_yet()),
        (
            {"msgtype": "m.audio", "body": "Voice.ogg", "org.matrix.msc3245.voice": {}},
            CATALOG.voice_not_yet(),
        ),
    ],
    ids=["no caption", "voice"],
)
async def test_a_file_without_a_caption_gets_one_notice(onboarded, agent, content, text):
    user, chat = onboarded.user, onboarded.chat
    message_id = await user.send_event(chat, "m.room.message", IMAGE | content)
    notice = await answer_to(user, chat, message_id)
    assert (notice.msgtype, notice.body) == ("m.notice", text)
    await onboarded.ask("a question")
    assert len(await replies(user, chat)) == 2


async def test_a_caption_is_no_consent(onboarded, agent):
    user, chat = onboarded.user, onboarded.chat
    asked = len(agent.requests)
    agent.script = lambda request: [Text("done"), End()]
    content = IMAGE | {"body": "!yes", "filename": "plan.png"}
    message_id = await user.send_event(chat, "m.room.message", content)
    notice = await answer_to(user, chat, message_id)
    assert notice.body == CATALOG.command_as_new_message()
    assert agent.requests[asked:] == []
