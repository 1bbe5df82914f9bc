"""The verb ``train``."""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fcn.cli.arguments import (
    Parser,
    add_images,
    add_usual,
    add_verb,
    positive,
)
from napari_fcn.cli.info import describe
from napari_fcn.cli.progress import tell
from napari_fcn.console import note
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from napari_fcn.engine.model import Model
    from napari_fcn.engine.train import CancelToken

_NETWORK = "unet"
_TASKS = ("segmentation", "density", "regression")


def add_train(verbs: Any) -> None:
    """Add the verb ``train`` and its arguments."""
    parser = add_verb(verbs, "train", run_train, "train a network on painted images")
    add_images(parser)
    parser.add_argument(
        "--labels",
        nargs="+",
        default=(),
        metavar="LABELS",
        help="strokes; for density dots, for regression the target images",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="MODEL",
        type=Path,
        help="file to save the model to, such as model.safetensors",
    )
    parser.add_argument(
        "--task",
        choices=_TASKS,
        default="segmentation",
        help="what it learns: masks, counts from dots, or images",
    )
    parser.add_argument(
        "--dense", action="store_true", help="0 in the labels is background"
    )
    _add_targets(parser)
    _add_network(parser)
    parser.add_argument(
        "--loss", metavar="NAME", help="that of the task by default; see the guide"
    )
    _add_start(parser)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--seconds",
        type=positive(float),
        metavar="N",
        help="how long it trains; 60 by default",
    )
    budget.add_argument(
        "--steps",
        type=positive(int),
        metavar="N",
        help="how many training steps, in place of seconds",
    )
    parser.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="another one gives another run",
    )
    add_usual(parser)


def _add_network(parser: Parser) -> None:
    parser.add_argument(
        "--ndim",
        type=int,
        choices=(2, 3),
        default=2,
        help="2 learns slice by slice, 3 from whole volumes",
    )
    parser.add_argument(
        "--network",
        default=_NETWORK,
        metavar="NAME",
        help="one of those that napari-fcn networks lists",
    )
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="of the network, such as depth=4 or coordinates=yes; give it repeatedly",
    )


def _add_start(parser: Parser) -> None:
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--init", type=Path, metavar="MODEL", help="what to start from")
    start.add_argument(
        "--encoder-weights",
        type=Path,
        metavar="FILE",
        help="for --network unet-pretrained: weights of its encoder (safetensors, or "
        "a state dict of PyTorch), in place of a download",
    )


def _add_targets(parser: Parser) -> None:
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
        type=positive(float),
        default=(),
        metavar="PIXELS",
        help="for density: diameter of the objects, one for each class",
    )


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
    if options.encoder_weights:
        chosen["encoder_weights"] = str(options.encoder_weights.absolute())
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
        known = (_NETWORK, init.config.network.name)
        if options.setting or options.network not in known:
            note("The network is that of --init; --network and --setting do nothing.")
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
            callback=tell,
            cancel=cancel,
        )
        if not model.config.training["steps"]:
            raise KeyboardInterrupt  # before it has learned anything
        _save(model, options.out)
    note(f"Saved {options.out}")
    return {"model": str(options.out), **describe(model)}


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
