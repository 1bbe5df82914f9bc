"""The verb ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fcn.cli.arguments import (
    add_images,
    add_model,
    add_tile,
    add_usual,
    add_verb,
)
from napari_fcn.cli.progress import progress_of
from napari_fcn.cli.targets import name_targets
from napari_fcn.console import note

if TYPE_CHECKING:
    import argparse

_RESULTS = ("labels", "probabilities", "density", "image", "deviation")


def add_predict(verbs: Any) -> None:
    """Add the verb ``predict`` and its arguments."""
    parser = add_verb(verbs, "predict", run_predict, "apply a model to images")
    add_model(parser)
    add_images(parser)
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="PATH",
        help="file to write, whose suffix names the format; a folder for several",
    )
    parser.add_argument(
        "--as",
        dest="result",
        choices=_RESULTS,
        help="what to write; labels, density or image by default, as the task has it; "
        "deviation is by how much an image may be off",
    )
    add_tile(parser)
    parser.add_argument(
        "--resume", action="store_true", help="go on where an earlier run ended"
    )
    add_usual(parser)


def run_predict(options: argparse.Namespace) -> dict[str, Any]:
    """Predict images into files."""
    from napari_fcn.data.readers import expand_paths
    from napari_fcn.engine.device import choose_device
    from napari_fcn.engine.model import load_model
    from napari_fcn.engine.outputs import choose_output
    from napari_fcn.engine.predict import check_channels
    from napari_fcn.workbench.jobs import Target, predict_to_file
    from napari_fcn.workbench.opening import open_source, pair_masks
    from napari_fcn.workbench.outputs import check_result, written_to

    choose_device(options.device)
    model = load_model(options.model)
    wanted = choose_output(model.config, options.result)
    paths = expand_paths(options.images)
    ndim = model.config.network.ndim
    masks = pair_masks(expand_paths(options.mask) if options.mask else [], paths)
    sources = [
        open_source(path, ndim, options.axes, mask)
        for path, mask in zip(paths, masks, strict=True)
    ]
    for source in sources:
        check_channels(model, source)
    targets = name_targets(options.out, paths)
    labels = wanted == "labels"
    for source, target in zip(sources, targets, strict=True):
        n_axes = len(source.label_axes)
        check_result(target, n_axes, [*paths, options.model], whole_numbers=labels)
    written = [
        written_to(target, len(source.label_axes))
        for source, target in zip(sources, targets, strict=True)
    ]
    for path, source, target, there in zip(
        paths, sources, targets, written, strict=True
    ):
        result = Target(target, wanted)
        if options.resume and there.exists() and not result.partial.exists():
            note(f"{there} is there already")
            continue
        predict_to_file(
            model,
            source,
            result,
            device=options.device,
            tile=options.tile,
            resume=options.resume,
            origin=path,
            on_progress=progress_of(source.name),
        )
        note(f"Saved {there}")
    return {"outputs": [str(path) for path in written], "as": wanted}
