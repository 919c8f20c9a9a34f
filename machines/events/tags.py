"""The tag of a stored struct, which identifies its class in a row.

Every journalled class has an explicit tag (`tag="send_message"`). A class may be renamed; its tag never changes,
because rows in existing databases contain it.
"""

from msgspec import Struct


def tag_of(value: Struct | type[Struct]) -> str:
    """Return the tag of a journalled struct, or of its class."""
    return str(value.__struct_config__.tag)
