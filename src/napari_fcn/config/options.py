"""A network's configuration from words, as they are typed on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_fcn.config.network import NetworkConfig
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIXED = ("name", "ndim", "in_channels", "out_channels")
SETTINGS = tuple(n for n in NetworkConfig.model_fields if n not in _FIXED)
"""The fields that may be set; the others follow from the images and the name."""


def network_from_words(
    name: str, ndim: int, settings: Iterable[str] = ()
) -> NetworkConfig:
    """Read settings such as ``depth=4`` and ``coordinates=yes``.

    Parameters
    ----------
    name : str
        Of the network.
    ndim : int
        Number of spatial dimensions.
    settings : iterable of str
        ``field=value``, with the fields of `NetworkConfig`.

    Raises
    ------
    UserError
        If there is no such field, or the values do not go together.
    """
    fields: dict[str, Any] = {}
    for text in settings:
        field, equals, value = (part.strip() for part in text.partition("="))
        if field not in SETTINGS or not equals:
            raise UserError(
                f"{text[:60]!r} is no setting of a network; write for example depth=4, "
                f"with one of: {', '.join(SETTINGS)}."
            )
        fields[field] = value
    try:
        return NetworkConfig.model_validate({"name": name, "ndim": ndim, **fields})
    except ValidationError as error:
        found = error.errors()[0]
        why = found["msg"].removeprefix("Value error, ")
        where = " ".join(str(part) for part in found["loc"])
        raise UserError(
            f"The settings of the network do not fit ({where}: {why}); change them."
            if where
            else f"The settings of the network do not go together ({why}); change one."
        ) from error
