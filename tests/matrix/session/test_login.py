"""One account stays one device over all starts (contracts L2, L10, E1)."""

import json
from dataclasses import replace

import anyio
import pytest

from machines.errors import CredentialsRefused, LoggedOut
from machines.events.orders import LookUpName, NameFound
from machines.ids import SyncToken, TxnId, UserId
from matrix import Account, MatrixClient
from matrix.errors import SessionMismatch, SessionUnusable
from matrix.session.file import SessionFile, StoredSession
from sandbox.synapse import Synapse
from tests.matrix.conftest import PASSWORD, InstantClock
from tests.support.matrix_user import MatrixUser

pytestmark = pytest.mark.anyio


async def login(account):
    client = MatrixClient(
        account, on_change=lambda up, reason, outage_s: None, clock=InstantClock()
    )
    try:
        return await client.login()
    finally:
        await client.aclose()


def stored(account):
    return json.loads((account.store_path / "session.json").read_text())


async def devices(account):
    """Return the account's devices, read with the bot's own token."""
    async with MatrixUser(
        account.homeserver, account.user_id, access_token=stored(account)["access_token"]
    ) as operator:
        return [device["device_id"] for device in await operator.devices()]


async def test_ten_starts_create_one_device(account):
    sessions = {await login(account) for _ in range(10)}
    assert len(sessions) == 1
    assert await devices(account) == [sessions.pop().device_id]


async def test_only_the_owner_may_read_the_session_file(account):
    await login(account)
    assert account.store_path.stat().st_mode & 0o777 == 0o700
    assert (account.store_path / "session.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in account.store_path.iterdir()] == ["session.json"]


async def test_a_kill_between_the_login_and_the_write_creates_no_second_device(account):
    session = await login(account)
    # The state before the answer came: the device is known, the token is not.
    file = SessionFile(account.store_path)
    file.write(replace(file.read(), access_token=None))
    assert await login(account) == session
    assert await devices(account) == [session.device_id]


async def test_a_wrong_password_is_refused_and_so_is_an_unknown_user(account):
    with pytest.raises(CredentialsRefused, match="MATRIX_PASSWORD"):
        await login(replace(account, password="wrong"))
    stranger = UserId("@nobody-at-all:localhost")
    with pytest.raises(CredentialsRefused):
        await login(replace(account, user_id=stranger, store_path=account.store_path / "other"))


async def test_a_store_of_another_account_or_homeserver_is_not_used(account):
    await login(account)
    before = stored(account)
    for other in (
        replace(account, user_id=UserId("@other:localhost")),
        replace(account, homeserver="http://elsewhere:8008"),
    ):
        with pytest.raises(SessionMismatch, match="MATRIX_STORE_PATH"):
            await login(other)
    assert stored(account) == before
    await login(replace(account, homeserver=account.homeserver + "/"))


async def test_a_session_that_was_never_logged_in_is_replaced_and_keeps_its_device(account):
    with pytest.raises(CredentialsRefused):
        await login(replace(account, user_id=UserId("@nobody-at-all:localhost")))
    chosen = stored(account)
    assert (chosen["user_id"], chosen["access_token"]) == ("@nobody-at-all:localhost", None)
    session = await login(account)
    assert session.device_id == chosen["device_id"]
    assert await devices(account) == [session.device_id]


async def test_a_token_replaces_a_session_that_was_never_logged_in(account):
    with pytest.raises(CredentialsRefused):
        await login(replace(account, password="wrong"))
    async with MatrixUser(account.homeserver, account.user_id, PASSWORD) as operator:
        session = await login(replace(account, password=None, access_token=operator.access_token))
        assert session.device_id == operator.device_id


async def test_a_token_is_used_with_the_device_it_belongs_to(account, tmp_path):
    session = await login(account)
    by_token = replace(
        account,
        password=None,
        access_token=stored(account)["access_token"],
        store_path=tmp_path / "second",
    )
    assert await login(by_token) == session
    assert await login(by_token) == session
    with pytest.raises(CredentialsRefused, match="MATRIX_ACCESS_TOKEN"):
        await login(replace(by_token, access_token="nonsense"))
    with pytest.raises(CredentialsRefused, match="MATRIX_USER_ID"):
        await login(
            replace(by_token, user_id=UserId("@other:localhost"), store_path=tmp_path / "third")
        )


async def test_a_token_of_another_device_than_the_stored_one_is_not_used(account):
    await login(account)
    async with MatrixUser(account.homeserver, account.user_id, PASSWORD) as other:
        token = other.access_token
        with pytest.raises(SessionMismatch, match="device"):
            await login(replace(account, password=None, access_token=token))


async def test_a_device_that_was_logged_out_for_good_is_not_replaced(account):
    await login(account)
    before = stored(account)
    async with MatrixUser(
        account.homeserver, account.user_id, access_token=before["access_token"]
    ) as operator:
        await operator.request("POST", "/logout", {})
    with pytest.raises(CredentialsRefused, match="reset"):
        await login(account)
    assert stored(account) == before


@pytest.mark.system
async def test_a_session_that_ends_softly_is_renewed_and_no_order_is_lost_or_refused(tmp_path):
    settings = {"session_lifetime": "2s", "refreshable_access_token_lifetime": "1s"}
    async with Synapse(settings=settings) as synapse:
        user_id = UserId(await synapse.register("bot", PASSWORD))
        account = Account(synapse.url, user_id, tmp_path / "store", password=PASSWORD)
        client = MatrixClient(account, on_change=lambda up, reason, outage_s: None)
        outcomes = []
        over = anyio.Event()

        async def perform_orders() -> None:
            while not over.is_set():
                outcomes.append(await client.perform(LookUpName(user_id), TxnId("t")))

        async def sync_until_logged_out(since: SyncToken) -> None:
            while True:
                since = (await client.sync(since)).token

        try:
            session = await client.login()
            batch, _ = await client.initial_sync(None)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(perform_orders)
                # An order meets the logout first; the long poll ends at once and not after 30 s.
                with anyio.fail_after(10), pytest.raises(LoggedOut):
                    await sync_until_logged_out(batch.token)
                so_far = len(outcomes)
                assert await client.login() == session
                await client.initial_sync(batch.token)
                over.set()
            assert len(outcomes) > so_far
            assert set(outcomes) == {NameFound("bot")}
            assert await devices(account) == [session.device_id]
        finally:
            await client.aclose()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"user_id": 5}', '"x"', "null"])
def test_the_error_for_a_broken_session_file_names_the_correction(tmp_path, text):
    (tmp_path / "session.json").write_text(text)
    with pytest.raises(SessionUnusable, match="session"):
        SessionFile(tmp_path).read()


def test_a_session_does_not_show_its_token():
    session = StoredSession("http://here", UserId("@a:b"), "D", access_token="secret")
    assert "secret" not in repr(session)
