"""Makes the picture of ``unroll play`` in the README, from two trained networks:

python -m tests.inference.play.picture models/demo_reviews/elman/1 models/demo_reviews/lstm/1 docs/play.png
"""

import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.browser import open_page
from tests.inference.play.running import serving
from unroll.inference.play.networks import open_networks
from unroll.loading import find_source

TEXT = "Utterly fantastic from start to finish. On the way home we talked about statistics and swimming."
SHOWN = ("output", "distance")
DESKTOP = {"width": 1100, "height": 800}


def take_picture(page: Any, picture: Path) -> None:
    """Save what a browser shows: the first pictures of the page, when all of it is there."""
    page.locator("#status").filter(has_text=re.compile(r"[^…]\s*$")).wait_for(timeout=0)
    for part in page.locator("main > *").all():
        if part.get_attribute("id") not in SHOWN:
            part.evaluate("it => it.style.setProperty('display', 'none', 'important')")  # also when it is drawn again
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # until it is drawn
    page.screenshot(path=picture, full_page=True)


def main(first: str, second: str, picture: str) -> None:
    networks = open_networks([first, second], None, find_source, Path())
    query = urlencode({"text": TEXT, "first": networks[0].name, "second": networks[1].name})
    with serving(networks) as server, open_page(f"{server.address}/#{query}", viewport=DESKTOP) as page:
        take_picture(page, Path(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
