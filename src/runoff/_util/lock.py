"""A file lock that is released when the process ends, even if it is killed."""

from __future__ import annotations

import errno
import sys
from typing import IO

_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


def lock(file: IO[bytes], *, wait: bool) -> bool:
    """Lock a file, and return whether that worked; False only without `wait`, if it is locked.

    Raises:
        OSError: it cannot be locked.
    """
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - exists on Windows alone

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - does not exist on Windows

            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if wait or error.errno not in _TAKEN:
            raise
        return False
    return True


def unlock(file: IO[bytes]) -> None:
    """Release a lock, even if a forked process has the file open."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - as above

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 - as above

        fcntl.flock(file, fcntl.LOCK_UN)
