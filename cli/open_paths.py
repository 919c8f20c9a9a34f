"""Names in directories that are held open, so that what is deleted is what was looked at (contract X7).

A path is walked one directory at a time, and no step of it may be a symbolic link. The directory and the file stay
open until the deletion: the name is then taken out of that directory, wherever it has been moved to meanwhile, and
only while it still leads to that file. Between this last look and the deletion no system call leaves less room.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

# Where a directory may be entered but not listed, only O_PATH opens it; not every system has that.
_LOOK = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class LinkOnTheWay(Exception):
    """A step of a path is a symbolic link; `link` is that one."""

    def __init__(self, link: Path) -> None:
        super().__init__(str(link))
        self.link = link


@dataclass(frozen=True, slots=True)
class Held:
    """A file or directory at `path`, held open as `file`; `name` is its name in the open `directory`."""

    path: Path
    directory: int
    name: str
    file: int

    @property
    def mode(self) -> int:
        """What kind of file it is, and its permissions."""
        return os.fstat(self.file).st_mode

    def entries(self) -> list[str]:
        """Return the names in a directory that was opened to be read."""
        return sorted(os.listdir(self.file))  # noqa: PTH208 - of a descriptor

    def unlink(self) -> None:
        """Delete the file; one that is gone already is fine.

        Raises:
            OSError: it can't be deleted, or its name leads to another file by now.
        """
        if self._is_there():
            with _named(self.path):
                os.unlink(self.name, dir_fd=self.directory)

    def remove_directory(self) -> None:
        """Delete the empty directory; one that is gone already is fine, and one that a volume is mounted on stays.

        Raises:
            OSError: it can't be deleted, or its name leads to another directory by now.
        """
        if not self._is_there():
            return
        with _named(self.path):
            try:
                os.rmdir(self.name, dir_fd=self.directory)
            except OSError as error:
                if error.errno != errno.EBUSY or self.entries():
                    raise

    def _is_there(self) -> bool:
        with _named(self.path):
            try:
                found = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
            except FileNotFoundError:
                return False
            if not os.path.samestat(found, os.fstat(self.file)):
                raise OSError(errno.EEXIST, "something else has taken its place")
            return True


def hold_directory(path: Path, stack: ExitStack) -> int | None:
    """Open the directory at `path` until the stack is closed; `None` where there is none.

    Raises:
        LinkOnTheWay: the path leads through a symbolic link, or is one.
        OSError: it can't be entered.
    """
    absolute = path.is_absolute()
    file = os.open("/" if absolute else ".", _LOOK | os.O_DIRECTORY)
    stack.callback(os.close, file)
    walked = Path("/") if absolute else Path()
    for part in path.parts[1:] if absolute else path.parts:
        walked /= part
        try:
            next_ = os.open(part, _LOOK | os.O_DIRECTORY, dir_fd=file)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            if stat.S_ISLNK(os.stat(part, dir_fd=file, follow_symlinks=False).st_mode):
                raise LinkOnTheWay(walked) from None
            return None
        file = next_
        stack.callback(os.close, file)
    return file


def hold(path: Path, directory: int, stack: ExitStack, *, read: bool = False) -> Held | None:
    """Open what has the last name of `path` in an open directory; `None` where there is nothing.

    Nothing is read from it unless `read` says so; then it has to be readable.

    Raises:
        LinkOnTheWay: it is a symbolic link.
        OSError: it can't be opened.
    """
    try:
        found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            raise LinkOnTheWay(path)
        # What is no plain file or directory is only looked at: opening a device may do something.
        plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        file = os.open(path.name, _READ if read and plain else _LOOK, dir_fd=directory)
    except FileNotFoundError:
        return None
    stack.callback(os.close, file)
    return Held(path, directory, path.name, file)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the whole path in an error; the system was told its last part only."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
