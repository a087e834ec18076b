"""README's pictures of the pages: `python bench/pictures.py http://127.0.0.1:8000 EXPERIMENT` (needs chromium).

Of a running service and one of its finished experiments; written to `docs/pictures/`.
"""

import io
import re
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
TARGET = Path(__file__).parents[1] / "docs" / "pictures"
MAX_BYTES = 150_000
PATIENCE = 120_000


def shoot(page: Page, url: str, name: str, height: int) -> None:
    """A picture of the upper part of a page, once it is whole."""
    page.goto(url)
    page.locator("[data-waiting]").first.wait_for(state="detached", timeout=PATIENCE)
    page.locator("canvas, svg").first.wait_for()
    # Pictures further down, and curves, come a moment after the page itself.
    page.wait_for_load_state("networkidle")
    shot = page.screenshot(clip={"x": 0, "y": 0, "width": 1200, "height": height}, full_page=True)
    file = TARGET / f"{name}.webp"
    Image.open(io.BytesIO(shot)).convert("RGB").save(file, "WEBP", quality=82, method=6)
    size = file.stat().st_size
    print(f"{file.name}: {size / 1000:.0f} kB")
    if size > MAX_BYTES:
        sys.exit(f"{file} is larger than {MAX_BYTES / 1000:.0f} kB")


def main() -> None:
    """Write both."""
    url, experiment = sys.argv[1:]
    TARGET.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(PATIENCE)
        shoot(page, f"{url}/experiments/{experiment}", "experiment", 900)
        pairs = re.search(r"/experiments/[^\"]+/pairs/[^\"]+", page.content())
        assert pairs
        shoot(page, url + pairs[0], "pair", 980)
        browser.close()


if __name__ == "__main__":
    main()
