"""The delimiters of mathematics in Markdown (contract D7): where a formula is open."""

import re

DISPLAY = ("$$", r"\[")
"""The opening delimiters of a displayed formula, which may have several lines."""
CLOSED_BY = {"$$": "$$", r"\[": r"\]", r"\(": r"\)", "$": "$"}
_DELIMITER = re.compile(r"\$|\\[(\[]")
TOKEN = re.compile(r"`+|\\.|\$\$?", re.DOTALL)
"""A run of backticks, an escaped character or a dollar delimiter."""


def open_formula(text: str, begin: int = 0) -> tuple[str, int]:
    """Return the opening delimiter of a formula that is not closed, or "", and its offset; code spans are skipped."""
    if not _DELIMITER.search(text, begin):
        return "", 0
    tokens = [(found[0], found.start()) for found in TOKEN.finditer(text, begin)]
    last_run = {token: at for token, at in tokens if token.startswith("`")}
    code = opener = ""
    opened_at = 0
    for token, at in tokens:
        if code:
            code = "" if token == code else code
        elif opener and token == CLOSED_BY[opener]:
            opener = ""
        elif opener in DISPLAY or (opener and token not in DISPLAY):
            continue
        elif token.startswith("`"):
            code = token if last_run[token] > at else ""
        elif token in DISPLAY or token == r"\(" or (token == "$" and _opens(text[at + 1 : at + 2])):
            opener, opened_at = token, at
    return opener, opened_at


def _opens(following: str) -> bool:
    """Whether a formula probably begins with a dollar sign before this character."""
    return not following or not (following.isspace() or following.isdigit())
