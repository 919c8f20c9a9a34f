"""Kills at a sample of the boundaries of a conversation; `python -m tests.soak.failpoints` tries all."""

import random

import pytest

from tests.soak.failpoints import SECOND_DEATHS_WITHIN, run_all

pytestmark = pytest.mark.anyio

ABOUT = 270
"""About the number of boundaries that an undisturbed run passes."""
EVERY = 9
PAIRS = 10


async def test_a_conversation_survives_a_kill_at_a_boundary():
    # The distance is odd, so that kills before and after an action alternate.
    outcomes = await run_all([(number,) for number in range(1, ABOUT, EVERY)])
    assert [str(outcome) for outcome in outcomes if outcome.faults] == []
    assert sum(bool(outcome.died_at) for outcome in outcomes) > len(outcomes) / 2


async def test_a_conversation_survives_a_second_kill_during_recovery():
    rng = random.Random(1)
    outcomes = await run_all(
        [(rng.randrange(1, ABOUT), rng.randrange(1, SECOND_DEATHS_WITHIN)) for _ in range(PAIRS)]
    )
    assert [str(outcome) for outcome in outcomes if outcome.faults] == []
    assert any(len(outcome.died_at) == 2 for outcome in outcomes)


async def test_an_undisturbed_conversation_passes_about_as_many_boundaries_as_are_tried():
    (outcome,) = await run_all([()])
    assert outcome.faults == ()
    assert outcome.died_at == ()
    assert abs(outcome.passed - ABOUT) < ABOUT / 5


async def test_a_wrong_answer_is_found(monkeypatch):
    # With another expected answer for the garden, the check must report the real one.
    from tests.soak import failpoints

    faults_in = failpoints.faults_in

    async def expecting_another(transcript, *rest):
        *sent, (room, message_id, _) = transcript.sent
        return await faults_in(
            type(transcript)(
                transcript.entry,
                transcript.space,
                transcript.chat,
                transcript.garden,
                (*sent, (room, message_id, "echo: who are you?")),
            ),
            *rest,
        )

    monkeypatch.setattr(failpoints, "faults_in", expecting_another)
    (outcome,) = await run_all([()])
    assert len(outcome.faults) == 1
    assert "echo: who am I?" in outcome.faults[0]
