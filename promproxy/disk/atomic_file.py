"""A file replaced as a whole: a reader finds the old content or the new, never a part.

It blocks, so it belongs into a thread. What a killed writer leaves behind is a temporary file
beside the real one, always of the same name, which the next writer takes over. Its name does not
end as that of the real one does, so that no ``*.json`` of Prometheus matches it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> bool:
    """Replace a file's content, durably even if the power fails right after.

    False where it held just this in this mode already, and nothing was written. A symbolic link
    stays, and what it points to is replaced. Raises OSError, and then the file is as it was: also
    where another process is writing it at this moment.
    """
    path = Path(os.path.realpath(path))
    if _holds(path, content, mode):
        return False
    temporary = temporary_path(path)
    descriptor = _open_locked(temporary)
    try:
        try:
            _fill(descriptor, content, mode)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)
    _sync_folder(path.parent)
    return True


def temporary_path(path: Path) -> Path:
    """Where a file's next content is collected."""
    return path.with_name(f".{path.name}.tmp")


def _holds(path: Path, content: bytes, mode: int) -> bool:
    try:
        state = path.stat()
        if state.st_size != len(content) or state.st_mode & 0o7777 != mode:
            return False
        return path.read_bytes() == content
    except OSError:  # none there, or none that we could read: writing will tell
        return False


def _open_locked(temporary: Path) -> int:
    """The temporary file, ours alone until it is closed; the lock of one who was killed is gone."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        try:
            _lock(descriptor)
            if _is_at(descriptor, temporary):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            why = "another process is writing this file"
            raise BlockingIOError(errno.EAGAIN, why, str(temporary)) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another one has just put it in its place


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems have no locks. There is hardly ever a second writer.
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _fill(descriptor: int, content: bytes, mode: int) -> None:
    os.ftruncate(descriptor, 0)  # what a killed writer left
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fchmod(descriptor, mode)
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Let the folder remember the new name too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
