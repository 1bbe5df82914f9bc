"""A log of finished strokes on disk: what makes them whole, and what undoes them.

Every stroke is appended to one file before the labels themselves are written, as in
the write-ahead logs of data bases (Mohan et al. 1992, ARIES). A program that dies
between the two leaves a stroke in the log, which is painted again when the labels are
opened. Each record carries its length and a checksum: what a dying program wrote only
half is recognised and cut off. The records hold what was there before, too, so that
strokes can be undone after reopening.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from napari_fcn.data.files import atomic_path
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import RawIOBase
    from pathlib import Path
    from typing import BinaryIO

MAGIC = b"napari-fcn strokes 1\n"
_RECORD = struct.Struct("<BII")  # kind, length, checksum
MOST_BYTES = 64 << 20
"""When the log is longer than this, its older half is forgotten."""


class Kind(IntEnum):
    """What a record says."""

    STROKE = 1
    UNDO = 2
    REDO = 3
    WRITTEN = 4
    """All before it is in the labels, too."""
    BARRIER = 5
    """What comes next cannot be undone, nor what came before."""


@dataclass
class Entry:
    """A stroke in the log.

    Attributes
    ----------
    offset, length : int
        Where its content is in the file.
    content : bytes, optional
        While it is not in the file.
    """

    offset: int = -1
    length: int = 0
    content: bytes | None = None


class Journal:
    """The strokes on one image.

    Parameters
    ----------
    path : Path
        The file; made when the first stroke ends.
    most_bytes : int
        How long it may become.

    Attributes
    ----------
    unwritten : list of (Entry, bool)
        Strokes that may not be in the labels yet, in the order they must be painted
        again; False where what was there before is meant.
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self._most = most_bytes
        self._done: list[Entry] = []
        self._undone: list[Entry] = []
        self._queue: list[tuple[Kind, Entry | None]] = []
        self._end = 0
        self.unwritten: list[tuple[Entry, bool]] = []
        self._read()

    @property
    def pending(self) -> bool:
        """Whether something is not in the file yet."""
        return bool(self._queue)

    @property
    def can_undo(self) -> bool:
        """Whether there is a stroke to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone stroke."""
        return bool(self._undone)

    def add(self, content: bytes) -> None:
        """Note a finished stroke; on disk after `write`."""
        entry = Entry(content=content, length=len(content))
        self._queue.append((Kind.STROKE, entry))
        self._apply(Kind.STROKE, entry)

    def undo(self) -> bytes:
        """Take back the last stroke and return what it was; IndexError if none.

        Raises
        ------
        UserError
            If the log cannot be read.
        """
        content = self.content(self._done[-1])
        self._note(Kind.UNDO)
        return content

    def redo(self) -> bytes:
        """Return the stroke that was undone last, which counts again.

        Raises
        ------
        UserError
            If the log cannot be read.
        """
        content = self.content(self._undone[-1])
        self._note(Kind.REDO)
        return content

    def bar(self) -> None:
        """Forget all strokes, since what comes next cannot be undone."""
        self._note(Kind.BARRIER)

    def write(self) -> None:
        """Append what is pending to the file.

        Raises
        ------
        OSError
            If the disk refuses; what is pending stays so, and nothing half is left.
        """
        if not self._queue:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._append() as file:
            while self._queue:
                kind, entry = self._queue[0]
                content = (entry.content or b"") if entry is not None else b""
                self._put(file, kind, content)
                if entry is not None:
                    entry.offset, entry.content = self._end - len(content), None
                del self._queue[0]

    def mark_written(self) -> None:
        """Note that all strokes are in the labels; and keep the log short."""
        if self._end == 0:
            return
        # Strokes that are painted again do no harm.
        with suppress(OSError), self._append() as file:
            self._put(file, Kind.WRITTEN, b"")
        self.unwritten.clear()
        if self._end > self._most:
            with suppress(OSError, UserError):
                self._shorten()

    def content(self, entry: Entry) -> bytes:
        """Return what a stroke is.

        Raises
        ------
        UserError
            If the log cannot be read.
        """
        if entry.content is not None:
            return entry.content
        try:
            with self.path.open("rb") as file:
                file.seek(entry.offset)
                found = file.read(entry.length)
        except OSError as error:
            raise UserError(
                f"The history of strokes at {self.path} cannot be read "
                f"({error.strerror}); what is painted is not touched."
            ) from error
        if len(found) < entry.length:
            raise UserError(
                f"The history of strokes at {self.path} is damaged; what is painted "
                "is not touched, but cannot be undone."
            )
        return found

    def _note(self, kind: Kind) -> None:
        self._queue.append((kind, None))
        self._apply(kind, None)

    def _apply(self, kind: Kind, entry: Entry | None) -> tuple[Entry, bool] | None:
        """Follow a record; return what it paints, and whether forwards."""
        if kind is Kind.STROKE and entry is not None:
            self._done.append(entry)
            self._undone.clear()
            return entry, True
        if kind is Kind.UNDO and self._done:
            self._undone.append(self._done.pop())
            return self._undone[-1], False
        if kind is Kind.REDO and self._undone:
            self._done.append(self._undone.pop())
            return self._done[-1], True
        if kind is Kind.BARRIER:
            self._done.clear()
            self._undone.clear()
        return None

    def _append(self) -> RawIOBase:
        """Open the file for records to come."""
        begun = self._end > 0
        # Without a buffer, so that nothing is written later that was refused now.
        file = self.path.open("ab" if begun else "wb", buffering=0)
        try:
            if begun:
                file.truncate(self._end)  # what a dying program left
            else:
                _write(file, MAGIC)
        except OSError:
            file.close()
            raise
        self._end = self._end or len(MAGIC)
        return file

    def _put(self, file: RawIOBase, kind: Kind, content: bytes) -> None:
        record = _record(kind, content)
        try:
            _write(file, record)
        except OSError:
            with suppress(OSError):
                file.truncate(self._end)
            raise
        self._end += len(record)

    def _read(self) -> None:
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return  # it is begun anew
            self._end = len(MAGIC)
            for kind, offset, length in self._records(file):
                entry = Entry(offset, length) if kind is Kind.STROKE else None
                painted = self._apply(kind, entry)
                if painted is not None:
                    self.unwritten.append(painted)
                elif kind is Kind.WRITTEN:
                    self.unwritten.clear()
                self._end = offset + length

    def _records(self, file: BinaryIO) -> Iterator[tuple[Kind, int, int]]:
        """Yield all whole records; the first one that is not ends them."""
        size = os.fstat(file.fileno()).st_size
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            number, length, checksum = _RECORD.unpack(head)
            offset = file.tell()
            if number not in list(Kind) or offset + length > size:
                return
            if zlib.crc32(file.read(length), number) != checksum:
                return
            yield Kind(number), offset, length

    def _shorten(self) -> None:
        """Keep the latest strokes, up to half of what the log may be long."""
        kept: list[Entry] = []
        room = self._most // 2
        for entry in reversed([*self._done, *reversed(self._undone)]):
            room -= entry.length
            if room < 0:
                break
            kept.insert(0, entry)
        if len(kept) < len(self._undone):
            kept, self._undone = [], []
        contents = [self.content(entry) for entry in kept]
        undone = [(Kind.UNDO, b"")] * len(self._undone)
        records = [*((Kind.STROKE, c) for c in contents), *undone, (Kind.WRITTEN, b"")]
        with atomic_path(self.path) as temporary, temporary.open("wb") as file:
            file.write(MAGIC)
            for kind, content in records:
                file.write(_record(kind, content))
        self._done, self._undone = [], []
        self._end = 0
        self._read()


def _record(kind: Kind, content: bytes) -> bytes:
    return _RECORD.pack(kind, len(content), zlib.crc32(content, kind)) + content


def _write(file: RawIOBase, content: bytes) -> None:
    """Write all of it; a full disk may take a part before it refuses."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]
