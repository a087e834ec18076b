"""Pages in a real browser, of a real server: live, at every width, light and dark, for everybody."""

import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.app import create_app
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.spec.experiment import parse_spec
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import start_trial, trials_of
from tests.api import playing
from tests.api.conftest import NOBODY, JsonObject
from tests.chromium import browser, needs_chromium
from tests.orchestrator.planted_maps import write_maps

__all__ = ["browser"]

pytestmark = needs_chromium
AXE = Path(__file__).parents[2] / "browser_libraries" / "axe-core" / "axe.min.js"
PATIENCE = 60_000
SPEC: JsonObject = {
    "name": "small",
    "question": "Does it help <b>us</b>?",
    "models": [{"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1}],
    "datasets": [{"kind": "digits", "num_train": 100}, {"kind": "digits", "num_train": 120}],
    "optimization": {"epochs": 2},
    "arms": [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}},
    ],
    "seeds": [0, 1, 2, 3, 4, 5, 6],
}


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()


class Service:
    """A server on a port of its own, and the store behind it."""

    def __init__(self, home: Path) -> None:
        self.settings = settings = Settings(home=home, data_root=home, ray_dashboard_url=NOBODY, report_processes=0)
        self.database: Database = open_database(settings.effective_database_url)
        self._experiments = Experiments(self.database, settings)
        config = uvicorn.Config(create_app(settings, with_background=False), port=0, log_level="warning")
        self._server = Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        assert self._server.is_listening.wait(PATIENCE / 1000)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, **changes: object) -> str:
        return self._experiments.submit(parse_spec({**SPEC, **changes})).id

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self.database.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SIGMALAB_API_TOKEN", "SIGMALAB_DATABASE_URL", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        patch.setenv("SIGMALAB_HOME", str(home))
        service = Service(home)
        yield service
        service.stop()
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def finished(service: Service) -> str:
    experiment_id = service.ask(name="finished")
    playing.play(service.database, experiment_id, failing=[("gaussian", 1)])
    return f"/experiments/{experiment_id}"


def opened(context: BrowserContext, url: str) -> tuple[Page, list[str]]:
    """A page with nothing left to wait for, and what its console complains of."""
    page, complaints = context.new_page(), list[str]()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    expect(page.locator("[data-waiting]")).to_have_count(0, timeout=PATIENCE)
    return page, complaints


def test_every_page_at_every_width_for_everybody(browser: Browser, service: Service, finished: str) -> None:
    """No complaint of the console, nothing wider than the window, no serious finding of axe in light and dark."""
    running = service.ask(name="running")
    attempt = playing.begin(service.database, running)
    playing.train(service.database, running, attempt)
    failed = service.ask(name="failed")
    playing.finish(service.database, failed, playing.begin(service.database, failed), ExperimentStatus.FAILED)
    paths = ["/", finished, f"/experiments/{running}", f"/experiments/{failed}", f"{finished}/extend?seeds=9"]
    paths.append(f"{finished}/pairs/small_vit_12x1_rel_bias_h1/digits-100/gaussian")
    paths += [f"{finished}/learned", f"{finished}/search", "/new"]
    # Only so that axe's own script may run.
    context = browser.new_context(bypass_csp=True)
    for path in paths:
        page, complaints = opened(context, service.url + path)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        page.add_script_tag(path=AXE)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate("axe.run(document).then(found => JSON.stringify(found.violations))")
            serious = [each for each in json.loads(found) if each["impact"] in ("serious", "critical")]
            assert serious == [], (path, scheme)
        for width in (320, 768, 1440, 3840):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") == width, (path, width)
        assert complaints == [], path
        page.close()
    context.close()
    playing.finish(service.database, running, attempt)


def test_it_grows_while_it_runs_and_says_when_it_is_over(browser: Browser, service: Service) -> None:
    experiment_id = service.ask(name="growing", seeds=list(range(20, 28)))
    attempt = playing.begin(service.database, experiment_id)
    context = browser.new_context()
    page, complaints = opened(context, f"{service.url}/experiments/{experiment_id}")
    expect(page.locator("#status")).to_contain_text("0 of 16 pairs")
    first = page.evaluate("window.first = Math.random()")
    playing.train(service.database, experiment_id, attempt)
    expect(page.locator("#status")).to_contain_text("16 of 16 pairs", timeout=PATIENCE)
    expect(page.locator("#matrix .verdict i").first).to_have_text("interim", timeout=PATIENCE)
    assert page.evaluate("window.first") == first
    playing.finish(service.database, experiment_id, attempt)
    expect(page.locator("#status .state")).to_contain_text("succeeded", timeout=PATIENCE)
    expect(page.get_by_text("interim", exact=True)).to_have_count(0, timeout=PATIENCE)
    assert complaints == []
    context.close()


def test_curves_of_a_pair_grow_in_place(browser: Browser, service: Service) -> None:
    experiment_id = service.ask(name="curves", seeds=[30, 31, 32])
    attempt = playing.begin(service.database, experiment_id)
    with service.database.write() as session:
        trial = next(trial for trial in trials_of(session, experiment_id) if trial.arm == "gaussian")
        start_trial(session, trial.id, attempt)
    context = browser.new_context()
    page, complaints = opened(context, f"{service.url}/experiments/{experiment_id}/pairs/{trial.cell}/gaussian")
    curves = page.locator("#curves")
    expect(curves).to_have_attribute("data-points", "0")
    for epoch, report in enumerate(playing.result_of("gaussian", trial.seed).epochs, start=1):
        with service.database.write() as session:
            record_epoch(session, trial.id, report, datetime.now(UTC), attempt)
        expect(curves).to_have_attribute("data-points", str(epoch), timeout=PATIENCE)
    expect(curves.locator("canvas")).to_have_count(2)
    curves.get_by_label("Curve of").select_option("train/loss")
    assert page.url.endswith("?metric=train%2Floss")
    assert complaints == []
    context.close()


def test_numbers_of_maps_are_told_and_moments_chosen(browser: Browser, service: Service) -> None:
    experiment_id = service.ask(name="maps", seeds=[50, 51, 52], analyses=[{"kind": "receptive_field"}])
    playing.play(service.database, experiment_id)
    with service.database.read() as session:
        for row in trials_of(session, experiment_id):
            write_maps(service.settings.effective_storage, row.identity, row.arm, row.seed)
    context = browser.new_context()
    page, complaints = opened(context, f"{service.url}/experiments/{experiment_id}/learned")
    moment = page.locator(".moments").first.get_by_label("Moment")
    expect(page.locator(".moment").nth(0)).to_be_hidden()
    moment.fill("0")
    expect(page.locator(".moment").nth(0)).to_be_visible()
    figure = page.locator(".moment").nth(0).locator("figure").first
    values = (figure.get_attribute("data-values") or "").split()
    figure.locator("canvas").hover(position={"x": 1, "y": 1})
    expect(figure.locator("output")).to_have_text(f"row 0, column 0: {float(values[0]):g}".replace("e-0", "e-"))
    figure.locator("canvas").press("ArrowDown")
    expect(figure.locator("output")).to_contain_text("row 1, column 0")
    assert complaints == []
    context.close()


def test_the_editor_completes_and_marks_what_is_wrong_while_the_plan_follows(
    browser: Browser, service: Service
) -> None:
    context = browser.new_context()
    page, complaints = opened(context, f"{service.url}/new")
    expect(page.locator("#plan pre")).to_contain_text("trials make", timeout=PATIENCE)
    page.locator(".cm-content").click()
    keys = page.keyboard
    for key in ("ControlOrMeta+End", "ArrowUp", "End"):
        keys.press(key)
    keys.type(',\n"equi')
    option = page.locator(".cm-tooltip-autocomplete [aria-selected]")
    expect(option).to_have_text(re.compile('"equivalence_margin"'), timeout=PATIENCE)
    option.click()
    expect(page.locator(".cm-content")).to_contain_text('"equivalence_margin": ')
    keys.type("-3")
    expect(page.locator('#problems [data-pointer="/equivalence_margin"]')).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".cm-lintRange-error").filter(has_text="3")).to_be_visible(timeout=PATIENCE)
    # No plan of another text stays beside this one.
    refusal = "<main><p>too many read</p></main>"
    page.route("**/new", lambda route: route.fulfill(content_type="text/html", body=refusal))
    keys.type("0")
    expect(page.locator("#plan .ill")).to_have_text("The plan could not be made: too many read", timeout=PATIENCE)
    assert complaints == []
    context.close()


def test_a_page_that_was_refused_or_hidden_catches_up(browser: Browser, service: Service) -> None:
    experiment_id = service.ask(name="catching-up", seeds=[60, 61, 62])
    attempt = playing.begin(service.database, experiment_id)
    context = browser.new_context()
    page = context.new_page()
    page.route("**/events?*", lambda route: route.fulfill(status=503))
    page.goto(f"{service.url}/experiments/{experiment_id}")
    expect(page.locator("#connection")).to_contain_text("Trying again", timeout=PATIENCE)
    # What is shown anew must not take the words away.
    expect(page.locator("[data-live] #connection")).to_have_count(0)
    # A browser itself never opens a stream again that was answered with an error.
    with page.expect_response(lambda answer: "/events?" in answer.url and answer.status == 200, timeout=PATIENCE):
        page.unroute("**/events?*")
    with page.expect_event("requestfailed", lambda request: "/events?" in request.url, timeout=PATIENCE):
        page.evaluate(_SEEN, True)
    playing.train(service.database, experiment_id, attempt)
    page.evaluate(_SEEN, False)
    expect(page.locator("#status")).to_contain_text("6 of 6 pairs", timeout=PATIENCE)
    context.close()


_SEEN = """isHidden => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_cancel_extend_and_a_filter_that_stays(browser: Browser, service: Service, finished: str) -> None:
    context = browser.new_context()
    experiment_id = service.ask(name="not-wanted")
    page, complaints = opened(context, service.url)
    page.get_by_label("Search").fill("not-WANTED")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".rows > li")).to_have_count(1)
    page.reload()
    expect(page.get_by_label("Search")).to_have_value("not-WANTED")
    page.get_by_role("link", name="not-wanted").click()
    page.get_by_text("Cancel this experiment…").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("#status .state")).to_contain_text("cancelled")
    assert page.url == f"{service.url}/experiments/{experiment_id}"
    page.goto(service.url + finished)
    page.get_by_text("Add seeds…").click()
    page.get_by_label("New seeds").fill("7..8")
    page.get_by_role("button", name="Show what that takes").click()
    expect(page.get_by_text("8 trainings remain to be done")).to_be_visible()
    page.get_by_role("button", name="Add and run them").click()
    expect(page.locator("#status")).to_contain_text("of 18 pairs")
    assert complaints == []
    context.close()


def test_without_a_script_all_is_there(browser: Browser, service: Service) -> None:
    experiment_id = service.ask(name="plain", seeds=[40, 41, 42])
    playing.play(service.database, experiment_id)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{service.url}/experiments/{experiment_id}")
    # A page that waits for comparisons loads itself again.
    expect(page.locator("#matrix svg.interval")).to_have_count(2, timeout=PATIENCE)
    assert re.search(r"\d of 3 pairs", page.locator("#matrix").inner_text())
    page.get_by_text("All numbers").click()
    expect(page.get_by_role("cell", name="small_vit").first).to_be_visible()
    context.close()
