"""Real small disks that can be filled, made read-only and be given room again."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager

import pytest


class Disk:
    """A file system of its own, mounted on a folder."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.folder / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    def make_room(self) -> None:
        (self.folder / "ballast").unlink()

    def set_read_only(self, yes: bool) -> None:
        _mount("-o", f"remount,{'ro' if yes else 'rw'}", self.folder)


@contextmanager
def small_disk(folder, size: str = "2m"):
    """Yield a disk, or skip the test where none may be mounted."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that this test fills")
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the small disk that this test fills cannot be mounted: {error}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(*words) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)
