"""Debian's Chromium for tests that look at pages, one for the session; skipped with the reason where there is none."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM.is_file(), reason="no chromium here")


def running_chromium(profile: Path) -> Iterator[str]:
    """A browser without a window; gives the address at which it is spoken to."""
    options = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]
    # Widths are those of the pages alone, and no tab waits because another one is in front of it.
    options += ["--hide-scrollbars", "--disable-background-timer-throttling", "--disable-renderer-backgrounding"]
    process = subprocess.Popen(
        [CHROMIUM, *options, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"DevTools listening on (ws://\S+)", line):
            break
    else:
        pytest.fail("".join(said))
    # What it writes from now on nobody reads; it must not wait for that.
    with subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL):
        process.stderr.close()
        yield found[1]
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def browser(chromium: str) -> "Iterator[Browser]":
    """The session's browser. The connection is the module's: as long as there is one, an event loop runs here."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(chromium)
        yield browser
        browser.close()
