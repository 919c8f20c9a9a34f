"""Rooms are created exactly once, whatever happens to the request (contracts O3, K2; fact 5)."""

import json
import random
from urllib.parse import unquote

import pytest
from msgspec.structs import replace

from machines.events.orders import CompleteRoom, CreateRoom, Done, Refused, RoomCreated
from machines.ids import RoomId, TxnId, UserId
from matrix.errors import Unreachable
from matrix.http.transport import Transport
from matrix.raw_events import state_map
from matrix.rooms.create import RoomCreator
from matrix.rooms.current_state import CurrentState
from matrix.rooms.initial_state import missing_state, restricted_to, room_body
from matrix.rooms.perform import OrderPerformer
from tests.matrix.fake_backend import FakeBackend, error_response, json_response
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

BOT = UserId("@bot:here")
USER = UserId("@user:here")
SPACE = RoomId("!space")
ORDER = CreateRoom("nonce", "Chat 1", USER, parent=SPACE, topic="A chat.", reason="It is ready.")


class Rooms:
    """A homeserver that creates rooms; `faults` are applied to the next `createRoom` requests."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.rooms: dict[str, list[dict]] = {}
        self.faults: list[str] = []
        self.pending: list[tuple[float, dict]] = []
        self.default_version = "12"
        self.backend = FakeBackend(self.clock, self.respond)
        transport = Transport(
            self.backend, self.clock, lambda up, reason, outage_s: None, random.Random(1).random
        )
        transport.use_token("token")
        creator = RoomCreator(transport, CurrentState(transport, BOT), self.clock)
        self.performer = OrderPerformer(transport, creator, BOT)

    async def perform(self, order=ORDER):
        async with self.clock.running():
            return await self.performer.perform(order, TxnId("t"))

    def add(self, body, whole=True):
        room_id = f"!r{len(self.rooms)}"
        create = {"type": "m.room.create", "state_key": "", "sender": BOT}
        create["content"] = {"room_version": "12", **body["creation_content"]}
        own = {"type": "m.room.member", "state_key": BOT, "sender": BOT}
        own["content"] = {"membership": "join"}
        state = [create, own]
        if whole:
            state += [{**event, "sender": BOT} for event in body["initial_state"]]
            levels = {"type": "m.room.power_levels", "state_key": "", "content": {}}
            name = {"type": "m.room.name", "state_key": "", "content": {"name": body["name"]}}
            rules = {"type": "m.room.join_rules", "state_key": "", "content": {}}
            seen = {"type": "m.room.history_visibility", "state_key": "", "content": {}}
            state = [rules, *state, levels, name, seen]
        self.rooms[room_id] = state
        return room_id

    def respond(self, request):
        for due, body in list(self.pending):
            if self.clock.now() >= due:
                self.pending.remove((due, body))
                self.add(body)
        body = json.loads(request.body) if request.body else {}
        _, _, path = request.path.partition("/v3/")
        parts = [unquote(part) for part in path.split("/")]
        match parts:
            case ["createRoom"]:
                return self.create(body)
            case ["capabilities"]:
                versions = {"m.room_versions": {"default": self.default_version}}
                return json_response({"capabilities": versions})
            case ["joined_rooms"]:
                return json_response({"joined_rooms": list(self.rooms)})
            case ["rooms", room_id, "state"]:
                return json_response(self.rooms[room_id])
            case ["rooms", room_id, "invite"]:
                content = {"membership": "invite", "reason": body.get("reason")}
                self.put(room_id, "m.room.member", body["user_id"], content)
                return json_response({})
            case ["rooms", room_id, "state", kind, key] if request.method == "PUT":
                self.put(room_id, kind, key, body)
                return json_response({"event_id": "$x"})
            case ["rooms", room_id, "state", kind, key]:
                event = state_map(self.rooms[room_id]).get((kind, key))
                return (
                    error_response(404, "M_NOT_FOUND")
                    if event is None
                    else json_response(event["content"])
                )
            case _:
                return json_response({})

    def put(self, room_id, kind, key, content):
        self.rooms[room_id].append({"type": kind, "state_key": key, "content": content})

    def create(self, body):
        fault = self.faults.pop(0) if self.faults else ""
        match fault:
            case "lost answer":
                self.add(body)
                raise Unreachable("broken", "connection reset")
            case "slow":
                self.pending.append((self.clock.now() + 8, body))
                raise Unreachable("timeout", "no answer in time")
            case "never arrived":
                raise Unreachable("broken", "connection reset")
            case "no connection":
                raise Unreachable("connect", "connection refused")
            case "partly created":
                self.add(body, whole=False)
                return error_response(500)
            case "gateway":
                self.add(body)
                return error_response(504)
            case "limited":
                return error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=3000)
            case "forbidden":
                return error_response(403, "M_FORBIDDEN")
            case _:
                return json_response({"room_id": self.add(body)})


@pytest.fixture
def rooms():
    return Rooms()


@pytest.mark.parametrize(
    "faults",
    [
        [],
        ["lost answer"],
        ["slow"],
        ["gateway"],
        ["never arrived"],
        ["no connection", "no connection", "lost answer"],
        ["limited", "never arrived", "slow"],
        ["partly created"],
    ],
    ids=lambda faults: ", ".join(faults) or "none",
)
async def test_one_room_is_created_whatever_happens_to_the_request(rooms, faults):
    rooms.faults = faults
    assert await rooms.perform() == RoomCreated(RoomId("!r0"))
    assert len(rooms.rooms) == 1
    assert missing_state(state_map(rooms.rooms["!r0"]), ORDER, BOT) == {}
    invited = [e for e in rooms.rooms["!r0"] if e["state_key"] == USER]
    assert [event["content"] for event in invited] == [
        {"membership": "invite", "reason": "It is ready."}
    ]


async def test_a_complete_room_is_found_and_not_changed(rooms):
    await rooms.perform()
    before = json.dumps(rooms.rooms)
    asked = len(rooms.backend.requests)
    assert await rooms.perform() == RoomCreated(RoomId("!r0"))
    assert json.dumps(rooms.rooms) == before
    assert {request.method for _, request in rooms.backend.requests[asked:]} == {"GET"}


async def test_after_a_kill_during_creation_the_bot_waits_for_the_room(rooms):
    rooms.pending.append(
        (rooms.clock.now() + 2, json.loads(json.dumps(room_body(ORDER, BOT, "12"))))
    )
    again = replace(ORDER, repeated=True)
    assert await rooms.perform(again) == RoomCreated(RoomId("!r0"))
    assert rooms.backend.times("/createRoom") == []


async def test_a_refusal_to_create_a_room_is_an_outcome(rooms):
    rooms.faults = ["forbidden"]
    outcome = await rooms.perform()
    assert isinstance(outcome, Refused)
    assert outcome.kind == "forbidden"


async def test_a_room_at_which_the_homeserver_always_fails_is_refused(rooms):
    rooms.faults = ["never arrived"] * 100
    outcome = await rooms.perform()
    assert isinstance(outcome, Refused)
    assert outcome.kind == "unsendable"
    assert len(rooms.backend.times("/createRoom")) < 10


def test_older_room_versions_get_an_explicit_power_level_for_the_bot():
    create = {"type": "m.room.create", "state_key": "", "content": {"room_version": "11"}}
    levels = missing_state(state_map([create]), ORDER, BOT)["m.room.power_levels", ""]
    assert levels["users"] == {BOT: 100}
    create["content"]["room_version"] = "12"
    levels = missing_state(state_map([create]), ORDER, BOT)["m.room.power_levels", ""]
    assert "users" not in levels


@pytest.mark.parametrize(
    ("version", "rule"),
    [
        ("12", "restricted"),
        ("8", "restricted"),
        ("7", "invite"),
        ("org.x", "invite"),
        (None, "invite"),
    ],
)
async def test_members_of_the_space_may_join_if_the_room_version_can_say_so(rooms, version, rule):
    rooms.default_version = version
    assert await rooms.perform() == RoomCreated(RoomId("!r0"))
    content = state_map(rooms.rooms["!r0"])["m.room.join_rules", ""]["content"]
    assert content.get("join_rule", "invite") == rule
    create = {"type": "m.room.create", "state_key": "", "content": {"room_version": version}}
    missing = missing_state(state_map([create]), ORDER, BOT)["m.room.join_rules", ""]
    assert missing["join_rule"] == rule
    if rule == "restricted":
        assert content == missing
        assert missing["allow"] == [{"type": "m.room_membership", "room_id": SPACE}]


async def test_a_repeated_order_does_not_invite_a_user_who_declined_since(rooms):
    await rooms.perform()
    rooms.put("!r0", "m.room.member", USER, {"membership": "leave"})
    asked = len(rooms.backend.requests)
    await rooms.perform(replace(ORDER, repeated=True))
    assert {request.method for _, request in rooms.backend.requests[asked:]} == {"GET"}


COMPLETE = CompleteRoom(RoomId("!r0"), SPACE, "A chat.")


async def chat_of_an_earlier_version(rooms, rule="invite", version="12"):
    """Create a chat without a topic, with this join rule."""
    await rooms.perform(replace(ORDER, topic=""))
    rooms.put("!r0", "m.room.join_rules", "", {"join_rule": rule})
    rooms.rooms["!r0"][1]["content"]["room_version"] = version


async def test_a_chat_of_an_earlier_version_gets_its_join_rule_and_topic_once(rooms):
    await chat_of_an_earlier_version(rooms)
    assert await rooms.perform(COMPLETE) == Done()
    state = state_map(rooms.rooms["!r0"])
    assert state["m.room.join_rules", ""]["content"] == restricted_to(SPACE)
    assert state["m.room.topic", ""]["content"] == {"topic": "A chat."}
    asked = len(rooms.backend.requests)
    await rooms.perform(COMPLETE)
    assert {request.method for _, request in rooms.backend.requests[asked:]} == {"GET"}


@pytest.mark.parametrize(("rule", "version"), [("public", "12"), ("knock", "12"), ("invite", "7")])
async def test_another_join_rule_and_another_topic_stay(rooms, rule, version):
    await chat_of_an_earlier_version(rooms, rule, version)
    rooms.put("!r0", "m.room.topic", "", {"topic": "Ours."})
    before = json.dumps(rooms.rooms)
    assert await rooms.perform(COMPLETE) == Done()
    assert json.dumps(rooms.rooms) == before
