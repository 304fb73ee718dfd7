"""Whether what a figure shows has its place."""

from itertools import combinations

from matplotlib.figure import Figure


def assert_fits(figure: Figure) -> None:
    """Nothing is cut off at the edge of the figure, and no axes with their texts cover others."""
    figure.canvas.draw()
    extents = [axes.get_tightbbox() for axes in figure.axes] + [it.get_window_extent() for it in figure.legends]
    width, height = figure.canvas.get_width_height()  # type: ignore[attr-defined]
    for box in extents:
        assert box is not None
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, (box, width, height)
    for first, second in combinations(extents, 2):
        assert first is not None and second is not None
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        up = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert min(across, up) <= 1, (first, second)
