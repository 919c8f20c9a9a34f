"""The environment: every fault at once with variable, found and expected, and no secret shown (E1–E10)."""

import os
from pathlib import Path

import pytest

from cli import settings
from cli.agents import load_configuration
from cli.env_file import loose_env_file
from cli.errors import CommandFailed, ExitCode
from cli.settings import LocalPaths, Settings

NEEDED = {
    "MATRIX_HOMESERVER": "https://matrix.example.org",
    "MATRIX_USER_ID": "@lambda:example.org",
    "MATRIX_PASSWORD": "s3cret-password",
}
OURS = ("MATRIX_", "AGENT_", "SURFACES_")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty environment and an empty working directory."""
    for name in os.environ:
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    """Load with the required variables and some changes; `None` removes a variable."""

    def load_with(**changes: str | None) -> Settings:
        for name, value in (NEEDED | changes).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return settings.load(Settings)

    return load_with


def refusal(load, **changes: str | None) -> str:
    with pytest.raises(CommandFailed) as failed:
        load(**changes)
    assert failed.value.code == ExitCode.USAGE
    assert "\n" not in str(failed.value)
    return str(failed.value)


# -- the file ----------------------------------------------------------------------------------------


def test_an_env_file_that_is_not_text_is_a_configuration_error(load, tmp_path):
    (tmp_path / ".env").write_bytes(b"MATRIX_PASSWORD=p\xe4ss")
    assert ".env" in refusal(load)
    with pytest.raises(CommandFailed):
        LocalPaths()


def test_a_line_of_the_env_file_that_sets_nothing_is_a_fault_without_its_text(
    load, tmp_path, capfd
):
    (tmp_path / ".env").write_text("# a comment\n\nMATRIX_PASSWORD hunter2\nSURFACES_BRAND=Sigma\n")
    found = refusal(load, MATRIX_USER_ID="anna")
    assert f"{tmp_path}/.env:3: found no assignment; expected NAME=value" in found
    assert "MATRIX_USER_ID: " in found, "all faults at once"
    assert "hunter2" not in found
    assert capfd.readouterr().err == ""


def test_an_empty_token_of_an_agent_leaves_the_one_in_the_env_file(load, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("CODER_TOKEN=abc\n")
    agents = tmp_path / "agents.yaml"
    agents.write_text("agents:\n  - {id: coder, label: Coder, token_env: CODER_TOKEN}\n")
    monkeypatch.setenv("CODER_TOKEN", "")
    monkeypatch.setenv("AGENT_BASE_URL", "http://agents.example.org")
    monkeypatch.setenv("MATRIX_PLATFORM_BACKEND", "real")
    monkeypatch.setenv("MATRIX_AGENT_REGISTRY_PATH", str(agents))
    load()
    _, registry = load_configuration()
    assert registry.agents[0].token == "abc"


def test_an_env_file_with_a_secret_that_others_can_read_is_found_and_still_used(load, tmp_path):
    path = tmp_path / ".env"
    path.write_text("MATRIX_PASSWORD=s3cret\n")
    for mode, loose in ((0o600, False), (0o640, True), (0o644, True), (0o400, False)):
        path.chmod(mode)
        found = loose_env_file()
        assert (found is not None) is loose
        assert found is None or (found.path, found.mode) == (path, f"{mode:04o}")
        assert load(MATRIX_PASSWORD=None).matrix_password is not None


def test_the_token_of_an_agent_is_a_secret_whatever_its_variable_is_called(tmp_path):
    path = tmp_path / ".env"
    path.write_text("CODER_KEY='tok-of-the-coder '\n")
    path.chmod(0o644)
    assert loose_env_file() is None
    assert loose_env_file(["tok-of-the-coder"]) is not None


@pytest.mark.parametrize("text", ["", "MATRIX_PASSWORD=\n", "MATRIX_USER_ID=@a:b\n"])
def test_an_env_file_without_a_secret_may_be_read_by_all(tmp_path, text):
    (tmp_path / ".env").write_text(text)
    (tmp_path / ".env").chmod(0o644)
    assert loose_env_file() is None


# -- what is right -----------------------------------------------------------------------------------


def test_three_variables_are_enough_and_the_rest_has_the_documented_defaults(load):
    settings = load()
    assert settings.matrix_homeserver == "https://matrix.example.org"
    assert settings.matrix_user_id == "@lambda:example.org"
    assert settings.matrix_db_path == Path("lambda_matrix.db")
    assert settings.matrix_store_path == Path("matrix_store")
    assert settings.matrix_allowed_users == ()
    assert settings.matrix_platform_backend == "mock"
    assert settings.matrix_agent_registry_path is None
    assert settings.base_url is None
    assert (settings.agent_timeout_s, settings.agent_retry_s) == (30.0, 120.0)
    assert (settings.agent_max_answer_kb, settings.agent_max_turn_s) == (512, 1800.0)
    assert settings.surfaces_workspace_dir == Path("/agents")
    assert (settings.surfaces_brand, settings.surfaces_locale) == ("Lambda", "en")
    assert (settings.surfaces_log_format, settings.surfaces_log_level) == (None, "info")


def test_a_token_can_be_used_instead_of_a_password(load):
    settings = load(MATRIX_PASSWORD=None, MATRIX_ACCESS_TOKEN="syt_token")
    assert settings.matrix_access_token is not None
    assert settings.matrix_access_token.get_secret_value() == "syt_token"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_empty_means_unset(load, name):
    variable = name.upper()
    if variable in NEEDED:
        assert refusal(load, **{variable: ""}) == refusal(load, **{variable: None})
    else:
        assert load(**{variable: ""}) == load()


def test_the_dotenv_file_is_read_and_the_environment_wins(load):
    Path(".env").write_text(
        "SURFACES_BRAND=File\nSURFACES_LOCALE=ru\nMATRIX_PASSWORD=\nUNRELATED=1\n", encoding="utf-8"
    )
    settings = load(SURFACES_BRAND="Environment")
    assert (settings.surfaces_brand, settings.surfaces_locale) == ("Environment", "ru")


def test_an_empty_variable_does_not_hide_the_dotenv_file(load):
    Path(".env").write_text("SURFACES_BRAND=File\n", encoding="utf-8")
    assert load(SURFACES_BRAND="").surfaces_brand == "File"


def test_the_example_file_names_every_variable_and_only_those():
    example = Path(__file__).parents[2] / ".env.example"
    named = {
        line.partition("=")[0]
        for line in example.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    later = {"SURFACES_MAX_FILE_MB", "SURFACES_ENCRYPTION"}
    assert named - later == {name.upper() for name in Settings.model_fields} - later


def test_a_slash_at_the_end_of_a_url_is_removed(load):
    settings = load(
        MATRIX_HOMESERVER="https://matrix.example.org/", AGENT_BASE_URL="http://agents:1/"
    )
    assert settings.matrix_homeserver == "https://matrix.example.org"
    assert settings.base_url == "http://agents:1"


def test_allowed_users_are_a_list_of_ids_and_globs(load):
    settings = load(MATRIX_ALLOWED_USERS=" @ann:example.org, ,@*:friends.net,*")
    assert settings.matrix_allowed_users == ("@ann:example.org", "@*:friends.net", "*")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("ws://agents:1/v1/agent_ws/7/", "ws://agents:1"),
        ("wss://agents/agent_ws", "wss://agents"),
        ("ws://agents/prefix/v1/agent_ws/", "ws://agents/prefix"),
    ],
)
def test_the_older_name_of_the_agents_url_is_read_when_the_newer_is_unset(load, url, base):
    assert load(AGENT_WS_URL=url).base_url == base
    assert load(AGENT_WS_URL=url, AGENT_BASE_URL="http://new").base_url == "http://new"


@pytest.mark.parametrize(("given", "meant"), [("RU", "ru"), ("En", "en")])
def test_case_does_not_matter_in_keywords(load, given, meant):
    assert load(SURFACES_LOCALE=given).surfaces_locale == meant
    assert load(SURFACES_LOG_LEVEL="DEBUG").surfaces_log_level == "debug"


# -- what is wrong -----------------------------------------------------------------------------------

WRONG = {
    "MATRIX_HOMESERVER": ["matrix.example.org", "ftp://example.org", "https://", "http://["],
    "MATRIX_USER_ID": ["lambda", "@lambda", "lambda:example.org", "@a b:example.org", "@:x"],
    "MATRIX_ALLOWED_USERS": ["anna", "@ann:example.org,bert"],
    "MATRIX_PLATFORM_BACKEND": ["fake", "REAL?"],
    "AGENT_BASE_URL": ["agents", "ftp://agents", "http://", "http://a?x=1", "http://a:0"],
    "AGENT_WS_URL": ["ws://agents/other", "ftp://agents/agent_ws", "agents"],
    "AGENT_TIMEOUT_S": ["soon", "0", "-1", "inf", "nan", "1e9"],
    "AGENT_RETRY_S": ["long", "-1", "inf", "nan"],
    "AGENT_MAX_ANSWER_KB": ["much", "0", "-1", "1.5", "4097"],
    "AGENT_MAX_TURN_S": ["ever", "0", "-1", "inf", "nan", "86401"],
    "SURFACES_BRAND": ["x" * 201],
    "SURFACES_LOCALE": ["de", "english"],
    "SURFACES_LOG_FORMAT": ["xml"],
    "SURFACES_LOG_LEVEL": ["loud"],
}


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_reported_with_found_and_expected(load, variable, value):
    message = refusal(load, **{variable: value})
    assert message.count(f"{variable}: found ") == 1
    fault = message.partition(f"{variable}: found ")[2]
    found, _, expected = fault.partition("; expected ")
    assert value in found or found.startswith("a URL ")
    assert expected
    assert not expected.startswith("found")
    assert "Invalid" not in expected, "what is expected is said, not what is wrong"
    assert message.count("found ") == 1, "nothing else is wrong"


def test_every_wrong_entry_of_a_list_is_named_once(load):
    message = refusal(load, MATRIX_ALLOWED_USERS="anna,@ann:example.org,bert")
    assert "found 'anna', 'bert' in 'anna,@ann:example.org,bert'; expected full" in message
    assert refusal(load, MATRIX_ALLOWED_USERS="anna").count("'anna'") == 1


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_fault_has_no_phrase_of_a_library(load, variable, value):
    message = refusal(load, **{variable: value}).replace(value, "")
    for phrase in ("Value error", "Input", "should", "unable to", "valid", "type="):
        assert phrase not in message


def test_a_fault_names_where_the_value_is_from_and_the_file_that_was_read(load, tmp_path):
    path = tmp_path / ".env"
    path.write_text("SURFACES_LOCALE=de\nAGENT_TIMEOUT_S=soon\n")
    message = refusal(load, AGENT_TIMEOUT_S="later", MATRIX_PASSWORD=None)
    assert f"3 faults, {path} was read" in message
    assert f"SURFACES_LOCALE: found 'de'; expected en or ru (set in {path})" in message
    assert "AGENT_TIMEOUT_S: found 'later'" in message
    assert "such as 30 (set in the environment)" in message
    assert message.count("(set in ") == 2, "what is missing is set nowhere"


def test_without_an_env_file_the_message_says_where_it_was_looked_for(load, tmp_path):
    assert f"1 fault, there is no {tmp_path / '.env'}" in refusal(load, MATRIX_USER_ID=None)


@pytest.mark.parametrize("variable", ["MATRIX_HOMESERVER", "MATRIX_USER_ID", "MATRIX_PASSWORD"])
def test_a_missing_value_is_reported_with_what_is_expected(load, variable):
    message = refusal(load, **{variable: None})
    assert f"{variable}: found nothing" in message
    assert "expected" in message
    assert message.count("found ") == 1


def test_real_agents_need_a_url_or_a_registry(load):
    message = refusal(load, MATRIX_PLATFORM_BACKEND="real")
    assert "AGENT_BASE_URL: found nothing" in message
    assert "MATRIX_AGENT_REGISTRY_PATH" in message
    assert load(MATRIX_PLATFORM_BACKEND="real", AGENT_BASE_URL="http://a").base_url == "http://a"
    assert load(MATRIX_PLATFORM_BACKEND="real", MATRIX_AGENT_REGISTRY_PATH="a.yaml")


def test_all_faults_are_reported_at_once(load, tmp_path):
    Path("loose.db").touch(mode=0o644)
    Path("loose.db").chmod(0o644)
    message = refusal(
        load,
        MATRIX_HOMESERVER=None,
        MATRIX_USER_ID="lambda",
        MATRIX_PASSWORD=None,
        MATRIX_DB_PATH="loose.db",
        MATRIX_PLATFORM_BACKEND="real",
        AGENT_TIMEOUT_S="soon",
        SURFACES_LOCALE="de",
        SURFACES_LOG_LEVEL="loud",
    )
    for variable in (
        "MATRIX_HOMESERVER",
        "MATRIX_USER_ID",
        "MATRIX_PASSWORD",
        "MATRIX_DB_PATH",
        "AGENT_BASE_URL",
        "AGENT_TIMEOUT_S",
        "SURFACES_LOCALE",
        "SURFACES_LOG_LEVEL",
    ):
        assert message.count(f"{variable}: ") == 1, variable


# -- modes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o400, True), (0o640, False)])
def test_a_database_that_others_can_read_is_refused_with_path_and_mode(load, mode, fine):
    Path("bot.db").touch()
    Path("bot.db").chmod(mode)
    if fine:
        assert load(MATRIX_DB_PATH="bot.db")
        return
    message = refusal(load, MATRIX_DB_PATH="bot.db")
    assert "MATRIX_DB_PATH: bot.db has mode 0640; expected 0600" in message
    assert "chmod 600 bot.db" in message


@pytest.mark.parametrize(("mode", "fine"), [(0o700, True), (0o750, False), (0o701, False)])
def test_a_store_that_others_can_enter_is_refused_with_path_and_mode(load, mode, fine):
    Path("store").mkdir()
    Path("store").chmod(mode)
    if fine:
        assert load(MATRIX_STORE_PATH="store")
        return
    message = refusal(load, MATRIX_STORE_PATH="store")
    assert f"MATRIX_STORE_PATH: store has mode {mode:04o}; expected 0700" in message


def test_a_file_for_a_directory_and_a_directory_for_a_file_are_refused(load):
    Path("file").touch(mode=0o600)
    Path("directory").mkdir(mode=0o700)
    message = refusal(load, MATRIX_DB_PATH="directory", MATRIX_STORE_PATH="file")
    assert "MATRIX_DB_PATH: directory is not a file" in message
    assert "MATRIX_STORE_PATH: file is not a directory" in message


# -- secrets -----------------------------------------------------------------------------------------


def test_secrets_are_never_shown(load):
    secret = "s3cret"
    message = refusal(load, MATRIX_PASSWORD=secret, MATRIX_ACCESS_TOKEN=secret, MATRIX_USER_ID="x")
    assert secret not in message
    assert secret not in repr(load(MATRIX_PASSWORD=secret, MATRIX_USER_ID="@a:b"))


@pytest.mark.parametrize("variable", ["AGENT_BASE_URL", "AGENT_WS_URL", "MATRIX_HOMESERVER"])
@pytest.mark.parametrize("path", ["", "/agent_ws", "/other"])
def test_a_password_in_a_url_is_refused_and_not_shown(load, variable, path):
    message = refusal(load, **{variable: f"https://user:s3cret@example.org{path}"})
    assert variable in message
    assert "s3cret" not in message


PASTED = [
    "syt_bGFtYmRh_aXqWvJkLmNoPqRsTuVwX_0aBcDe",
    "mct_u8gQ3pX5tq",
    "sk-proj-aaaaaaaaaaaaaaaa",
    "MDAxOGxvY2F0aW9uIGV4YW1wbGU",
    "0123456789abcdef0123",
    "user:hunter2@matrix.example.org",
    "ftp://user:hunter2@matrix.example.org",
    "matrix.example.org/?access_token=hunter2",
    "https://matrix.example.org/other?access_token=hunter2",
    "my-secret-passphrase",
]


@pytest.mark.parametrize("secret", PASTED)
@pytest.mark.parametrize(
    "variable",
    [
        *("MATRIX_HOMESERVER", "MATRIX_USER_ID", "MATRIX_ALLOWED_USERS", "AGENT_BASE_URL"),
        *("AGENT_WS_URL", "MATRIX_PLATFORM_BACKEND", "AGENT_TIMEOUT_S", "SURFACES_LOG_LEVEL"),
    ],
)
def test_a_secret_in_the_wrong_variable_is_refused_and_not_shown(load, variable, secret):
    message = refusal(load, **{variable: secret})
    assert f"{variable}: found a" in message
    assert secret not in message
    assert "hunter2" not in message
