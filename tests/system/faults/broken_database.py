"""A bot whose database becomes unusable, and the checks during and after that (contracts S4, D3)."""

import json

from store.readonly import read
from tests.support.matrix_user import MatrixUser
from tests.system.users import answer_to, text_of

DATABASE = "lambda_matrix.db"
WHILE_IT_WAS_BROKEN = "did you get this?"
_ALL = '{"room":{"timeline":{"limit":1000}}}'


class BrokenDatabase:
    """A bot with a user, and its database."""

    def __init__(self, bot, onboarded):
        self.daemon, self.bot, self.onboarded = bot.daemon, bot.user_id, onboarded
        self.path = bot.daemon.directory / DATABASE
        self.asked = ""

    async def ask(self):
        self.asked = await self.onboarded.user.send_text(self.onboarded.chat, WHILE_IT_WAS_BROKEN)

    async def ends_with_advice(self, *words):
        """Check that the daemon ends with exit code 4 and one line with the path and advice."""
        assert await self.daemon.wait_ended() == 4
        line = self.daemon.other_output[-1]
        assert len(self.daemon.other_output) == 1
        for word in ("surfaces-bot:", DATABASE, *words):
            assert word in line
        self.daemon.other_output.clear()

    async def has_skipped_nothing(self, url, *asked):
        """Check that a sync from the stored token shows all messages that are not in the inbox."""
        # Read as `inspect-room` does, because opening it normally would write.
        token, stored = read(
            self.path,
            lambda raw: (
                raw.execute("SELECT sync_token FROM bot").fetchone()[0],
                {row[0] for row in raw.execute("SELECT event_id FROM inbox")},
            ),
        )
        store = self.daemon.directory / "matrix_store" / "session.json"
        access_token = json.loads(store.read_text())["access_token"]
        async with MatrixUser(url, self.bot, access_token=access_token) as bot:
            params = {"since": token, "filter": _ALL}
            answer = await bot.request("GET", "/sync", params=params)
        shown = json.dumps(answer.get("rooms", {}).get("join", {}))
        skipped = [
            each for each in (self.asked, *asked) if each not in stored and each not in shown
        ]
        assert skipped == [], f"neither stored nor shown again: {skipped}"

    async def answers_after_a_plain_start(self):
        async with self.daemon:
            await self.daemon.wait_live()
            answer = await answer_to(self.onboarded.user, self.onboarded.chat, self.asked)
            assert text_of(answer) == f"echo: {WHILE_IT_WAS_BROKEN}"
            assert text_of(await self.onboarded.ask("and now?")) == "echo: and now?"
            assert await self.daemon.stop() == 0
        assert len(await self.onboarded.user.replies_to(self.onboarded.chat, self.asked)) == 1
