"""What several verbs of the command line take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from napari_fcn.console import note

if TYPE_CHECKING:
    from collections.abc import Callable


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """End the program with a sentence on what is wrong."""
        note(f"{self.prog}: {message}; see {self.prog} --help")
        raise SystemExit(2)


def add_verb(verbs: Any, name: str, run: Callable[..., Any], about: str) -> Parser:
    """Add a verb; `run` takes its options and returns what ``--json`` prints."""
    parser: Parser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    return parser


def add_model(parser: Parser) -> None:
    """Add the model that is used."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a file that train has saved"
    )


def add_images(parser: Parser) -> None:
    """Add the images that a verb reads."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image files, folders of them, or patterns such as 'img*.tif'",
    )


def add_tile(parser: Parser) -> None:
    """Add ``--tile``."""
    parser.add_argument(
        "--tile",
        type=positive(int),
        metavar="N",
        help="pixels of a piece that is computed at once; the result is the same",
    )


def _add_device(parser: Parser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute; auto takes the GPU when there is one",
    )


def add_usual(parser: Parser, *, mask: bool = True) -> None:
    """Add what all verbs take that read images: axes, mask, device and ``--json``."""
    _add_axes(parser)
    if mask:
        _add_mask(parser)
    _add_device(parser)
    add_json(parser)


def _add_axes(parser: Parser) -> None:
    """Add ``--axes``."""
    parser.add_argument("--axes", help="one letter per axis, such as TZYX")


def add_json(parser: Parser) -> None:
    """Add ``--json``."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object on standard output and nothing else there",
    )


def _add_mask(parser: Parser) -> None:
    """Add ``--mask``."""
    parser.add_argument(
        "--mask",
        nargs="+",
        default=[],
        metavar="MASK",
        help="for each image a mask or segmentation that enters as one more channel",
    )


def positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """Return what converts a text to a number above 0; argparse tells if it is none."""
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
