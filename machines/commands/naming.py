"""The rule for names of chats and saves."""

MAX_NAME_LENGTH = 100


def one_line(name: str) -> str:
    """Return a name without line breaks, control characters and doubled spaces."""
    printable = (character if character.isprintable() else " " for character in name)
    return " ".join("".join(printable).split())
