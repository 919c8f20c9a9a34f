"""Names of chats and saves: their maximum length, and how they are cleaned."""

MAX_NAME_LENGTH = 100


def one_line(name: str) -> str:
    """Return a name in one line, without control characters and repeated spaces."""
    printable = (character if character.isprintable() else " " for character in name)
    return " ".join("".join(printable).split())
