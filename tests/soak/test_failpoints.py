"""Deaths at the boundaries of a conversation, a sample of them: `python -m tests.soak.failpoints` tries all."""

import random

import pytest

from tests.soak.failpoints import SECOND_DEATHS_WITHIN, run_all

pytestmark = pytest.mark.anyio

ABOUT = 270
"""An undisturbed run passes about so many boundaries; later ones fall behind its end."""
EVERY = 9
PAIRS = 10


async def test_a_conversation_survives_a_death_at_a_boundary():
    # An odd distance, so that it falls before and after in turn.
    outcomes = await run_all([(number,) for number in range(1, ABOUT, EVERY)])
    assert [str(outcome) for outcome in outcomes if outcome.faults] == []
    assert sum(bool(outcome.died_at) for outcome in outcomes) > len(outcomes) / 2


async def test_a_conversation_survives_a_death_while_another_is_made_good():
    chance = random.Random(1)
    outcomes = await run_all(
        [
            (chance.randrange(1, ABOUT), chance.randrange(1, SECOND_DEATHS_WITHIN))
            for _ in range(PAIRS)
        ]
    )
    assert [str(outcome) for outcome in outcomes if outcome.faults] == []
    assert any(len(outcome.died_at) == 2 for outcome in outcomes)


async def test_an_undisturbed_conversation_passes_as_many_boundaries_as_are_tried():
    (outcome,) = await run_all([()])
    assert outcome.faults == ()
    assert outcome.died_at == ()
    assert abs(outcome.passed - ABOUT) < ABOUT / 5


async def test_a_broken_promise_is_seen(monkeypatch):
    # Told that the garden's answer is another one, the check must find the true one wrong.
    from tests.soak import failpoints

    faults_in = failpoints.faults_in

    async def expecting_another(had, *rest):
        *said, (room, message_id, _) = had.said
        return await faults_in(
            type(had)(
                had.entry,
                had.space,
                had.chat,
                had.garden,
                (*said, (room, message_id, "echo: who are you?")),
            ),
            *rest,
        )

    monkeypatch.setattr(failpoints, "faults_in", expecting_another)
    (outcome,) = await run_all([()])
    assert len(outcome.faults) == 1
    assert "echo: who am I?" in outcome.faults[0]
