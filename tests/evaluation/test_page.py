"""The page as a person sees it, in a real browser."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.browser import needs_browser, open_page
from unroll.data.prepared import PreparedData
from unroll.evaluation.report import write_comparison
from unroll.evaluation.runs import Run, read_runs

pytestmark = needs_browser

DataOf = Callable[[Sequence[Run]], PreparedData]
PARAMETERS = 8  # the column
PHONE = {"width": 390, "height": 800}
PAPER = {"width": 686, "height": 1000}  # A4 without its margins


@pytest.fixture(scope="module")
def address(labeling_runs: Path, data_of: DataOf, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of three models, one with a name that is too long for a phone."""
    runs = read_runs(labeling_runs)
    runs += [
        replace(run, model="a_name_that_is_" + "very_" * 8 + "long", parameters=9_999, best_score=0.1)
        for run in runs
        if run.model == "elman"
    ]
    folder = tmp_path_factory.mktemp("page")
    write_comparison(runs, data_of(runs), folder)
    return (folder / "index.html").as_uri()


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    with open_page(address) as page:
        yield page


def column(page: Any, number: int) -> list[str]:
    return list(page.locator(f"table.sortable tbody tr > :nth-child({number})").all_inner_texts())


def test_a_press_on_a_header_sorts_by_it_and_another_turns_it_round(page: Any) -> None:
    header = page.get_by_role("columnheader", name="parameters")
    assert column(page, PARAMETERS) == ["12,345", "4,321", "9,999"]
    header.get_by_role("button").click()
    assert column(page, PARAMETERS) == ["12,345", "9,999", "4,321"]
    assert header.get_attribute("aria-sort") == "descending"
    header.get_by_role("button").press("Enter")
    assert column(page, PARAMETERS) == ["4,321", "9,999", "12,345"]
    assert page.locator("[aria-sort]").count() == 1
    assert header.get_attribute("aria-sort") == "ascending"


def test_names_are_sorted_from_a(page: Any) -> None:
    page.get_by_role("columnheader", name="model").first.get_by_role("button").click()
    assert [name[:5] for name in column(page, 1)] == ["a_nam", "elman", "gru"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(address: str, scheme: str) -> None:
    with open_page(address, viewport=PHONE, color_scheme=scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_nothing_is_cut_off_or_dark(address: str, scheme: str) -> None:
    with open_page(address, viewport=PAPER, color_scheme=scheme) as page:
        page.emulate_media(media="print", color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == PAPER["width"]
        assert page.evaluate(f"[...document.querySelectorAll('table')].every(it => it.offsetWidth <= {PAPER['width']})")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_on_paper_closed_details_are_there(page: Any) -> None:
    table = page.get_by_role("table", name="One row per run", include_hidden=True)
    assert not table.is_visible()
    page.emulate_media(media="print")
    assert page.locator("details[open]").count() == 0
    assert table.is_visible()


def test_the_matrix_of_pairs_has_a_name(page: Any) -> None:
    assert page.get_by_role("table", name="Test entity F1, row minus column, in percentage points").count() == 1


def test_a_table_that_has_room_is_no_tab_stop(page: Any) -> None:
    assert page.locator("[tabindex]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_mark_of_sorting_is_as_clear_as_its_header(address: str, scheme: str) -> None:
    with open_page(address, color_scheme=scheme) as page:
        mark = "getComputedStyle(document.querySelector('th:not([aria-sort]) button'), '::after')"
        assert page.evaluate(f"{mark}.opacity") == "1"
        assert "↕" in page.evaluate(f"{mark}.content")


def test_without_scripts_the_page_reads_the_same(address: str) -> None:
    with open_page(address, java_script_enabled=False) as page:
        assert column(page, PARAMETERS) == ["12,345", "4,321", "9,999"]
        assert page.get_by_role("button").count() == 0


def test_on_a_phone_the_first_column_of_a_table_that_is_scrolled_stays_and_shadows_show_that_there_is_more(
    address: str,
) -> None:
    with open_page(address, viewport=PHONE) as page:
        found = page.evaluate("""() => {
            const region = [...document.querySelectorAll(".scroll")].find(it => it.scrollWidth > it.clientWidth);
            region.scrollLeft = 100;
            const firsts = [...region.querySelectorAll("tr > :first-child")];
            const edge = region.getBoundingClientRect().left;
            const style = getComputedStyle(region);
            return [region.scrollLeft, firsts.map(it => it.getBoundingClientRect().left - edge), style.backgroundImage,
                style.backgroundAttachment];
        }""")
    scrolled, lefts, image, attachment = found
    assert scrolled == 100
    assert len(lefts) > 1 and max(map(abs, lefts)) < 1
    assert image.count("linear-gradient") == 4
    assert attachment == "local, local, scroll, scroll"
