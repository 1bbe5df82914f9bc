"""Write files and folders so that a crash never leaves half of one."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that takes the place of ``path`` on success.

    Write a file or a folder there. It lies in the same folder and keeps the suffix.
    On success it is flushed to disk and renamed, replacing what was there; on
    failure it is removed and what was there stays.

    Parameters
    ----------
    path : path
        Where the result belongs; missing parent folders are made.

    Yields
    ------
    Path
        The temporary path, which does not exist yet.

    Raises
    ------
    UserError
        When the disk is full or the folder cannot be written.
    """
    target = Path(path)
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        _replace(temporary, target)
    except OSError as error:
        raise _explained(error, target) from error
    finally:
        remove(temporary)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; `target` is never half of it. Raises as `atomic_path` does."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _replace(temporary: Path, target: Path) -> None:
    """Rename, also onto a folder, which no system replaces in one step."""
    if not target.is_dir():
        temporary.replace(target)
    else:
        aside = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name}")
        target.rename(aside)
        try:
            temporary.rename(target)
        except OSError:
            aside.rename(target)
            raise
        remove(aside)
    _fsync_folder(target.parent)


def _flush(path: Path) -> None:
    files = path.rglob("*") if path.is_dir() else [path]
    for file in (f for f in files if f.is_file() and not f.is_symlink()):
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())


def _fsync_folder(folder: Path) -> None:
    """Make a rename durable; Windows cannot open folders and needs no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems refuse; the rename has happened all the same.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Tell whether a write failed because the disk, or one's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _explained(error: OSError, target: Path) -> UserError:
    if is_full(error):
        return UserError(
            f"The disk is full: make room in {target.parent} and write "
            f"{target.name} again."
        )
    reason = error.strerror or str(error)
    return UserError(
        f"Cannot write {target} ({reason}): choose a folder you may write to."
    )
