"""Errors and warnings that reach the user as one plain sentence with what to do."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend; the message says what and how."""


class SeveralImagesWarning(UserWarning):
    """A file holds images besides the one that was opened."""
