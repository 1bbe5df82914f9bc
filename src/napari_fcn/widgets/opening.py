"""Opening a project in a viewer, also when its folder is dropped on the window."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_fcn.data.readers import OpenedImage
from napari_fcn.errors import UserError
from napari_fcn.widgets.reader import layer_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel

    from napari_fcn.project import ProjectImage
    from napari_fcn.widgets.host import Host


def get_project_reader(path: str | Sequence[str]) -> Callable[..., Any] | None:
    """Return what opens a project for napari; None for anything else."""
    if isinstance(path, str) and (Path(path) / "project.json").is_file():
        return read_project
    return None


def read_project(path: str) -> list[tuple[None]]:
    """Open a project in the current viewer, with its dock.

    Returns
    -------
    list of (None,)
        What napari takes for "read, and nothing to add": the layers are added by the
        project itself, since they belong together.

    Raises
    ------
    UserError
        If there is no window, or it cannot be opened.
    """
    import napari

    from napari_fcn.widgets.host import host_of

    viewer = napari.current_viewer()
    if viewer is None:
        raise UserError("A project needs a window; open napari first.")
    empty = not viewer.layers
    open_docks(viewer)
    open_project(host_of(viewer), Path(path))
    if empty:  # once the dock has taken its room, so that all of the image is seen
        QTimer.singleShot(0, viewer.reset_view)
    return [(None,)]


def open_docks(viewer: ViewerModel) -> None:
    """Show the dock that one paints and trains with."""
    window = getattr(viewer, "window", None)
    if window is not None:
        # A broken installation of another plugin must not keep the project closed.
        with suppress(KeyError, ValueError):
            window.add_plugin_dock_widget("napari-fcn", "Label & Train")


def open_project(host: Host, folder: Path) -> None:
    """Open a project and show its first image that can be shown.

    Raises
    ------
    UserError
        If it cannot be opened.
    """
    book = host.workbench
    if book.project is None or book.project.folder != folder:
        book.open_project(folder)
    project = book.project
    assert project is not None
    problem = ""
    for image in project.record.images:
        try:
            show_image(host, image)
        except UserError as error:
            problem = problem or str(error)
        else:
            break
    if problem:
        book.said.emit(problem)


def show_image(host: Host, image: ProjectImage) -> None:
    """Show an image of the project with its labels, and work on it.

    Raises
    ------
    UserError
        If it is missing, damaged, or not the one it was.
    """
    project = host.workbench.project
    assert project is not None
    layer = host.scene.layer_of(image.key)
    if layer is None:
        data = image.pixels(project.folder)
        opened = OpenedImage(
            data, image.axes.axes(), image.name, image.place(project.folder)
        )
        data, options, _ = layer_data(opened)
        layer = host.viewer.add_image(data, **options)
    host.scene.introduce(layer, image)
    host.scene.work_on(layer, image.axes.names.removesuffix("S"))
