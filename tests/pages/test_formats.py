import pytest

from unroll.pages.formats import duration_text, interval_text, p_text, part_text, score_text, size_text, speed_text


@pytest.mark.parametrize(
    ("metric", "mean", "sd", "text"),
    [
        ("test/accuracy", 0.91234, 0.00411, "91.23 ± 0.41"),
        ("test/accuracy", 0.5, float("nan"), "50.00"),
        ("test/f1", float("nan"), float("nan"), "–"),
        ("test/loss", 1.23456, 0.1, "1.235 ± 0.100"),
    ],
)
def test_score_text(metric: str, mean: float, sd: float, text: str) -> None:
    assert score_text(metric, mean, sd) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.97, "1 min 00 s"),
        (83, "1 min 23 s"),
        (3599.7, "1 h 00 min"),
        (7380, "2 h 03 min"),
    ],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_940, "99.9 kB"),
        (99_960, "100 kB"),
        (999_600, "1.0 MB"),
        (2.5e12, "2500 GB"),
    ],
)
def test_size_text(size: float, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("score", "size", "text"),
    [(0.3333, 30, "33.33"), (0.3333, 29, "(33)"), (1.0, 18, "(100)"), (0.0, 0, "–"), (float("nan"), 50, "–")],
)
def test_a_score_of_few_examples_is_rounded_and_in_brackets(score: float, size: float, text: str) -> None:
    assert part_text(score, size) == text


@pytest.mark.parametrize(
    ("speed", "text"), [(12.34, "12"), (999.6, "1,000"), (110_081.05, "110,000"), (float("nan"), "–")]
)
def test_speed_text(speed: float, text: str) -> None:
    assert speed_text(speed) == text


def test_interval_text() -> None:
    assert interval_text(0.9012, 0.92) == "90.1 to 92.0"
    assert interval_text(-0.0112, 0.02, "+") == "−1.1 to +2.0"
    assert interval_text(float("nan"), float("nan")) == "–"


def test_a_difference_that_is_rounded_to_zero_has_no_sign() -> None:
    assert interval_text(-0.026, -0.0004, "+") == "−2.6 to 0.0"
    assert interval_text(0.0004, 0.026, "+") == "0.0 to +2.6"


def test_p_text() -> None:
    assert [p_text(p) for p in (1.0, 0.0314, 0.0004)] == ["p = 1.000", "p = 0.031", "p < 0.001"]
