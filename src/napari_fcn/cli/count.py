"""The verb ``count``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fcn.cli.arguments import (
    add_images,
    add_model,
    add_tile,
    add_usual,
    add_verb,
)
from napari_fcn.cli.targets import name_targets, tell_apart
from napari_fcn.console import note, show

if TYPE_CHECKING:
    import argparse


def add_count(verbs: Any) -> None:
    """Add the verb ``count`` and its arguments."""
    parser = add_verb(verbs, "count", run_count, "count objects in images")
    add_model(parser)
    add_images(parser)
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
    add_tile(parser)
    add_usual(parser, mask=False)


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
    points = name_targets(options.points, images, ".csv") if options.points else []
    for path in points:
        check_file(path, [*images, *regions, options.model])
    rows = []
    names = tell_apart(images)
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
        rows += [replace(count, image=names[number]) for count in counted.counts]
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
