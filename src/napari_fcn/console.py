"""What the command line writes: one line at a time, whatever names are in it."""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import suppress
from typing import Any

from napari_fcn.errors import UserError

_LONGEST = 2000


def one_line(text: str) -> str:
    """Return a text on one line, without characters that steer a terminal.

    Parameters
    ----------
    text : str
        May hold names of files and classes, which may hold anything.

    Returns
    -------
    str
        With escapes in their place, and cut if it is very long.
    """
    safe = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}…"


def note(text: str) -> None:
    """Write a line to standard error, where progress and errors go.

    That nobody reads it is no reason to stop.
    """
    with suppress(OSError):
        sys.stderr.write(one_line(text) + "\n")
        sys.stderr.flush()


def show(text: str) -> None:
    """Write a line to standard output, where results go; see `finish_output`."""
    _write(one_line(text))


def show_json(value: Any) -> None:
    """Write a value as one line of JSON, which knows no infinities: they are null."""
    _write(json.dumps(_finite(value)))


def finish_output() -> None:
    """See to it that all results have left the process.

    Raises
    ------
    UserError
        If nobody takes them, as with a full disk or a closed pipe.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _refused(error) from error


def _write(line: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    known = line.encode(encoding, "backslashreplace").decode(encoding)
    try:
        sys.stdout.write(known + "\n")
    except OSError as error:
        raise _refused(error) from error


def _refused(error: OSError) -> UserError:
    # Python would try to write the rest once more at its end, and complain.
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    return UserError(
        f"The results cannot be written to standard output ({error.strerror}); send "
        "them to another place."
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
