"""What is said about files, from the user and from the agent (contracts F1–F3)."""

from collections.abc import Iterable

from msgspec import Struct

from machines.i18n.formatter import Formatter, plain

_UNITS = ("bytes", "kilobytes", "megabytes", "gigabytes")


class FileLine(Struct, frozen=True):
    """One row of `!list`: a file that goes with the next message."""

    number: int
    name: str
    size_bytes: int


class Files(Formatter):
    """Sentences about attachments."""

    def files_not_yet(self) -> str:
        """Answer a file where none can be taken."""
        return self.say("files_not_yet")

    def file_staged(self, name: str, size_bytes: int, count: int) -> str:
        """Acknowledge a file; `count` files now wait for the next message."""
        return self.say(
            "file_staged", name=plain(name), size=self.file_size(size_bytes), count=count
        )

    def file_too_large(self, name: str, limit_mb: int) -> str:
        """Turn down a file of more than `limit_mb` megabytes."""
        return self.say("file_too_large", name=plain(name), limit=limit_mb)

    def file_refused(self, name: str) -> str:
        """Say that a file could not be fetched, verified or stored."""
        return self.say("file_refused", name=plain(name))

    def files_list(self, files: Iterable[FileLine]) -> str:
        """Answer `!list`."""
        lines = [
            self.say(
                "file_line",
                number=file.number,
                name=plain(file.name),
                size=self.file_size(file.size_bytes),
            )
            for file in files
        ]
        header, footer = self.say("files_header"), self.say("files_footer")
        return "\n".join((header, "", *lines, "", footer)) if lines else self.no_files()

    def no_files(self) -> str:
        """Answer `!list` or `!remove` when no file waits."""
        return self.say("no_files")

    def files_removed(self, count: int) -> str:
        """Answer `!remove`."""
        return self.say("files_removed", count=count)

    def file_number_unknown(self, count: int) -> str:
        """Answer `!remove` with a number that is not in the list of `count` files."""
        return self.say("file_number_unknown", count=count)

    def agent_file_failed(self, name: str) -> str:
        """Say that a file that the agent offers can't be shown."""
        return self.say("agent_file_failed", name=plain(name))

    def file_size(self, size_bytes: int) -> str:
        """Write a size in the largest unit that leaves at least 1."""
        size, unit = float(size_bytes), 0
        while size >= 1000 and unit < len(_UNITS) - 1:
            size, unit = size / 1000, unit + 1
        number = f"{size:.1f}".removesuffix(".0").replace(".", self.say("decimal_mark"))
        return self.say(_UNITS[unit], size=number)
