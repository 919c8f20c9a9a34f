"""A daemon that can't run prints one line with the reason, and its exit code gives the kind (S4, E2, E10)."""

import stat

import pytest

from tests.system.users import PASSWORD

pytestmark = pytest.mark.anyio

SECRET = "hush-hush-9471"


async def ends(daemon):
    """Start the daemon; return its exit code and its one line of output."""
    async with daemon:
        code = await daemon.wait_ended()
    assert len(daemon.other_output) == 1
    return code, daemon.other_output[0]


async def test_all_faults_of_the_configuration_are_reported_in_one_line(make_bot):
    bot = await make_bot(
        MATRIX_HOMESERVER="matrix.example.org",
        MATRIX_USER_ID="bot",
        MATRIX_PASSWORD="",
        MATRIX_ALLOWED_USERS="ann",
        MATRIX_PLATFORM_BACKEND="imaginary",
        AGENT_BASE_URL="ftp://agent",
        AGENT_TIMEOUT_S="soon",
        SURFACES_LOCALE="la",
    )
    code, line = await ends(bot.daemon)
    assert code == 2
    for variable, value in bot.daemon.environment.items():
        if variable.startswith(("MATRIX", "AGENT", "SURFACES_LOCALE")):
            assert variable in line
            assert value in line


async def test_a_fault_names_the_env_file_that_was_read(make_bot):
    bot = await make_bot(MATRIX_HOMESERVER="")
    path = bot.daemon.directory / ".env"
    path.write_text("MATRIX_HOMESERVER=matrix.example.org\n")
    code, line = await ends(bot.daemon)
    assert code == 2
    assert "found 'matrix.example.org'; expected an http" in line
    assert f"(set in {path})" in line


async def test_an_env_file_with_a_password_that_others_can_read_is_remarked_on(make_bot):
    bot = await make_bot(MATRIX_PASSWORD="")
    path = bot.daemon.directory / ".env"
    path.write_text(f"MATRIX_PASSWORD={PASSWORD}\n")
    path.chmod(0o644)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        (line,) = daemon.lines("env_file_readable")
        assert (line["level"], line["path"], line["mode"]) == ("warning", str(path), "0644")
        assert "chmod 600" in line["advice"]
        path.chmod(0o600)
        assert await daemon.stop() == 0
        await daemon.start()
        await daemon.wait_live()
        assert len(daemon.lines("env_file_readable")) == 1


async def test_a_fault_does_not_show_a_secret(make_bot):
    bot = await make_bot(MATRIX_PASSWORD=SECRET, MATRIX_ACCESS_TOKEN=SECRET, MATRIX_USER_ID="bot")
    code, line = await ends(bot.daemon)
    assert code == 2
    assert "MATRIX_USER_ID" in line
    assert SECRET not in line


async def test_an_empty_environment_names_all_that_is_needed(make_bot):
    bot = await make_bot(MATRIX_HOMESERVER="", MATRIX_USER_ID="", MATRIX_PASSWORD="")
    code, line = await ends(bot.daemon)
    assert code == 2
    for variable in ("MATRIX_HOMESERVER", "MATRIX_USER_ID", "MATRIX_PASSWORD"):
        assert variable in line


async def test_real_agents_need_an_address(make_bot):
    bot = await make_bot(AGENT_BASE_URL="")
    code, line = await ends(bot.daemon)
    assert code == 2
    assert "AGENT_BASE_URL" in line
    assert "MATRIX_AGENT_REGISTRY_PATH" in line


@pytest.mark.parametrize(
    "login",
    [
        {"MATRIX_PASSWORD": SECRET},
        {"MATRIX_PASSWORD": "", "MATRIX_ACCESS_TOKEN": SECRET},
        {"MATRIX_USER_ID": "@nobody-of-that-name:localhost"},
    ],
    ids=["password", "token", "user"],
)
async def test_refused_credentials_end_the_daemon(make_bot, login):
    bot = await make_bot(**login)
    code, line = await ends(bot.daemon)
    assert code == 3
    assert "MATRIX_" in line
    assert SECRET not in line
    assert PASSWORD not in line
    assert bot.daemon.lines("bot_state_changed")[-1]["to"] == "failed"


async def test_a_file_that_is_no_database_is_refused(make_bot):
    bot = await make_bot()
    path = bot.daemon.directory / "lambda_matrix.db"
    path.write_bytes(b"this was never a database" * 100)
    path.chmod(0o600)
    code, line = await ends(bot.daemon)
    assert code == 4
    assert "lambda_matrix.db" in line
    assert path.read_bytes() == b"this was never a database" * 100


async def test_a_database_that_can_not_be_created_is_refused(make_bot):
    bot = await make_bot(MATRIX_DB_PATH="absent/lambda.db")
    code, line = await ends(bot.daemon)
    assert code == 4
    assert "absent/lambda.db" in line
    assert f"the directory {bot.daemon.directory / 'absent'} does not exist" in line
    assert list(bot.daemon.directory.iterdir()) == []


async def test_its_files_are_readable_only_for_their_owner(make_bot):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in daemon.directory.rglob("*")
        }
        assert modes["matrix_store"] == 0o700
        assert {mode for name, mode in modes.items() if name != "matrix_store"} == {0o600}


@pytest.mark.parametrize(
    ("name", "mode"),
    [("lambda_matrix.db", 0o640), ("lambda_matrix.db", 0o604), ("matrix_store", 0o750)],
)
async def test_files_that_others_can_read_are_refused(make_bot, name, mode):
    bot = await make_bot()
    path = bot.daemon.directory / name
    path.touch() if name.endswith(".db") else path.mkdir()
    path.chmod(mode)
    code, line = await ends(bot.daemon)
    assert code == 2
    assert name in line
    assert f"{mode:04o}" in line
