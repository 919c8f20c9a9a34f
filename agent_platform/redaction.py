"""What a fault may repeat of a configured value: nothing that may be a secret in the wrong place (contract E9).

People paste a token where its variable's name belongs, and a password into a URL. What is wrong with a value is then
told without the value: file, line and key, or the variable, say where it stands.
"""

import json
import re

HIDDEN = "a value that is not shown, because it may be a secret"

_LONGEST = 1000  # the patterns go back and forth
_MAY_BE_SECRET = (
    re.compile(r":[^/@,\s]*@"),  # user:password@host, with or without a scheme
    re.compile(r"[?&#;][^=\s]*=[^&\s]{4}"),  # …?access_token=…
    re.compile(r"(?<![A-Za-z0-9])(syt|mat|mct|mcr|sk|pk|gh[a-z]|xox[a-z]|eyJ[a-zA-Z0-9]+)[_.-]"),
    # Letters and digits in one long word.
    re.compile(r"(?=[A-Za-z_=+~-]*[0-9])(?=[0-9_=+~-]*[A-Za-z])[A-Za-z0-9_=+~-]{16,}"),
    re.compile(r"(?i)(?=.{12}).*(secret|token|passw|bearer)"),
)
# Upper-case words, as people name variables; a random text is none.
_PLAINLY_A_NAME = re.compile(r"[A-Z]{1,15}[0-9]{0,2}(_[A-Z]{1,15}[0-9]{0,2}){1,7}")


def may_be_secret(text: str) -> bool:
    """Whether a value looks like a token, or like an address with credentials in it; a very long one is not read."""
    return len(text) > _LONGEST or any(pattern.search(text) for pattern in _MAY_BE_SECRET)


def is_plainly_a_name(text: str) -> bool:
    """Whether what stands for a variable's name can't be a token that was pasted there."""
    return _PLAINLY_A_NAME.fullmatch(text) is not None


def quoted(text: str) -> str:
    """Return text in quotes, on one line, cut to 80 characters; or `HIDDEN` if it may be a secret."""
    if may_be_secret(text):
        return HIDDEN
    return json.dumps(text if len(text) <= 80 else text[:79] + "…", ensure_ascii=False)
