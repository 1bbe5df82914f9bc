"""The base of all configuration: frozen, and strict about names and numbers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable pydantic model that refuses fields it does not know.

    It refuses infinities and NaN, too, which JSON has no words for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
