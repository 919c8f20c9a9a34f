"""`python -m tests.soak.outage`: kill a real homeserver and start it again later (contracts L9, D1).

Meanwhile its port is closed, and a proxy in front of it counts the daemon's requests. Every room has an answer in
progress: half of them grow through the whole outage, the others end in it.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, takewhile

import anyio

from sandbox.daemon import LogLine
from tests.soak.history_check import CheckResult, check_room
from tests.soak.soak_fixture import SoakFixture, print_line, set_up
from tests.soak.traffic import answer_to
from tests.support.agent_script import End, Request, Step, Text, Wait
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import ProxiedRequest
from tests.system.users import answer_to as answered

USERS = 2
CHATS_EACH = 3
FIRST_ANSWER_WITHIN_S = 30.0
APART_S = 0.95
"""A little less than a second, because requests that are sent a second apart may arrive closer together."""
_WITHIN_S = 120.0
_THROUGH, _INTO = "an answer through the outage", "an answer that ends in it"
_MUCH = " and so on" * 40
_PACE_S = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one outage of `away_s` seconds, from the proxy, the rooms and the log.

    `answer_after_s` is the time from the homeserver's return to the first whole answer in a room, `all_answers_after_s`
    to the last one. `log` counts the lines from the kill until then.
    """

    away_s: float
    requests: int
    least_apart_s: float
    answer_after_s: float
    all_answers_after_s: float
    log: Counter[str]
    result: CheckResult

    @property
    def holds(self) -> bool:
        """Whether requests were rare, the first answer came soon, the outage was logged once, and nothing was lost."""
        return (
            self.requests <= self.away_s + 1
            and self.least_apart_s >= APART_S
            and self.answer_after_s <= FIRST_ANSWER_WITHIN_S
            and self.log == {"homeserver_unreachable": 1, "homeserver_reachable": 1}
            and self.result.holds
        )


def main() -> None:
    """Stop a real homeserver for a while; exit 0 only when the daemon behaves as the contract says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.outage", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the outage (60)")
    options = parser.parse_args()
    outcome = anyio.run(partial(run_outage, options.seconds, progress=print_line))
    rows = (
        ("away", f"{outcome.away_s:.1f} s"),
        ("requests meanwhile", f"{outcome.requests}, {outcome.least_apart_s:.2f} s apart or more"),
        ("first answer", f"{outcome.answer_after_s:.1f} s after it was back"),
        ("last that waited", f"{outcome.all_answers_after_s:.1f} s after it was back"),
        ("log lines", ", ".join(f"{name} {count} ×" for name, count in outcome.log.items())),
        ("messages", f"{outcome.result.messages}"),
        ("replies", f"{outcome.result.replies}"),
        ("lost", f"{len(outcome.result.lost)}"),
        ("duplicated", f"{len(outcome.result.duplicated)}"),
        ("out of order", f"{len(outcome.result.out_of_order)}"),
    )
    for name, value in rows:
        print_line(f"{name:<18} {value}")
    sys.exit(0 if outcome.holds else 1)


def _no_progress(_: str) -> None:
    pass


class _Agent:
    """An agent whose answers last as long as the outage, or end at its beginning."""

    def __init__(self) -> None:
        self.gone = anyio.Event()
        self.back = anyio.Event()

    async def answer(self, request: Request) -> AsyncIterator[Step]:
        """Answer as the agent of the soak test, but slower where the message asks for it."""
        whole = answer_to(request.text)
        sent = 0
        if request.text.startswith(_INTO):
            yield Wait(self.gone)
        elif request.text.startswith(_THROUGH):
            while not self.back.is_set():
                # Empty texts follow in an outage that is longer than the text.
                yield Text(whole[sent : sent + 1])
                sent = min(sent + 1, len(whole))
                yield Wait(_PACE_S)
        yield Text(whole[sent:])
        yield End(len(whole.split()))


async def run_outage(seconds: float, progress: Callable[[str], None] = _no_progress) -> Outcome:
    """Run through one outage; `progress` gets a line for each step."""
    agent = _Agent()
    async with set_up(agent.answer, users=USERS, chats_each=CHATS_EACH, counted=True) as setup:
        assert setup.proxy is not None
        waiting = await _ask(setup)
        progress(f"{len(waiting)} answers are in progress; the homeserver is killed …")
        log_before = len(setup.daemon.log)
        await setup.synapse.kill()
        killed_at, asked_before = time.time(), len(setup.proxy.requests)
        await setup.proxy.wait_until(lambda: _since(setup, asked_before, killed_at) != [])
        agent.gone.set()
        await anyio.sleep(max(0.0, killed_at + seconds - time.time()))
        progress("it comes back …")
        await setup.synapse.start()
        back_at = time.time()
        asked = _since(setup, asked_before, killed_at)
        # The homeserver is back before this process knows; requests after the first answer are not in the outage.
        away = list(takewhile(lambda proxied: proxied.status is None, asked))
        agent.back.set()
        answer_after_s = await _answers(waiting, back_at)
        log = [line for line in setup.daemon.log[log_before:] if _is_notable(line)]
        for user, room, _ in waiting:
            await answered(user, room, await user.send_text(room, "and now?"), _WITHIN_S)
        result = CheckResult()
        for user, room in setup.rooms:
            result += check_room(await user.messages(room), user.user_id, setup.bot)
        await setup.daemon.stop()
    moments = [proxied.at for proxied in away]
    return Outcome(
        away_s=back_at - killed_at,
        requests=len(away),
        least_apart_s=min((later - one for one, later in pairwise(moments)), default=seconds),
        answer_after_s=min(answer_after_s),
        all_answers_after_s=max(answer_after_s),
        log=Counter(line["event"] for line in log),
        result=result,
    )


async def _ask(setup: SoakFixture) -> list[tuple[MatrixUser, str, str]]:
    """Send a message in every room, and wait until the agent has all of them."""
    waiting = [
        (user, room, await user.send_text(room, f"{(_THROUGH, _INTO)[number % 2]}{_MUCH}"))
        for number, (user, room) in enumerate(setup.rooms)
    ]
    received: set[str] = set()
    while not received >= {message_id for _, _, message_id in waiting}:
        received.add((await setup.agent.next_request()).message_id)
    return waiting


def _since(setup: SoakFixture, before: int, moment: float) -> list[ProxiedRequest]:
    assert setup.proxy is not None
    return [proxied for proxied in setup.proxy.requests[before:] if proxied.at > moment]


async def _answers(waiting: list[tuple[MatrixUser, str, str]], back_at: float) -> list[float]:
    """Return how long after the homeserver's return each answer is whole."""
    after_s: list[float] = []

    async def one(user: MatrixUser, room: str, message_id: str) -> None:
        await answered(user, room, message_id, _WITHIN_S)
        after_s.append(time.time() - back_at)

    async with anyio.create_task_group() as group:
        for each in waiting:
            group.start_soon(one, *each)
    return after_s


def _is_notable(line: LogLine) -> bool:
    """Whether the line is about a change, not about daily work."""
    return line["level"] != "debug" and (
        line["level"] != "info"
        or line["event"] in ("homeserver_reachable", "bot_state_changed", "bot_live")
    )


if __name__ == "__main__":
    main()
