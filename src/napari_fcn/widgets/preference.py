"""What napari shall do with project folders that are dropped on it."""

from __future__ import annotations

from napari_fcn.project.folder import SUFFIX

_PATTERN = f"*{SUFFIX}*"  # napari adds a slash to the names of folders


def prefer_for_projects() -> None:
    """Have napari open dropped projects without asking which plugin shall read them.

    Its own reader takes every folder, so it would ask. What the user has chosen before
    stays.
    """
    from napari.settings import get_settings

    plugins = get_settings().plugins
    if _PATTERN not in plugins.extension2reader:
        known = plugins.extension2reader
        plugins.extension2reader = {**known, _PATTERN: "napari-fcn"}
