"""A headless browser, for tests of what a person sees."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
OFFLINE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@contextmanager
def open_browser() -> Iterator[Any]:
    """A browser of playwright's, for several pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield browser
        browser.close()


@contextmanager
def open_page(address: str, **options: Any) -> Iterator[Any]:
    """A page at the address, in a browser of its own; options: such as its viewport."""
    with open_browser() as browser:
        page = browser.new_page(**options)
        page.goto(address, wait_until="domcontentloaded")
        yield page
