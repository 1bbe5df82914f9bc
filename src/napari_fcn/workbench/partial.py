"""A prediction in the making, on disk, so that it can be gone on with."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import zarr
from zarr.errors import BaseZarrError

from napari_fcn.data.files import remove
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fcn.data.source import ImageSource
    from napari_fcn.engine.model import Model

_CHUNK_EDGE = 512
_PROBE = 64
_MOST_PROBES = 16


class Partial:
    """A folder with the array that is being filled, and which samples are complete.

    Parameters
    ----------
    folder : Path
        Where it lies; what is there is replaced unless it is gone on with.
    fingerprint : str
        Tells this job from others.
    shape, dtype
        Of the array.
    resume : bool
        Whether to go on with what an earlier run of the same job left.

    Attributes
    ----------
    array : zarr.Array
        To be filled.

    Raises
    ------
    OSError
        If it cannot be written.
    UserError
        If something else lies there.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        shape: tuple[int, ...],
        dtype: Any,
        *,
        resume: bool,
    ) -> None:
        self._folder = folder
        self._log = folder / "done.txt"
        self._done: set[str] = set()
        self.array: Any = None
        if resume:
            self._go_on(fingerprint, shape, dtype)
        if self.array is None:
            self._start(fingerprint, shape, dtype)

    @property
    def started(self) -> bool:
        """Whether any sample is complete."""
        return bool(self._done)

    def is_done(self, sample: tuple[int, ...]) -> bool:
        """Tell whether a sample is complete."""
        return str(sample) in self._done

    def mark(self, sample: tuple[int, ...]) -> None:
        """Note that a sample is complete."""
        with self._log.open("a") as log:
            # Ends what a killed process may have left of a line, too.
            log.write(f"\n{sample}\n")
        self._done.add(str(sample))

    def remove(self) -> None:
        """Remove it from the disk."""
        remove(self._folder)

    def _go_on(self, fingerprint: str, shape: tuple[int, ...], dtype: Any) -> None:
        with suppress(OSError, ValueError, KeyError, TypeError, BaseZarrError):
            lines = self._log.read_text(errors="replace").splitlines()
            array = zarr.open_array(str(self._folder / "data.zarr"), mode="r+")
            same = array.shape == shape and array.dtype == dtype
            if same and lines and lines[0] == fingerprint:
                self.array, self._done = array, set(filter(None, lines[1:]))

    def _start(self, fingerprint: str, shape: tuple[int, ...], dtype: Any) -> None:
        if os.path.lexists(self._folder) and not self._is_ours():
            raise UserError(f"{self._folder} is in the way; move or remove it.")
        self.remove()
        self._folder.mkdir(parents=True)
        self._log.write_text(fingerprint + "\n")
        edges = [min(_CHUNK_EDGE, n) for n in shape[-2:]]
        self.array = zarr.create_array(
            str(self._folder / "data.zarr"),
            shape=shape,
            chunks=(*[1] * (len(shape) - 2), *edges),
            dtype=dtype,
        )

    def _is_ours(self) -> bool:
        if not self._folder.is_dir():
            return False
        return self._log.is_file() or not any(self._folder.iterdir())


def fingerprint(
    model: Model, source: ImageSource, result: str, origin: Path | None
) -> str:
    """Tell one job from another: other weights or another image start anew.

    Parameters
    ----------
    model : Model
        What predicts.
    source : ImageSource
        The image; a few small blocks of it are read.
    result : str
        What is written.
    origin : Path, optional
        The file it was read from, whose size and time tell when it was changed.

    Returns
    -------
    str
        One line.

    Raises
    ------
    UserError
        If the image cannot be read.
    """
    digest = hashlib.sha256(model.config.model_dump_json().encode())
    for tensor in model.network.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    samples = list(source.samples())
    for sample in samples[:: max(1, len(samples) // _MOST_PROBES)]:
        for share in (0.0, 0.5):
            starts = [int(share * max(0, n - _PROBE)) for n in source.spatial_shape]
            region = tuple(
                slice(s, min(s + _PROBE, n))
                for s, n in zip(starts, source.spatial_shape, strict=True)
            )
            digest.update(source.read(sample, region).tobytes())
    about: list[Any] = [result, source.name, source.label_shape, str(source.dtype)]
    if origin is not None and origin.is_file():
        state = origin.stat()
        about += [state.st_size, state.st_mtime_ns]
    return f"{digest.hexdigest()} {json.dumps(about)}"
