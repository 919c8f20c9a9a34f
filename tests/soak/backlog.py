"""`python -m tests.soak.backlog`: users write while the bot is down; then it starts (contracts D3, D4).

They write far more than a sync's timeline holds, so that the bot finds gaps in every room. The rooms are checked as
in the soak test.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import anyio

from sandbox.synapse import Synapse
from tests.soak.history_check import CheckResult, check_room
from tests.soak.soak_fixture import SoakFixture, print_line, set_up
from tests.soak.traffic import answer_to
from tests.support.agent_script import End, Request, Step, Text
from tests.support.matrix_user import MatrixUser
from tests.system.users import answer_to as answered

CHATS_EACH = 5
TIMELINE_LIMIT = 10
WITHIN_S = 900.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The check of the rooms, and times from the start of the daemon.

    `pages` is the number of requests for history, which is 0 without gaps.
    """

    result: CheckResult
    pages: int
    live_after_s: float
    answered_after_s: float


def main() -> None:
    """Let users write while the bot is down; exit 0 only when every message is answered once and in order."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.backlog", description=main.__doc__)
    parser.add_argument("--messages", type=int, default=5000, help="in all (5000)")
    parser.add_argument("--rooms", type=int, default=50, help=f"a multiple of {CHATS_EACH} (50)")
    options = parser.parse_args()
    outcome = anyio.run(partial(come_back, options.messages, options.rooms, progress=print_line))
    result = outcome.result
    print_line(
        f"{result.messages} messages over {options.rooms} rooms, timeline limit {TIMELINE_LIMIT}:"
        f" live after {outcome.live_after_s:.1f} s, all answered after"
        f" {outcome.answered_after_s:.1f} s, {outcome.pages} pages of history"
    )
    wrong = (result.lost, result.duplicated, result.out_of_order)
    print_line("lost {}, duplicated {}, out of order {}".format(*map(len, wrong)))
    for each in [each for some in wrong for each in some][:10]:
        print_line(f"  {each}")
    sys.exit(0 if result.holds else 1)


def _no_progress(_: str) -> None:
    pass


async def come_back(
    messages: int,
    rooms: int,
    synapse: Synapse | None = None,
    progress: Callable[[str], None] = _no_progress,
) -> Outcome:
    """Run once; `progress` gets a line for each step."""
    async with set_up(
        _answer,
        users=rooms // CHATS_EACH,
        chats_each=CHATS_EACH,
        synapse=synapse,
        timeline_limit=TIMELINE_LIMIT,
    ) as setup:
        await setup.daemon.stop()
        progress(f"{len(setup.rooms)} rooms are ready, and the bot is down; writing …")
        last_messages = await _write(setup, messages // rooms)
        progress("the bot comes back …")
        assert setup.proxy is not None
        before = len(setup.proxy.requests)
        began = time.monotonic()
        await setup.daemon.start()
        await setup.daemon.wait_live()
        live_after_s = time.monotonic() - began
        for user, room, message_id in last_messages:
            await answered(user, room, message_id, WITHIN_S)
        answered_after_s = time.monotonic() - began
        passages = setup.proxy.requests[before:]
        pages = sum(proxied.path.endswith("/messages") for proxied in passages)
        result = CheckResult()
        for user, room in setup.rooms:
            result += check_room(await user.messages(room), user.user_id, setup.bot)
        await setup.daemon.stop()
    return Outcome(result, pages, live_after_s, answered_after_s)


async def _write(setup: SoakFixture, each: int) -> list[tuple[MatrixUser, str, str]]:
    """Send so many messages in every room; return the last of each."""
    last_messages: list[tuple[MatrixUser, str, str]] = []

    async def write(user: MatrixUser, room: str) -> None:
        message_id = ""
        for number in range(each):
            message_id = await user.send_text(room, f"number {number}")
        last_messages.append((user, room, message_id))

    async with anyio.create_task_group() as group:
        for user, room in setup.rooms:
            group.start_soon(write, user, room)
    return last_messages


def _answer(request: Request) -> list[Step]:
    return [Text(answer_to(request.text)), End()]


if __name__ == "__main__":
    main()
