"""The target of a redirect is safe to log."""

import pytest

from machines.redirects import redirect_target

REQUESTED = "https://matrix.example.org/_matrix/client/v3/login"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://other.example/a/b", "https://other.example/a/b"),
        ("https://other.example:8448", "https://other.example:8448"),
        ("/elsewhere", "https://matrix.example.org/elsewhere"),
        ("//other.example/x", "https://other.example/x"),
        ("https://user:s3cret@other.example/x", "https://other.example/x"),
        ("https://other.example/x?access_token=s3cret#s3cret", "https://other.example/x"),
        ("http://[::1]:8008/x", "http://[::1]:8008/x"),
        ("https://other.example/a\nb\u202e", "https://other.example/ab%E2%80%AE"),
        ("https://пример.example/", "https://%D0%BF%D1%80%D0%B8%D0%BC%D0%B5%D1%80.example/"),
        ("/\udcff\ud800", "https://matrix.example.org/%3F%3F"),
        ("https://\udcff.example/", "https://%3F.example/"),
        ("", REQUESTED),
        ("http://[::1", "an address that can't be read"),
        ("https://other.example:port/", "an address that can't be read"),
        ("mailto:somebody@example.org", "an address that can't be read"),
        (f"https://other.example/{'a' * 500}", f"https://other.example/{'a' * 177}…"),
    ],
)
def test_only_origin_and_path_are_shown_on_one_line(location, shown):
    assert redirect_target(REQUESTED, location) == shown
