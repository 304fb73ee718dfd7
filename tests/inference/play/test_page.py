"""The page in a browser."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.browser import needs_browser, open_browser
from tests.inference.play.picture import DESKTOP, take_picture
from tests.inference.play.running import Running

pytestmark = [needs_browser, pytest.mark.xdist_group("play")]  # one process: the browser is started once
PHONE = {"width": 360, "height": 700}
TEXT = "so very old and quite good"
LONG = " ".join(["warm"] * 40 + ["unpronounceablewordwithoutend", "good"])


Open = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def shown(browser: Any, page_server: Running) -> Open:
    """A function that opens the page for a text and waits for all of it; errors of its scripts end the test."""

    @contextmanager
    def open_page(wait: bool = True, options: dict[str, Any] | None = None, **query: str) -> Iterator[Any]:
        page = browser.new_page(**(options or {}))
        page.set_default_timeout(0)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{page_server.address}/#{urlencode(query)}", wait_until="domcontentloaded")
        if wait:
            finished(page)
        yield page
        page.close()
        assert errors == []

    return open_page


def finished(page: Any) -> None:
    page.locator("#status").filter(has_text=re.compile(r"[^…]\s*$")).wait_for()


def sections(page: Any) -> list[str]:
    return [it.get_attribute("id") for it in page.locator("main section").all() if it.is_visible()]


def test_two_networks_that_classify_are_shown_side_by_side(shown: Open) -> None:
    with shown(text=TEXT, first="elman", second="lstm") as page:
        assert sections(page) == ["output", "changes", "sensitivity", "distance", "influence"]
        for section in ("output", "changes", "sensitivity", "influence"):
            assert page.locator(f"#{section} svg").count() == 2
            texts = page.locator(f"#{section} svg").first.locator("text[text-anchor=end]").all_text_contents()
            assert texts[: len(TEXT.split())] == TEXT.split()
        names = page.locator("#output h3").all_text_contents()
        assert [name.split()[0] for name in names] == ["elman", "lstm"]
        boxes = [it.bounding_box() for it in page.locator("#output svg").all()]
        assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
        assert page.locator("#distance path.series").count() == 2
        assert page.locator("#sensitivity path.mean").count() == 2
        status = page.locator("#status").inner_text()
        assert re.fullmatch(r"elman: (negative|positive), .* %\. lstm: (negative|positive), .* %\.", status)


def test_a_network_that_labels_tokens_has_distributions_and_squares(shown: Open, page_server: Running) -> None:
    with shown(text="Ada met us in Paris", first="tagger") as page:
        assert sections(page) == ["prefixes", "distribution", "changes", "sensitivity", "distance", "influence"]
        rows = page.locator("#distribution tbody tr")
        assert rows.count() == 5
        assert page.locator("#distribution td.decoded").count() == 5
        found = page_server.explain("tagger", text="Ada met us in Paris")[1]
        assert page.locator("#distribution td.decoded").first.inner_text() == str(
            round(100 * found["probabilities"][0][found["labels"][0]])
        )
        assert not page.locator("#label").is_visible()


def test_the_picture_of_the_output_is_on_a_logit_axis(shown: Open, page_server: Running) -> None:
    """Points that are as far apart in log-odds are as far apart in the picture."""
    found = page_server.explain("lstm", text=TEXT)[1]
    label = found["labels"][0]
    odds = [max(-16.0, min(16.0, row[label])) for row in found["prefix_log_odds"]]
    with shown(text=TEXT, first="lstm") as page:
        places = [float(it.get_attribute("cx")) for it in page.locator("#output circle").all()]
    middle = (places[0] - places[-1]) / (odds[0] - odds[-1])
    for place, value in zip(places, odds, strict=True):
        assert place - places[0] == pytest.approx(middle * (value - odds[0]), abs=0.5)


def test_another_label_is_chosen(shown: Open) -> None:
    with shown(text=TEXT, first="lstm") as page:
        before = page.locator("#influence svg").get_attribute("aria-label")
        chosen = page.locator("#label").input_value()
        other = {"negative": "positive", "positive": "negative"}[chosen]
        page.get_by_label("Label in the pictures").select_option(other)
        assert page.locator("#output figcaption").inner_text() == f"probability of {other}"
        assert page.locator("#influence svg").get_attribute("aria-label") != before


def test_it_works_by_keyboard_alone(shown: Open) -> None:
    with shown(wait=False) as page:
        assert page.locator("#second").input_value() == "lstm"  # `beside`
        page.keyboard.press("Tab")
        page.keyboard.type(TEXT)
        for name in ("first", "second"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.id") == name
        page.keyboard.press("Home")  # none
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        finished(page)
        assert page.locator("#output svg").count() == 1
        page.get_by_text("All numbers").focus()
        page.keyboard.press("Enter")
        assert page.get_by_role("table").locator("tbody tr").count() == len(TEXT.split())


def test_ctrl_and_enter_shows_the_text_and_the_address_keeps_it(shown: Open) -> None:
    with shown(wait=False) as page:
        page.get_by_label("Text", exact=True).fill("good & old")
        page.keyboard.press("Control+Enter")
        finished(page)
        assert page.url.endswith("#text=good+%26+old&first=elman&second=lstm")
        page.reload()
        finished(page)
        assert page.get_by_label("Text", exact=True).input_value() == "good & old"
        assert page.locator("#output svg").count() == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"text": "\u200b", "first": "lstm"}, "text is empty"),
        ({"text": "a " * 201, "first": "lstm"}, "text has 201 tokens; accepted: at most 200"),
    ],
)
def test_a_text_that_cannot_be_used_is_one_line(query: dict[str, str], message: str, shown: Open) -> None:
    with shown(**query) as page:
        page.locator("#status.error").wait_for()
        assert page.locator("#status").inner_text().startswith(message)
        assert not page.locator("#pictures").is_visible()


def test_means_that_cannot_be_computed_say_why(shown: Open) -> None:
    with shown(text="rain", first="topics") as page:
        assert "prepared data of its training are not here" in page.locator("#distance").inner_text()
        assert page.locator("#sensitivity path.mean").count() == 0


def test_a_network_whose_means_are_all_of_few_gradients_has_no_curve_beside_another(shown: Open) -> None:
    mean = "{distances: [0, 1], means: [1, 2], counts: [count, count], texts: 9}"
    network = f"({{name: 'n', kind: 'first', mean: {mean}}})"
    with shown(text="rain", first="topics") as page:
        for counts, curves in (([9, 9], 2), ([9, 4], 1), ([4, 4], 0)):
            drawn = f"distancePicture({counts}.map(count => {network}), 400)?.querySelectorAll('path').length ?? 0"
            assert page.evaluate(drawn) == curves


def test_a_network_of_pairs_asks_for_a_second_text(shown: Open) -> None:
    with shown(wait=False) as page:
        second = page.get_by_label("Second text")
        assert not second.is_visible()
        page.get_by_label("Network").select_option("pairs")
        page.get_by_label("Text", exact=True).fill("good")
        second.fill("very old")
        page.keyboard.press("Control+Enter")
        finished(page)
        tokens = page.locator("#output .first text[text-anchor=end]").all_text_contents()
        assert tokens == ["good", "<sep>", "very", "old"]
        assert page.locator("#output .second text[text-anchor=end]").all_text_contents() == ["good"]  # reads one text


def test_the_longest_text_is_shown_by_two_networks(shown: Open) -> None:
    with shown(text=" ".join(["Ada"] * 200), first="tagger", second="tagger") as page:
        assert page.locator("#sensitivity svg").count() == 2


def test_wide_letters_are_not_cut_off(shown: Open) -> None:
    with shown(text="很好很好很好很好很好 WWWWWWWWWWWWWWWWWW", first="lstm") as page:
        for section in ("output", "influence"):
            edge = page.locator(f"#{section} svg").bounding_box()["x"]
            assert all(it.bounding_box()["x"] >= edge for it in page.locator(f"#{section} text[text-anchor=end]").all())


def test_a_text_longer_than_all_others_has_means_at_its_end(shown: Open, page_server: Running) -> None:
    distances = page_server.ask("/sensitivity?model=lstm")[1]["distances"]
    with shown(text=" ".join(["warm"] * (len(distances) + 5)), first="lstm") as page:
        points = page.locator("#sensitivity path.mean").get_attribute("d").count("L") + 1
        assert points == len(distances)
        circles = page.locator("#sensitivity circle").all()
        mean_end = page.locator("#sensitivity path.mean").get_attribute("d").split(" ")[-1]
        assert float(mean_end) == pytest.approx(float(circles[-1].get_attribute("cy")), abs=0.1)


def test_a_text_is_never_read_as_markup(shown: Open) -> None:
    with shown(text="<b>good</b> <img src=x onerror=alert(1)>", first="lstm") as page:
        assert page.locator("main b, main img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("first", ["elman", "tagger"])
def test_nothing_is_wider_than_a_phone(first: str, scheme: str, shown: Open) -> None:
    options = {"viewport": PHONE, "color_scheme": scheme}
    with shown(options=options, text=LONG, first=first, second="lstm") as page:
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_what_is_wider_than_its_place_is_a_tab_stop_and_nothing_else(shown: Open) -> None:
    with shown(options={"viewport": PHONE}, text=LONG, first="tagger") as page:
        wide = "[...document.querySelectorAll('main .scroll')].filter(it => it.scrollWidth > it.clientWidth + 1)"
        assert page.evaluate(f"{wide}.length") > 0
        assert page.evaluate(f"{wide}.every(it => it.tabIndex === 0)")
        assert page.locator("main [tabindex]").count() == page.evaluate(f"{wide}.length")


def test_the_picture_of_the_readme_is_taken(shown: Open, tmp_path: Path) -> None:
    with shown(options={"viewport": DESKTOP}, text=TEXT, first="elman", second="lstm") as page:
        take_picture(page, tmp_path / "play.png")
        assert sections(page) == ["output", "distance"]
        assert not page.locator("#choice").is_visible()
    assert (tmp_path / "play.png").read_bytes().startswith(b"\x89PNG")


def contrast(*colors: str) -> float:
    """Of two colours, as a browser computes them: rgb(r, g, b)."""

    def luminance(color: str) -> float:
        parts = [float(it) / 255 for it in re.findall(r"[\d.]+", color)[:3]]
        linear = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, colors))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_stand_out_from_the_paper(scheme: str, shown: Open) -> None:
    """At least 3 : 1, WCAG 2.2, 1.4.11."""
    options = {"color_scheme": scheme}
    with shown(options=options, text=TEXT, first="elman", second="lstm") as page:
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        for mark in (".first .series", ".second .series"):
            color = page.evaluate(f"getComputedStyle(document.querySelector('#output {mark}')).stroke")
            assert contrast(paper, color) >= 3
        for kind in ("for", "against"):
            color = page.evaluate(f"getComputedStyle(document.querySelector('#changes .{kind}')).fill")
            assert contrast(paper, color) >= 3
