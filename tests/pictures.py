"""Pictures of a portal's pages, one sheet a page: in both languages, at both widths and themes. Of
the pages that the tutorials show, one in Chinese besides, `<page>.zh.webp`.

`python -m tests.pictures data/reports/<release> docs/images/portal`
"""

from __future__ import annotations

import argparse
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from reports.words import LANGUAGES
from tests.browser import browser

WIDTHS = (1440, 390)
# Of the screen, and of one page of a sheet.
HEIGHT, SHOWN_HEIGHT = 1600, 480
GAP = 8
# Pages shown alone, wide and light, and the width of such a picture.
ALONE, LANGUAGE, ALONE_WIDTH = ("index", "value", "lists", "quality"), "zh", 1080


def kinds_of_pages(folder: Path) -> list[Path]:
    """Each page, and of the pages below one the first."""
    below = [min(part.glob("*.html")) for part in sorted(folder.iterdir()) if part.is_dir()]
    return [*sorted(folder.glob("*.html")), *below]


def sheet(pictures: list[Image.Image]) -> Image.Image:
    """The pictures side by side, at one height."""
    shown = [
        one.resize((round(one.width * SHOWN_HEIGHT / one.height), SHOWN_HEIGHT), Image.LANCZOS)
        for one in pictures
    ]
    made = Image.new("RGB", (sum(one.width + GAP for one in shown), SHOWN_HEIGHT), "white")
    place = 0
    for one in shown:
        made.paste(one, (place, 0))
        place += one.width + GAP
    return made


def take(site: Path, target: Path) -> list[Path]:
    """Write a sheet for each kind of page of a portal; returns them."""
    target.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory() as place, browser(Path(place)) as window:
        for page in kinds_of_pages(site / LANGUAGES[0]):
            below = page.relative_to(site / LANGUAGES[0])
            name = below.stem if below.parent == Path() else f"{below.parent.name}-page"
            pictures = []
            for width in WIDTHS:
                for language in LANGUAGES:
                    for dark in (False, True):
                        window.emulate(width, HEIGHT, dark=dark)
                        window.open((site / language / below).as_uri())
                        taken = Path(place) / "picture.png"
                        window.screenshot(taken)
                        one = Image.open(BytesIO(taken.read_bytes())).convert("RGB")
                        pictures.append(one)
                        shown = (width, language, dark) == (WIDTHS[0], LANGUAGE, False)
                        if shown and name in ALONE:
                            height = round(one.height * ALONE_WIDTH / one.width)
                            one = one.resize((ALONE_WIDTH, height), Image.LANCZOS)
                            written.append(target / f"{name}.{language}.webp")
                            one.save(written[-1], quality=60, method=6)
            written.append(target / f"{name}.webp")
            sheet(pictures).save(written[-1], quality=60, method=6)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="folder of the portal, data/reports/<release>")
    parser.add_argument("target", type=Path, help="folder of the sheets")
    asked = parser.parse_args()
    for path in take(asked.site, asked.target):
        print(path)


if __name__ == "__main__":
    main()
