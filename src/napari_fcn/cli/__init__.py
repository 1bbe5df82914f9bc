"""The command line: everything the window does, without a screen."""

from __future__ import annotations

import os
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from napari_fcn.cli.arguments import Parser
from napari_fcn.cli.count import add_count
from napari_fcn.cli.demo import add_demo
from napari_fcn.cli.evaluate import add_evaluate
from napari_fcn.cli.info import add_info, add_networks
from napari_fcn.cli.predict import add_predict
from napari_fcn.cli.train import add_train
from napari_fcn.console import finish_output, note, show_json
from napari_fcn.errors import SeveralImagesWarning, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    with warnings.catch_warnings():
        if not _debugging():
            warnings.showwarning = _show_warning
        return _run(options)


def _run(options: Any) -> int:
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


def _debugging() -> bool:
    return bool(os.environ.get("NAPARI_FCN_DEBUG"))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Tell what the user can do something about; the rest is for developers."""
    if issubclass(category, SeveralImagesWarning):
        note(f"napari-fcn: {message}")


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
    if _debugging():
        traceback.print_exception(error)
    return 1


def _parser() -> Parser:
    parser = Parser(prog="napari-fcn", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add_demo(verbs)
    add_train(verbs)
    add_predict(verbs)
    add_evaluate(verbs)
    add_count(verbs)
    add_info(verbs)
    add_networks(verbs)
    return parser
