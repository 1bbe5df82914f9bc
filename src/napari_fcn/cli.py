"""The command line: everything the window does, without a screen."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from napari_fcn.console import finish_output, note, show, show_json
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fcn.engine.events import Event
    from napari_fcn.engine.model import Model
    from napari_fcn.engine.train import CancelToken
    from napari_fcn.engine.trainer import Trainer

_TASKS = ("segmentation", "density", "regression")
_RESULTS = ("labels", "probabilities", "density", "image")
_SCORES = {
    "segmentation": ("Dice", "strokes"),
    "density": ("Share counted right", "regions"),
    "regression": ("Correlation", "regions"),
}
_SUFFIX = r"(\.ome)?\.[^.]*$"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        note(f"{self.prog}: {message}; see {self.prog} --help")
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        0 for success, 2 for bad input and faults, 130 when interrupted, and 1 for
        what should not happen; then ``NAPARI_FCN_DEBUG=1`` shows where.
    """
    options = _parser().parse_args(arguments)
    # Read when torch loads: its threads shall not spin where others need the cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        result = options.run(options)
        if options.json:
            show_json(result)
        finish_output()
    except UserError as error:
        note(f"napari-fcn: {error}")
    except KeyboardInterrupt:
        note("napari-fcn: interrupted")
        return 130
    except (OSError, MemoryError) as error:
        note(f"napari-fcn: {_explain(error)}")
    except Exception as error:  # noqa: BLE001 - nobody should have to read a traceback
        return _unexpected(error)
    else:
        return 0
    return 2


def _explain(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "There is not enough memory; close other programs."
    if error.filename is None:
        return f"The system refused ({error.strerror or error}); try again."
    return f"{error.filename} cannot be used ({error.strerror}); choose another file."


def _unexpected(error: Exception) -> int:
    note(
        f"napari-fcn: this should not happen ({type(error).__name__}: {error}); please "
        "report it with what NAPARI_FCN_DEBUG=1 shows."
    )
    if os.environ.get("NAPARI_FCN_DEBUG"):
        traceback.print_exception(error)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="napari-fcn", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_demo(verbs)
    _add_train(verbs)
    _add_predict(verbs)
    _add_evaluate(verbs)
    _add_count(verbs)
    _add_info(verbs)
    _add_networks(verbs)
    return parser


def _verb(verbs: Any, name: str, run: Callable[..., Any], about: str) -> _Parser:
    parser: _Parser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    return parser


def _add_device(parser: _Parser) -> None:
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute; auto takes the GPU when there is one",
    )


def _add_json(parser: _Parser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object on standard output and nothing else there",
    )


def _add_mask(parser: _Parser) -> None:
    parser.add_argument(
        "--mask",
        nargs="+",
        default=[],
        metavar="MASK",
        help="for each image a mask or segmentation that enters as one more channel",
    )


def _positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    what = "whole number" if kind is int else "number"

    def convert(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < 1e9:
            raise argparse.ArgumentTypeError(
                f"{text[:40]!r} is not a {what} above 0 and below a billion"
            )
        return value

    return convert


def _seed(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no seed; use a whole number from 0 to 2^63 - 1"
        )
    return value


def _add_train(verbs: Any) -> None:
    parser = _verb(verbs, "train", run_train, "train a network on painted images")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument(
        "--labels",
        nargs="+",
        default=(),
        metavar="LABELS",
        help="strokes; for density dots, for regression the target images",
    )
    parser.add_argument("--out", required=True, metavar="MODEL", type=Path)
    parser.add_argument("--task", choices=_TASKS, default="segmentation")
    parser.add_argument(
        "--dense", action="store_true", help="0 in the labels is background"
    )
    _add_targets(parser)
    parser.add_argument("--ndim", type=int, choices=(2, 3), default=2)
    parser.add_argument("--axes", help="one letter per axis, such as TZYX")
    parser.add_argument("--network", default="unet", metavar="NAME")
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="of the network, such as depth=4 or coordinates=yes",
    )
    parser.add_argument(
        "--loss", metavar="NAME", help="that of the task by default; see the guide"
    )
    _add_mask(parser)
    parser.add_argument("--init", type=Path, metavar="MODEL", help="what to start from")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=_positive(float), metavar="N")
    budget.add_argument("--steps", type=_positive(int), metavar="N")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N")
    _add_device(parser)
    _add_json(parser)


def _add_targets(parser: _Parser) -> None:
    parser.add_argument(
        "--regions",
        nargs="+",
        default=(),
        metavar="REGIONS",
        help="images that are not 0 where all objects have dots, or targets are right",
    )
    parser.add_argument(
        "--boxes",
        nargs="+",
        default=(),
        metavar="BOXES",
        help="for density: CSV files with boxes of known counts",
    )
    parser.add_argument(
        "--object-size",
        nargs="+",
        type=_positive(float),
        default=(),
        metavar="PIXELS",
        help="for density: diameter of the objects, one for each class",
    )


def _add_predict(verbs: Any) -> None:
    parser = _verb(verbs, "predict", run_predict, "apply a model to images")
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--out", required=True, type=Path, metavar="PATH")
    parser.add_argument(
        "--as",
        dest="result",
        choices=_RESULTS,
        help="what to write; labels, density or image by default, as the task has it",
    )
    parser.add_argument("--axes", help="one letter per axis, such as TZYX")
    parser.add_argument("--tile", type=_positive(int), metavar="N")
    _add_mask(parser)
    parser.add_argument(
        "--resume", action="store_true", help="go on where an earlier run ended"
    )
    _add_device(parser)
    _add_json(parser)


def _add_evaluate(verbs: Any) -> None:
    parser = _verb(verbs, "evaluate", run_evaluate, "score a model against the truth")
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--truth", nargs="+", required=True, metavar="TRUTH")
    parser.add_argument("--axes", help="one letter per axis, such as TZYX")
    _add_mask(parser)
    _add_device(parser)
    _add_json(parser)


def _add_count(verbs: Any) -> None:
    parser = _verb(verbs, "count", run_count, "count objects in images")
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="table to write")
    parser.add_argument(
        "--regions",
        nargs="+",
        default=(),
        metavar="REGIONS",
        help="label images: objects are counted in each number's region",
    )
    parser.add_argument(
        "--points",
        type=Path,
        metavar="DIR",
        help="folder for the single objects found, as CSV files that napari opens",
    )
    parser.add_argument("--axes", help="one letter per axis, such as TZYX")
    parser.add_argument("--tile", type=_positive(int), metavar="N")
    _add_device(parser)
    _add_json(parser)


def _add_info(verbs: Any) -> None:
    parser = _verb(verbs, "info", run_info, "tell what a model is")
    parser.add_argument("model", type=Path, metavar="MODEL")
    _add_json(parser)


def _add_networks(verbs: Any) -> None:
    parser = _verb(verbs, "networks", run_networks, "list the networks")
    _add_json(parser)


def _add_demo(verbs: Any) -> None:
    parser = _verb(verbs, "demo", run_demo, "see the whole job on a real image")
    parser.add_argument("--headless", action="store_true", help="without a window")
    parser.add_argument("--out", type=Path, default=Path("demo-output"), metavar="DIR")
    parser.add_argument("--seconds", type=_positive(float), default=30, metavar="N")
    _add_json(parser)


def _tell(event: Event, trainer: Trainer | None) -> None:
    """Write progress to standard error."""
    from napari_fcn.engine.events import Message, Scored, Started

    task = trainer.task.config.task if trainer is not None else "segmentation"

    if isinstance(event, Started):
        note(f"Training {event.parameters:,} weights on {event.device}.")
    elif isinstance(event, Message):
        note(event.text)
    elif isinstance(event, Scored):
        where = "held-out" if event.held_out else "trained"
        what, of = _SCORES[task]
        note(
            f"{event.seconds:6.1f} s  step {event.step:5d}  "
            f"{what} on {where} {of} {event.score:.3f}"
        )


def run_train(options: argparse.Namespace) -> dict[str, Any]:
    """Train and save a model; an interrupt stops and saves what there is."""
    from napari_fcn.config import TrainingConfig, network_from_words
    from napari_fcn.data.readers import expand_paths
    from napari_fcn.engine.device import choose_device
    from napari_fcn.engine.model import load_model
    from napari_fcn.engine.tasks import check_loss
    from napari_fcn.engine.train import Budget, CancelToken, train
    from napari_fcn.networks import build_network
    from napari_fcn.workbench.annotated import AnnotationFiles, open_annotated
    from napari_fcn.workbench.outputs import check_file

    network = network_from_words(options.network, options.ndim, options.setting)
    build_network(network)
    chosen = {"loss": options.loss} if options.loss else {}
    config = TrainingConfig(
        device=options.device,
        seed=options.seed,
        object_sizes=tuple(options.object_size),
        **chosen,
    )
    check_loss(options.task, config)
    choose_device(options.device)
    init = load_model(options.init) if options.init else None
    if init is not None:
        network = init.config.network
    images = expand_paths(options.images)
    files = AnnotationFiles(
        expand_paths(options.labels, tables=options.task == "density"),
        expand_paths(options.regions),
        expand_paths(options.boxes, tables=True),
        expand_paths(options.mask) if options.mask else [],
        dense=options.dense,
    )
    check_file(options.out, [*images, *files.all()])
    items, classes = open_annotated(
        options.task, images, files, ndim=network.ndim, axes=options.axes
    )
    seconds = options.seconds or (None if options.steps else 60.0)
    cancel = CancelToken()
    with _interrupt_stops(cancel):
        model = train(
            items,
            classes,
            config=config,
            network=network,
            budget=Budget(seconds, options.steps),
            init=init,
            callback=_tell,
            cancel=cancel,
        )
        if not model.config.training["steps"]:
            raise KeyboardInterrupt  # before it has learned anything
        _save(model, options.out)
    note(f"Saved {options.out}")
    return {"model": str(options.out), **_describe(model)}


class _interrupt_stops:
    """While inside, Ctrl-C and a polite kill stop training in place of the program.

    A second one ends the program, as when a step takes too long.
    """

    def __init__(self, cancel: CancelToken) -> None:
        self._cancel = cancel

    def __enter__(self) -> None:
        self._before = {
            s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)
        }

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        if self._cancel.cancelled:
            raise KeyboardInterrupt
        self._cancel.cancel()


def _save(model: Model, out: Path) -> None:
    """Save a model; if there is no room for it, where there is."""
    try:
        model.save(out)
    except UserError as error:
        try:
            spare = Path(tempfile.mkdtemp(prefix="napari-fcn-")) / out.name
            model.save(spare)
        except (UserError, OSError):
            raise error from None
        raise UserError(f"{error} Meanwhile the model is kept at {spare}.") from error


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
    targets = _targets(options.out, paths)
    labels = wanted == "labels"
    for source, target in zip(sources, targets, strict=True):
        n_axes = len(source.label_axes)
        check_result(target, n_axes, [*paths, options.model], whole_numbers=labels)
    for path, source, target in zip(paths, sources, targets, strict=True):
        result = Target(target, wanted)
        there = written_to(target, len(source.label_axes)).exists()
        if options.resume and there and not result.partial.exists():
            note(f"{target} is there already")
            continue
        predict_to_file(
            model,
            source,
            result,
            device=options.device,
            tile=options.tile,
            resume=options.resume,
            origin=path,
            on_progress=_progress_of(source.name),
        )
        note(f"Saved {target}")
    return {"outputs": [str(t) for t in targets], "as": wanted}


def _targets(out: Path, images: Sequence[Path], suffix: str = ".tif") -> list[Path]:
    """Name the file for one image, or the files in a folder for several."""
    if len(images) == 1 and out.suffix and not out.is_dir():
        return [out]
    if len(images) == 1 and out.is_dir() and out.suffix == ".zarr":
        return [out]
    if out.is_file():
        raise UserError(f"{out} is a file; give a folder for several images.")
    names: list[str] = []
    for image in images:
        stem = re.sub(_SUFFIX, "", image.name, flags=re.IGNORECASE) or "image"
        number, name = 1, stem
        while name.casefold() in map(str.casefold, names):
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return [out / f"{name}{suffix}" for name in names]


def _progress_of(name: str) -> Callable[[Any], None]:
    last = -1

    def report(progress: Any) -> None:
        nonlocal last
        if progress.message:
            note(progress.message)
        tenth = 10 * progress.done // progress.total
        if tenth > last:
            last = tenth
            note(f"{name}: {10 * tenth} %")

    return report


def run_evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score a model against the truth."""
    from napari_fcn.data.readers import expand_paths
    from napari_fcn.engine.metrics import Confusion
    from napari_fcn.engine.model import load_model
    from napari_fcn.workbench.evaluation import evaluate_files
    from napari_fcn.workbench.jobs import evaluate_image, require_segmentation
    from napari_fcn.workbench.opening import (
        check_pairs,
        open_source,
        pair_masks,
        read_labels,
    )

    model = load_model(options.model)
    images = expand_paths(options.images)
    truths = expand_paths(options.truth, tables=model.config.task == "density")
    check_pairs(images, truths, "truth")
    if model.config.task in ("density", "regression"):
        scores = evaluate_files(model, images, truths, options.axes, options.device)
        if not options.json:
            for line in scores["images"]:
                show(", ".join(f"{k} {v}" for k, v in line.items()))
        return scores
    require_segmentation(model)
    ndim = model.config.network.ndim
    total, rows = Confusion(len(model.config.classes)), []
    names = [c.name for c in model.config.classes]
    masks = pair_masks(expand_paths(options.mask) if options.mask else [], images)
    for image, truth, mask in zip(images, truths, masks, strict=True):
        source = open_source(image, ndim, options.axes, mask)
        one = evaluate_image(
            model, source, read_labels(truth, source), device=options.device
        )
        total = total + one
        rows.append({"image": str(image), "dice": one.mean_dice})
        note(f"{image.name}: mean Dice {one.mean_dice:.3f}")
    result = total.as_dict(names)
    result["dice"] = {c["name"]: c["dice"] for c in result["classes"]}
    result["jaccard"] = {c["name"]: c["jaccard"] for c in result["classes"]}
    if not options.json:
        for entry in result["classes"]:
            show(
                f"{entry['name']}: Dice {entry['dice']:.3f}, "
                f"Jaccard {entry['jaccard']:.3f}"
            )
    return {**result, "images": rows}


def run_count(options: argparse.Namespace) -> dict[str, Any]:
    """Count objects in images, and in regions of them."""
    from napari_fcn.data.dot_files import write_points
    from napari_fcn.data.readers import expand_paths
    from napari_fcn.engine.model import load_model
    from napari_fcn.engine.outputs import choose_output
    from napari_fcn.workbench.counting import count_image, write_counts
    from napari_fcn.workbench.opening import check_pairs, open_source, read_labels
    from napari_fcn.workbench.outputs import check_file

    model = load_model(options.model)
    choose_output(model.config, "density")
    images, regions = expand_paths(options.images), expand_paths(options.regions)
    if regions:
        check_pairs(images, regions, "regions")
    if options.csv is not None:
        check_file(options.csv, [*images, *regions, options.model])
    points = _targets(options.points, images, ".csv") if options.points else []
    for path in points:
        check_file(path, [*images, *regions, options.model])
    rows = []
    for number, path in enumerate(images):
        source = open_source(path, model.config.network.ndim, options.axes)
        counted = count_image(
            model,
            source,
            regions=read_labels(regions[number], source) if regions else None,
            peaks=bool(points),
            device=options.device,
            tile=options.tile,
        )
        rows += counted.counts
        if points:
            points[number].parent.mkdir(parents=True, exist_ok=True)
            write_points(points[number], counted.objects)
    if options.csv is not None:
        write_counts(options.csv, rows)
        note(f"Saved {options.csv}")
    found = [row.as_row() for row in rows]
    if not options.json:
        for row in found:
            where = " ".join(str(row[k]) for k in ("image", "slice") if row[k])
            where += f" region {row['region']}" if row["region"] else ""
            show(f"{where} {row['class']}: {row['count']:.1f} ± {row['deviation']:.1f}")
    return {"counts": found, "points": [str(p) for p in points]}


def _describe(model: Model) -> dict[str, Any]:
    from napari_fcn.networks import count_parameters

    config, field = model.config, model.receptive_field
    return {
        "task": config.task,
        "network": config.network.name,
        "ndim": config.network.ndim,
        "parameters": count_parameters(model.network),
        "receptive_field": list(field.size),
        "stride": list(field.stride),
        "in_channels": config.network.in_channels,
        "out_channels": config.network.out_channels,
        "classes": [c.model_dump() for c in config.classes],
        **{
            name: part.model_dump()
            for name, part in (
                ("density", config.density),
                ("regression", config.regression),
            )
            if part is not None
        },
        "training": config.training,
    }


def run_info(options: argparse.Namespace) -> dict[str, Any]:
    """Tell what a model is."""
    from napari_fcn.engine.model import load_model

    result = _describe(load_model(options.model))
    if not options.json:
        for name, value in result.items():
            show(f"{name}: {value}")
    return result


def run_networks(options: argparse.Namespace) -> dict[str, Any]:
    """List the networks."""
    from napari_fcn.networks.listing import as_lines, list_networks

    rows = list_networks()
    if not options.json:
        for line in as_lines(rows):
            show(line)
    return {"networks": rows}


def run_demo(options: argparse.Namespace) -> dict[str, Any]:
    """Do the whole job on a real image: in a window if there is a screen."""
    if not options.headless and not options.json:
        missing = _why_no_window()
        if not missing:
            window = [sys.executable, "-m", "napari_fcn.widgets.demo"]
            if subprocess.run(window, check=False).returncode == 0:
                return {"window": True}
            missing = "the window could not be opened"
        note(f"Without a window, since {missing}.")
    from napari_fcn.workbench.demo import run_headless

    result = run_headless(options.out, options.seconds, _tell)
    for name, value in result.items():
        note(f"{name}: {value}")
    return result


def _why_no_window() -> str:
    """Return what is missing for a window; empty if nothing is."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, screens)):
        return "there is no screen"
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed (pip install 'napari-fcn[gui]')"
    return ""
