"""The tag of a stored struct: the name under which its rows are kept, whatever its class is called.

A journalled class states its tag itself (`tag="send_message"`). Classes may be renamed; a tag never changes, because
rows that wait in a database carry it.
"""

from msgspec import Struct


def tag_of(value: Struct | type[Struct]) -> str:
    """Return the tag of a journalled struct, or of its class."""
    return str(value.__struct_config__.tag)
