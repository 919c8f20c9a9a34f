"""Files and directories that stay open from the check to the deletion (contract X7).

A path is opened one directory at a time; no part of it may be a symbolic link. The name is deleted in the open
directory, even if the directory was moved, and only while the name still leads to the open file. No system call closes
the gap between that last check and the deletion.
"""

import errno
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

# A directory without read permission can be opened with O_PATH only, which some systems lack.
_ENTER = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class SymlinkInPath(Exception):
    """A part of a path is a symbolic link; `link` is the path of the link."""

    def __init__(self, link: Path) -> None:
        super().__init__(str(link))
        self.link = link


@dataclass(frozen=True, slots=True)
class OpenPath:
    """A file or directory, open as `file`; `directory` is the open directory that it is in."""

    path: Path
    directory: int
    file: int

    @property
    def mode(self) -> int:
        """The kind of the file, and its permissions."""
        return os.fstat(self.file).st_mode

    def entries(self) -> list[str]:
        """Return the names in a directory that was opened for reading."""
        return sorted(os.listdir(self.file))  # noqa: PTH208 - of a descriptor

    def unlink(self) -> None:
        """Delete the file; a missing file is no error.

        Raises:
            OSError: it can't be deleted, or another file has its name now.
        """
        if self._is_there():
            os.unlink(self.path.name, dir_fd=self.directory)

    def remove_directory(self) -> None:
        """Delete the empty directory; a missing one is no error, and a mount point stays.

        Raises:
            OSError: it can't be deleted, or another directory has its name now.
        """
        if self._is_there():
            try:
                os.rmdir(self.path.name, dir_fd=self.directory)
            except OSError as error:
                if error.errno != errno.EBUSY or self.entries():
                    raise

    def _is_there(self) -> bool:
        try:
            found = os.stat(self.path.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if not os.path.samestat(found, os.fstat(self.file)):
            raise OSError(errno.EEXIST, "another file has this name now")
        return True


def open_directory(path: Path, stack: ExitStack) -> int | None:
    """Open the directory at `path` until the stack is closed; `None` if there is none.

    Raises:
        SymlinkInPath: the path leads through a symbolic link, or is one.
        OSError: it can't be entered.
    """
    absolute = path.is_absolute()
    file = os.open("/" if absolute else ".", _ENTER | os.O_DIRECTORY)
    stack.callback(os.close, file)
    opened = Path("/") if absolute else Path()
    for part in path.parts[1:] if absolute else path.parts:
        opened /= part
        try:
            next_ = os.open(part, _ENTER | os.O_DIRECTORY, dir_fd=file)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            if stat.S_ISLNK(os.stat(part, dir_fd=file, follow_symlinks=False).st_mode):
                raise SymlinkInPath(opened) from None
            return None
        file = next_
        stack.callback(os.close, file)
    return file


def open_entry(
    path: Path, directory: int, stack: ExitStack, *, read: bool = False
) -> OpenPath | None:
    """Open the last name of `path` in an open directory, with `read` for reading; `None` if there is none.

    Raises:
        SymlinkInPath: it is a symbolic link.
        OSError: it can't be opened.
    """
    try:
        found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            raise SymlinkInPath(path)
        # Only regular files and directories are opened for reading: opening a device may have an effect.
        readable = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        file = os.open(path.name, _READ if read and readable else _ENTER, dir_fd=directory)
    except FileNotFoundError:
        return None
    stack.callback(os.close, file)
    return OpenPath(path, directory, file)
