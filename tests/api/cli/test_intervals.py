"""Intervals as text: where the marks stand is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.intervals import Interval, draw_intervals


@pytest.mark.parametrize(
    ("interval", "drawn"),
    [
        (Interval(2, 6, 10), "┊ ├───●───┤"),
        (Interval(-10, -6, -2), "├───●───┤ ┊"),
        (Interval(-5, 1, 5), "├────┼●───┤"),
        (None, "┊          "),
        (Interval(10, 10, 10), "┊         ●"),
        (Interval(0, 5, 10), "├────●────┤"),
    ],
)
def test_known_drawings(interval: Interval | None, drawn: str) -> None:
    assert draw_intervals([interval], width=11) == [drawn]


def test_all_share_one_scale() -> None:
    assert draw_intervals([Interval(5, 6, 7), Interval(-3, -2, -1)], width=11) == ["   ┊    ├●┤", "├●┤┊       "]


ends = st.tuples(*[st.floats(-1e6, 1e6)] * 3).map(sorted).map(lambda three: Interval(*three))


@given(st.lists(st.none() | ends, min_size=1, max_size=5))
def test_every_drawing_is_as_wide_as_asked(intervals: list[Interval | None]) -> None:
    for interval, drawing in zip(intervals, draw_intervals(intervals), strict=True):
        assert len(drawing) == 27
        assert ("●" in drawing) == (interval is not None)
