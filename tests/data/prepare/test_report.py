"""The report of the prepare stage: its numbers and its page."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.data.raw import ENTITIES, LENIENT, OPTIONS, REVIEWS, TAGS, raw_reviews, texts, write_raw
from unroll.data.prepare.prepare import prepare
from unroll.data.prepare.report import _label_figure, _length_figure, _unknown_figure
from unroll.files import read_json


def test_the_figures_are_those_of_the_rows(tmp_path: Path) -> None:
    raw = raw_reviews(
        tmp_path / "acme",
        train=texts("good film", "", "bad", "bad bad film", labels=[1, 0, 0, 0]),
        validation=texts("bad"),
        test=texts("good news", "bad"),
    )
    prepare(REVIEWS, raw, tmp_path / "out", LENIENT)
    report = read_json(tmp_path / "out" / "report.json")
    assert report["splits"]["train"] == {
        "rows_read": 4,
        "rows_used": 3,
        "sequences": 3,
        "quarantined": {"empty text": 1},
        "left_out": 0,
        "too_long": 0,
        "tokens": 6,
        "length": {"shortest": 1, "median": 2, "95 %": 2, "longest": 3},
        "unknown_share": 0.0,
        "labels": {"bad": 2, "good": 1},
    }
    assert report["splits"]["test"]["unknown_share"] == pytest.approx(1 / 3)
    assert report["duplicates"]["tokens"]["train, test"] == 1


def test_entities_are_counted_by_type(tmp_path: Path) -> None:
    columns = {"tokens": [["in", "New", "York", "Rio"], ["here"]], "tags": [[0, 1, 2, 1], [0]]}
    raw = write_raw(tmp_path / "acme", dict.fromkeys(("train", "validation", "test"), columns), TAGS)
    prepare(ENTITIES, raw, tmp_path / "out", OPTIONS)
    assert read_json(tmp_path / "out" / "report.json")["splits"]["train"]["labels"] == {"LOC": 2}


def test_the_page_shows_every_part_and_needs_nothing_else(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "acme", train=texts("good", "", "bad <b>", "bad", labels=[1, 0, 0, 0]))
    prepare(REVIEWS, raw, tmp_path / "out", LENIENT)
    page = (tmp_path / "out" / "report.html").read_text()
    for part in ("acme: the data", "empty text", "Unknown tokens", "Lengths", "same words", "quarantine.parquet"):
        assert part in page
    assert page.count('<svg role="img"') == 3
    assert not re.search(r"""(src|href)=["']?http|@import|url\(http""", page)


def test_the_page_of_clean_data_has_no_reasons(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "acme", validation=texts("a", "b"), test=texts("c", "d"))
    prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<h2>Unused rows</h2>" not in page
    assert "No text of validation or test occurs" in page


def test_thousands_of_labels_fit_on_the_page(tmp_path: Path) -> None:
    count = 2000
    columns = {"text": ["x"] * count, "label": [f"label {i:04}" for i in range(count)]}
    raw = write_raw(tmp_path / "acme", dict.fromkeys(("train", "validation", "test"), columns), None)
    prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1,950 others" in page
    assert len(page) < 200_000


def test_without_unknown_tokens_there_is_no_figure_of_them(tmp_path: Path) -> None:
    prepare(REVIEWS, raw_reviews(tmp_path / "acme"), tmp_path / "out", OPTIONS)
    report, page = read_json(tmp_path / "out" / "report.json"), (tmp_path / "out" / "report.html").read_text()
    is_unknown = any(facts["unknown_share"] for facts in report["splits"].values())
    assert ("There are no unknown tokens." in page) != is_unknown
    assert page.count('<svg role="img"') == 2 + is_unknown


def test_no_axis_of_shares_goes_below_zero_or_beyond_all() -> None:
    for figure in (
        _unknown_figure({split: {"unknown_share": 1.0} for split in ("train", "validation", "test")}),
        _label_figure({split: {"good": 4, "bad": 0} for split in ("train", "validation", "test")}, "texts"),
    ):
        assert figure.axes[0].get_xlim() == (0, 1)
    figure = _length_figure({split: np.array([3, 3]) for split in ("train", "validation", "test")})
    assert figure.axes[0].get_ylim() == (0, 1)
