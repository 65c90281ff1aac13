"""The plot of predicted against measured cycles: every point is in it."""

from matplotlib.figure import Figure

from speq_sim.cycles_plot import plot_cycles


def test_points_and_errors_are_drawn(tmp_path, monkeypatch):
    drawn = []
    true = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, *rest, **more: (drawn.append(self), true(self, *rest, **more)),
    )
    path = tmp_path / "new" / "cycles.png"
    plot_cycles(path, {"DRAFT": [(100, 101), (1000, 1000)], "VERIFY": [(400, 396)]})
    assert path.read_bytes().startswith(b"\x89PNG")
    both, errors = drawn[0].axes
    assert [text.get_text() for text in both.get_legend().get_texts()] == ["DRAFT", "VERIFY"]
    points = [each.get_offsets().tolist() for each in both.collections]
    assert points == [[[100, 101], [1000, 1000]], [[400, 396]]]
    off = [[round(y, 6) for _, y in each.get_offsets().tolist()] for each in errors.collections]
    assert off == [[1, 0], [-1]]
