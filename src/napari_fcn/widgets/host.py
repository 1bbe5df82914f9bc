"""One workbench per viewer, found through the viewer's own window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QMainWindow,
    QMessageBox,
    QTabBar,
    QWidget,
)

from napari_fcn.widgets.marker import PlaceMarker
from napari_fcn.widgets.preference import prefer_for_projects
from napari_fcn.widgets.scene import Scene
from napari_fcn.workbench.session import Workbench

if TYPE_CHECKING:
    from napari.components import ViewerModel

_POLL_MS = 40


class Host(QObject):
    """Keeps a viewer's workbench alive and polled, and ends it with the window.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer.
    workbench : Workbench
        Its workbench.
    parent : QObject, optional
        The main window, which owns the host.
    """

    def __init__(
        self, viewer: ViewerModel, workbench: Workbench, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.workbench = workbench
        self.scene = Scene(viewer, workbench)
        self.marker = PlaceMarker(self.scene)
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)
        self._timer.start()
        workbench.start_engine()
        if parent is not None:
            parent.installEventFilter(self)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)
        if parent is not None:
            parent.destroyed.connect(self.close)

    def close(self) -> None:
        """Write what was painted and end the engine."""
        self._timer.stop()
        self.workbench.close()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the window from closing over strokes that no disk holds yet."""
        closing = event is not None and event.type() == QEvent.Type.Close
        if closing and event is not None and not self.may_close():
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))

    def may_close(self) -> bool:
        """Write what is painted; where the disk refuses, ask what to do."""
        self.workbench.flush()
        while self.workbench.unwritten:
            answer = self.ask()
            if answer == QMessageBox.StandardButton.Discard:
                return True
            if answer != QMessageBox.StandardButton.Retry:
                return False
            self.workbench.try_again()
        return True

    def ask(self) -> QMessageBox.StandardButton:
        """Ask what to do with strokes that cannot be written."""
        buttons = QMessageBox.StandardButton
        return QMessageBox.warning(
            None,
            "Strokes are not written yet",
            "Your last strokes are in memory only, since the disk refuses them. Make "
            "room there and try again; if you discard them, they are lost.",
            buttons.Retry | buttons.Cancel | buttons.Discard,
            buttons.Retry,
        )

    def _poll(self) -> None:
        # A stroke is written when the button is released, not while it is drawn.
        pressed = QApplication.mouseButtons() != Qt.MouseButton.NoButton
        self.workbench.poll(flush=not pressed)
        self.scene.tick()


def tabify(widget: QWidget) -> None:
    """Put a dock behind the other docks of this package, where all fit the screen."""
    dock = _dock_around(widget)
    if dock is None:
        return
    window = dock.parentWidget()
    if not isinstance(window, QMainWindow):
        return
    for other in window.findChildren(QDockWidget):
        inner = other.widget()
        found = inner is not None and _is_ours(inner)
        if found and other is not dock and other.isVisible():
            window.tabifyDockWidget(other, dock)
            _name_tabs(window, (other, dock))
            QTimer.singleShot(0, dock.raise_)
            return


def _name_tabs(window: QMainWindow, docks: tuple[QDockWidget, ...]) -> None:
    """Show names in full, and an ampersand as such, not as a key's underline."""
    for dock in docks:
        dock.setWindowTitle(dock.windowTitle().replace("&&", "&").replace("&", "&&"))
    for bar in window.findChildren(QTabBar):
        bar.setElideMode(Qt.TextElideMode.ElideNone)


def _dock_around(widget: QWidget) -> QDockWidget | None:
    around = widget.parentWidget()
    while around is not None and not isinstance(around, QDockWidget):
        around = around.parentWidget()
    return around


def _is_ours(widget: QWidget) -> bool:
    ours = [widget, *widget.findChildren(QWidget)]
    return any(type(w).__module__.startswith("napari_fcn.") for w in ours)


def host_of(viewer: ViewerModel) -> Host:
    """Return the host of a viewer, and make one if there is none.

    A bare `ViewerModel` has no window to keep a host, so each call makes a new one.
    """
    # napari gives plugins a proxy, whose layers are not the ones that events name.
    viewer = getattr(viewer, "__wrapped__", viewer)
    window = getattr(getattr(viewer, "window", None), "_qt_window", None)
    if window is None:
        return Host(viewer, Workbench())
    found: Host | None = window.findChild(Host)
    if found is not None:
        return found
    prefer_for_projects()
    return Host(viewer, Workbench(), window)
