"""The version of the installed program (contract S3)."""

from importlib import metadata


def version() -> str:
    """Return the version of the installed package; `unknown` where it runs without being installed."""
    try:
        return metadata.version("surfaces-bot")
    except metadata.PackageNotFoundError:
        return "unknown"
