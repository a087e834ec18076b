"""What pages load: the stylesheet, scripts, and the libraries of others, all from here."""

from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from orchestrator.report.page.templating import STYLES

ASSETS_PATH = "/assets"
FILES = Path(__file__).with_name("browser")


def assets_app() -> ASGIApp:
    """The files, packed where the client can unpack them; they hold nothing that only some may see."""
    # The stylesheet lies where the page that is a file finds it, too.
    styles = ("orchestrator.report.page", STYLES.name)
    return GZipMiddleware(StaticFiles(directory=FILES, packages=[styles]), minimum_size=1024)
