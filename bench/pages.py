"""Weight and time of the service's pages: `python bench/pages.py`.

A real server process (without Ray and MLflow) over 1,000 stored experiments, one of which has 5,000 trials. Each page
is asked for anew, one request after the other, once its comparisons have been made; its weight is what a browser loads
for it, packed.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy import insert, update

from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.spec.experiment import parse_spec
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.experiments import begin_attempt, move
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.store.trials import trials_of
from tests.api.playing import result_of

STORED = 1000
NUM_SEEDS = 2500
"""Pairs of the large experiment: with control and treatment 5,000 trials."""
REQUESTS = 40
BROWSER = {"Accept": "text/html,*/*;q=0.8", "Accept-Encoding": "gzip"}
SPEC = {
    "name": "large",
    "question": "Does it help?",
    "models": [{"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1}],
    "datasets": [{"kind": "digits", "num_train": 100}],
    "optimization": {"epochs": 2},
    "arms": [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}},
    ],
}


def store(settings: Settings) -> str:
    """1,000 experiments; gives the id of the large one, which is the newest."""
    database = open_database(settings.effective_database_url)
    experiments = Experiments(database, settings)
    first = experiments.submit(parse_spec({**SPEC, "name": "small", "seeds": [0, 1, 2]}))
    _finish(database, first.id)
    with database.write() as session:
        row = session.get_one(ExperimentRow, first.id)
        columns = {column.name: getattr(row, column.name) for column in row.__table__.columns}
        session.execute(
            insert(ExperimentRow), [{**columns, "id": f"0000000000{number:05d}"} for number in range(STORED - 2)]
        )
    large = experiments.submit(parse_spec({**SPEC, "seeds": list(range(NUM_SEEDS))})).id
    _finish(database, large)
    database.close()
    return large


def _finish(database: Database, experiment_id: str) -> None:
    """All trials at once: a driver would take one transaction each."""
    now = datetime.now(UTC)
    with database.write() as session:
        attempt = begin_attempt(session, experiment_id, None)
        move(session, experiment_id, ExperimentStatus.STARTING)
        move(session, experiment_id, ExperimentStatus.RUNNING, attempt=attempt)
        for trial in trials_of(session, experiment_id):
            result = result_of(trial.arm, trial.seed)
            session.execute(
                update(TrialRow)
                .where(TrialRow.id == trial.id)
                .values(
                    status="succeeded",
                    result=result.model_dump_json(),
                    final_metrics=result.metrics,
                    training_seconds=1.0,
                    num_epochs=2,
                    started_at=now,
                    ended_at=now,
                    attempt=1,
                )
                .execution_options(synchronize_session=False)
            )
        move(session, experiment_id, ExperimentStatus.SUCCEEDED, attempt=attempt)


def weigh(http: httpx.Client, path: str) -> tuple[int, int]:
    """Packed bytes of a page, and of it with all that it loads."""
    page = http.get(path)
    loaded = {
        part for part in re.findall(r'(?:src|href)="([^"]+)"', page.text) if "/assets/" in part or "/figures/" in part
    }
    waiting = [part for part in loaded if ".js" in part]
    while waiting:
        # What a script imports is loaded too, and what that imports.
        names = re.findall(r'(?:from|import) "\./([^"]+)"', http.get(waiting.pop()).text)
        imported = {f"/assets/{name}" for name in names}
        waiting += imported - loaded
        loaded |= imported
    own = page.num_bytes_downloaded
    return own, own + sum(http.get(part).num_bytes_downloaded for part in loaded)


def main() -> None:
    """Print one line per page."""
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ours = {"SIGMALAB_HOME": home, "SIGMALAB_RAY_DASHBOARD_URL": "http://127.0.0.1:1"}
        for name in [name for name in os.environ if name.startswith(("SIGMALAB_", "MLFLOW_"))]:
            del os.environ[name]
        large = store(Settings(home=Path(home), data_root=Path(home), ray_dashboard_url="http://127.0.0.1:1"))
        server = subprocess.Popen(
            [sys.executable, "-m", "api", "--fd", str(listener.fileno())],
            env=os.environ | ours,
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with httpx.Client(base_url=url, headers=BROWSER, timeout=600, trust_env=False) as http:
                # The socket listens already: the first answer comes when the server is up.
                http.get("/healthz")
                pair = f"/experiments/{large}/pairs/small_vit_12x1_rel_bias_h1/digits-100/gaussian"
                for name, path in (
                    ("experiments", "/"),
                    ("experiments, searched", "/?search=small&status=succeeded"),
                    ("experiment of 5,000 trials", f"/experiments/{large}"),
                    ("one of its 2,500 pairs", pair),
                    ("what it learned", f"/experiments/{large}/learned"),
                    ("what it searched", f"/experiments/{large}/search"),
                    ("new question", "/new"),
                ):
                    report(http, name, path)
        finally:
            server.terminate()
            server.wait(30)


def report(http: httpx.Client, name: str, path: str) -> None:
    """Wait until the page is whole, then time it."""
    started = time.perf_counter()
    first = None
    while "data-waiting" in http.get(path).text:
        first = first or time.perf_counter() - started
        time.sleep(0.5)
    whole = time.perf_counter() - started
    seconds = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        http.get(path).raise_for_status()
        seconds.append(time.perf_counter() - started)
    own, all_of_it = weigh(http, path)
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    at_first = f"; at first {1000 * first:.0f} ms, whole after {whole:.1f} s" if first else ""
    print(
        f"{name}: p50 {1000 * statistics.median(seconds):.0f} ms, p95 {1000 * p95:.0f} ms{at_first}; "
        f"{own / 1000:.1f} kB, with all it loads {all_of_it / 1000:.1f} kB"
    )


if __name__ == "__main__":
    main()
