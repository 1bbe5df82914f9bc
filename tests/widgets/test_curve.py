from __future__ import annotations

from napari_fcn.widgets.curve import Curve


def test_the_last_points_are_drawn_though_nothing_comes_after_them(qtbot):
    curve = Curve()
    qtbot.addWidget(curve)
    for second in range(5):
        curve.add_loss(float(second), 1.0)
    assert len(curve.lines[0].xData) == 1

    def drawn():
        assert len(curve.lines[0].xData) == 5

    qtbot.waitUntil(drawn, timeout=5000)
