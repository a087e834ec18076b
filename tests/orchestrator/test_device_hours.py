"""Time of devices in words: two digits, in one unit."""

import pytest

from orchestrator.device_hours import device_hours, used_of_expected


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (1234.5, "1,200 GPU hours"),
        (0.01, "0.01 GPU hours"),
        (30 / 3600, "30 GPU seconds"),
        (0, "less than 1 GPU second"),
    ],
)
def test_hours_or_seconds(hours: float, words: str) -> None:
    assert device_hours(hours, "GPU") == words


@pytest.mark.parametrize(
    ("used", "expected", "words"),
    [
        (1.234, 5.34, "1.2 of about 5.3 GPU hours"),
        (0, 5.34, "0 of about 5.3 GPU hours"),
        (2 / 3600, 6 / 3600, "2 of about 6 GPU seconds"),
        (2.0, None, "2 GPU hours"),
        (2.0, 2.0, "2 GPU hours"),
    ],
)
def test_of_what_is_expected(used: float, expected: float | None, words: str) -> None:
    assert used_of_expected(used, expected, "GPU") == words
