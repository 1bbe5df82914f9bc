"""Why something failed, in words that fit into one sentence."""

from __future__ import annotations

from napari_fcn.engine.device import is_out_of_memory

_LONGEST = 200


def reason(error: BaseException) -> str:
    """Return what an error says, on one line and not too long.

    Parameters
    ----------
    error : BaseException
        Any; those of libraries often say much on many lines.

    Returns
    -------
    str
        Without a full stop.
    """
    if is_out_of_memory(error):
        return "there is not enough memory"
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    lines = text.strip().splitlines()
    first = lines[0].strip().rstrip(".:") if lines else ""
    if not first:
        return type(error).__name__
    return first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
