import pytest

from agent_platform.registry.base_url import base_from_ws_url, base_url_fault


@pytest.mark.parametrize(
    ("ws_url", "base"),
    [
        ("ws://h:8000/v1/agent_ws/", "ws://h:8000"),
        ("ws://h:8000/v1/agent_ws", "ws://h:8000"),
        ("ws://h:8000/agent_ws/", "ws://h:8000"),
        ("wss://h/agents/a/v1/agent_ws/42/", "wss://h/agents/a"),
        ("wss://h/agents/a/agent_ws?x=1#y", "wss://h/agents/a"),
        ("http://agent_ws:8000/v1/agent_ws/7/", "http://agent_ws:8000"),
        ("ws://h/v1/agent_ws/1/agent_ws/", "ws://h"),
        ("ws://h:8000", "ws://h:8000"),
        ("ws://h:8000/?token=1", "ws://h:8000"),
        (" ws://h/v1/agent_ws/ ", "ws://h"),
    ],
)
def test_the_base_is_the_part_before_the_endpoint(ws_url, base):
    assert base_from_ws_url(ws_url) == base


@pytest.mark.parametrize("ws_url", ["ws://h/ws", "ws://h/agent_wss/", "ws://h/xagent_ws/1"])
def test_an_older_url_without_the_endpoint_is_refused(ws_url):
    with pytest.raises(ValueError, match="expected a URL whose path has") as caught:
        base_from_ws_url(ws_url)
    assert ws_url in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://h", "https://h.example:8443/a/b", "ws://127.0.0.1:1", "wss://[::1]:9/"]
)
def test_usable_urls_have_no_fault(url):
    assert base_url_fault(url) is None


EXPECTED = "a URL such as https://agents.example.org (http, https, ws, wss; no query)"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("ftp://h", '"ftp://h"'),
        ("h:8000", '"h:8000"'),
        ("http://", '"http://"'),
        ("http://h:port", "a URL that can't be read"),
        ("http://h:99999", "a URL that can't be read"),
        ("http://[::1", "a URL that can't be read"),
        ("http://h:0", '"http://h:0"'),
        ("http://h/?a=1", '"http://h/?a=1"'),
        ("http://h/#a", '"http://h/#a"'),
        ("http://h /", '"http://h /"'),
        ("http://ü.example", '"http://ü.example"'),
        ("http://h\n", '"http://h\\n"'),
    ],
)
def test_the_fault_of_an_unusable_url_says_what_was_found(url, found):
    assert base_url_fault(url) == (found, EXPECTED)


def test_secrets_in_a_url_are_not_shown():
    assert base_url_fault("http://ann:hunter2@h") == (
        "a URL with a user name or password",
        f"{EXPECTED}; secrets belong in `token_env`",
    )
