"""Latency of /healthz and of the list while two HTML reports are built: `python bench/report_latency.py 0`, then `1`.

The argument is SIGMALAB_REPORT_PROCESSES: 0 builds in the API's own threads. A real server process (without Ray and
MLflow), two experiments of 16 cells, 2 arms and 3 seeds with made-up results; each client asks ten times a second.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from orchestrator.settings import Settings
from orchestrator.spec.experiment import parse_spec
from orchestrator.store.database import open_database
from tests.api import playing
from tests.orchestrator.small_experiments import submit

SIDE = 4
"""Models, and data sets."""
SPEC = {
    "name": "large",
    "models": [{"kind": "small_vit", "width": 12 + 12 * i, "depth": 1, "num_heads": 1} for i in range(SIDE)],
    "datasets": [{"kind": "digits", "num_train": 100 + i} for i in range(SIDE)],
    "optimization": {"epochs": 2},
    "arms": [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}},
    ],
    "seeds": [0, 1, 2],
}


def store(home: Path) -> list[str]:
    """Two experiments that have ended."""
    settings = Settings(home=home, mlflow_tracking_uri=None)
    database = open_database(settings.effective_database_url)
    ids = [submit(database, settings, parse_spec(json.dumps(SPEC).encode())) for _ in range(2)]
    for experiment_id in ids:
        playing.play(database, experiment_id)
    database.close()
    return ids


def sample(http: httpx.Client, stop: threading.Event, path: str, times: list[float]) -> None:
    """One client: asks, waits, asks again."""
    while not stop.wait(0.1):
        started = time.perf_counter()
        http.get(path).raise_for_status()
        times.append(1000 * (time.perf_counter() - started))


def measure(http: httpx.Client, name: str, work: Callable[[], None]) -> None:
    """Print how others were answered meanwhile."""
    stop, times = threading.Event(), {"/healthz": list[float](), "/experiments": list[float]()}
    clients = [threading.Thread(target=sample, args=(http, stop, path, found)) for path, found in times.items()]
    for client in clients:
        client.start()
    started = time.perf_counter()
    work()
    took = time.perf_counter() - started
    stop.set()
    for client in clients:
        client.join()
    told = []
    for path, found in times.items():
        found.sort()
        told.append(
            f"{path} p50 {found[len(found) // 2]:.0f}, p95 {found[int(0.95 * len(found))]:.0f}, max {found[-1]:.0f} ms"
        )
    print(f"{name:<10} {took:5.1f} s; {'; '.join(told)}")


def main() -> None:
    """Measure idle, and beside two reports."""
    home = Path(tempfile.mkdtemp(prefix="reports"))
    ids = store(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"SIGMALAB_HOME": str(home), "SIGMALAB_REPORT_PROCESSES": sys.argv[1]}
    environment["SIGMALAB_RAY_DASHBOARD_URL"] = "http://127.0.0.1:1"
    command = [sys.executable, "-m", "api", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=900, trust_env=False) as http:
            while True:
                try:
                    http.get("/healthz")
                    break
                except httpx.TransportError:
                    time.sleep(0.2)

            def report(experiment_id: str) -> None:
                http.get(f"/experiments/{experiment_id}/report?format=html").raise_for_status()

            def both() -> None:
                askers = [threading.Thread(target=report, args=(experiment_id,)) for experiment_id in ids]
                for asker in askers:
                    asker.start()
                for asker in askers:
                    asker.join()

            measure(http, "idle", lambda: time.sleep(10))
            measure(http, "2 reports", both)
            started = time.perf_counter()
            both()
            print(f"again      {time.perf_counter() - started:5.1f} s")
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
