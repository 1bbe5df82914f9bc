"""Applying a model to a whole image and exporting the result, with progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import zarr

from napari_fcn.data.files import atomic_path
from napari_fcn.data.store import ChunkStore
from napari_fcn.engine.outputs import choose_output, output_channels, output_dtype
from napari_fcn.engine.predict import Cancelled, Progress, predict_source
from napari_fcn.errors import UserError
from napari_fcn.export.masks import write_array
from napari_fcn.project.targets import read_targets
from napari_fcn.workbench.count_table import count_density
from napari_fcn.workbench.counting import write_counts
from napari_fcn.workbench.outputs import written_to
from napari_fcn.workbench.protocol import JobFinished, JobProgress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fcn.engine.model import Model
    from napari_fcn.engine.train import CancelToken
    from napari_fcn.workbench.protocol import Apply, Export

    Tell = Callable[[JobProgress | JobFinished], None]


def run_apply(
    command: Apply, cancel: CancelToken, tell: Tell, choose: Callable[[Apply], Model]
) -> None:
    """Predict a whole image into a Zarr array; exactly one `JobFinished` is told."""

    def work() -> None:
        model = choose(command)
        _require_task(model, command)
        source = command.image.source(command.project, model.config.network.ndim)
        kind = choose_output(model.config)
        channels = output_channels(model.config, kind)
        with atomic_path(command.out) as temporary:
            shape = command.image.label_shape
            dtype = str(output_dtype(model.config, kind))
            whole = (channels, *shape) if channels else shape
            ChunkStore.create(temporary, whole, dtype)
            out = zarr.open_array(str(temporary), mode="r+")
            predict_source(
                model,
                source,
                out,
                on_progress=_reporter(tell),
                cancelled=lambda: cancel.cancelled,
            )
            if kind == "density":
                boxes = read_targets(command.project, command.image.key).boxes
                counts = count_density(model.config, source, out, boxes)
                write_counts(counts_beside(command.out), counts)

    _finish("apply", command.out, work, tell)


def counts_beside(density: Path) -> Path:
    """Return where the table of counts of a density lies."""
    return density.with_suffix(".csv")


def _require_task(model: Model, command: Apply) -> None:
    if model.config.task != command.task:
        raise UserError(
            f"The model is for {model.config.task}; choose that task in Label & Train, "
            "or another model."
        )


def run_export(command: Export, cancel: CancelToken, tell: Tell) -> None:
    """Write an array to a file; exactly one `JobFinished` is told."""

    def work() -> None:
        array = zarr.open_array(str(command.source), mode="r")
        watched = _Watched(array, cancel, tell)
        write_array(command.target, watched, command.axes)

    _finish("export", written_to(command.target, len(command.axes)), work, tell)


def _finish(
    job: Literal["apply", "export"], path: Path, work: Callable[[], None], tell: Tell
) -> None:
    try:
        work()
    except Cancelled:
        tell(JobFinished(job, "cancelled", path))
    except UserError as error:
        tell(JobFinished(job, "failed", path, str(error)))
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        tell(JobFinished(job, "failed", path, f"It failed ({error}); try again."))
    else:
        tell(JobFinished(job, "done", path))


def _reporter(tell: Tell) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        tell(JobProgress("apply", progress.done / progress.total))

    return report


class _Watched:
    """An array whose reading shows progress and can be cancelled."""

    def __init__(self, array: Any, cancel: CancelToken, tell: Tell) -> None:
        self._array, self._cancel, self._tell = array, cancel, tell
        self._read = 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, key: Any) -> Any:
        if self._cancel.cancelled:
            raise Cancelled
        values = self._array[key]
        self._read += values.size
        total = max(1, self._array.size)
        self._tell(JobProgress("export", min(1.0, self._read / total)))
        return values
