"""The demo on a screen: a sample with strokes, training as soon as it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

    from napari_fcn.widgets.train_dock import TrainDock


def open_demo() -> tuple[napari.Viewer, TrainDock]:
    """Open napari with the dock and the tissue sample, and start training.

    Returns
    -------
    viewer : napari.Viewer
        The new viewer.
    dock : TrainDock
        Its dock, training.
    """
    import napari

    from napari_fcn.widgets.sample_data import tissue_with_strokes
    from napari_fcn.widgets.train_dock import TrainDock

    viewer = napari.Viewer()
    for data, options, kind in tissue_with_strokes():
        getattr(viewer, f"add_{kind}")(data, **options)
    dock = TrainDock(viewer)
    viewer.window.add_dock_widget(dock, name="Label & Train")
    dock.start()
    dock.toggle()
    return viewer, dock


if __name__ == "__main__":
    open_demo()
    import napari

    napari.run()
