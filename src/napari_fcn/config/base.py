"""The base of all configuration: frozen, strict and versioned."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable pydantic model that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
