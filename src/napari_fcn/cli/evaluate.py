"""The verb ``evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.cli.arguments import add_images, add_model, add_usual, add_verb
from napari_fcn.console import note, show

if TYPE_CHECKING:
    import argparse


def add_evaluate(verbs: Any) -> None:
    """Add the verb ``evaluate`` and its arguments."""
    parser = add_verb(
        verbs, "evaluate", run_evaluate, "score a model against the truth"
    )
    add_model(parser)
    add_images(parser)
    parser.add_argument(
        "--truth",
        nargs="+",
        required=True,
        metavar="TRUTH",
        help="for each image its true labels; dots or target images as in training",
    )
    add_usual(parser)


def _as_text(row: dict[str, Any]) -> str:
    """Return what is known in a row, numbers with as many digits as one reads."""
    known = {k: v for k, v in row.items() if v != ""}
    return ", ".join(
        f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in known.items()
    )


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
                show(_as_text(line))
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
