"""Keeps secrets out of faults about configured values (contract E9).

People paste a token where the name of its variable belongs, or a password into a URL. Such a value is not shown: the
message names its file, line and key, or its variable.
"""

import json
import re

HIDDEN = "a value that is not shown, because it may be a secret"

_MAX_CHARS = 1000  # the patterns backtrack
_MAY_BE_SECRET = (
    re.compile(r":[^/@,\s]*@"),  # user:password@host, with or without a scheme
    re.compile(r"[?&#;][^=\s]*=[^&\s]{4}"),  # …?access_token=…
    re.compile(r"(?<![A-Za-z0-9])(syt|mat|mct|mcr|sk|pk|gh[a-z]|xox[a-z]|eyJ[a-zA-Z0-9]+)[_.-]"),
    # A long run of letters and digits.
    re.compile(r"(?=[A-Za-z_=+~-]*[0-9])(?=[0-9_=+~-]*[A-Za-z])[A-Za-z0-9_=+~-]{16,}"),
    re.compile(r"(?i)(?=.{12}).*(secret|token|passw|bearer)"),
)
# Upper-case words with underscores; no random token looks like that.
_VARIABLE_NAME = re.compile(r"[A-Z]{1,15}[0-9]{0,2}(_[A-Z]{1,15}[0-9]{0,2}){1,7}")


def may_be_secret(text: str) -> bool:
    """Whether a value looks like a token or an address with credentials; a very long value counts as one."""
    return len(text) > _MAX_CHARS or any(pattern.search(text) for pattern in _MAY_BE_SECRET)


def is_variable_name(text: str) -> bool:
    """Whether text is certainly the name of a variable, and not a token that was pasted instead of it."""
    return _VARIABLE_NAME.fullmatch(text) is not None


def quoted(text: str) -> str:
    """Return text in quotes, on one line, cut to 80 characters; or `HIDDEN` if it may be a secret."""
    if may_be_secret(text):
        return HIDDEN
    return json.dumps(text if len(text) <= 80 else text[:79] + "…", ensure_ascii=False)
