"""Latency of the HTTP interface under 16 clients against one, interleaved: `python bench/api_latency.py`.

A real server process (without Ray and MLflow), 200 stored experiments. Rounds with one client and rounds with 16
alternate, so that a machine that gets busier meanwhile slows both; every client asks for a plan and for a list in turn.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import httpx

CLIENTS = 16
ROUNDS = 6
REQUESTS = 8
"""Of each kind, per client and round."""
STORED = 200
SPEC = json.loads((Path(__file__).parents[1] / "examples" / "digits.json").read_text())


def ask(url: str, times: dict[str, list[float]], num_requests: int) -> None:
    """One client: plan and list in turn; notes the seconds of each."""
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
        for _ in range(num_requests):
            for name, method, path, body in (
                ("POST /experiments/plan", "POST", "/experiments/plan", SPEC),
                ("GET /experiments", "GET", "/experiments", None),
            ):
                started = time.perf_counter()
                http.request(method, path, json=body).raise_for_status()
                times[name].append(time.perf_counter() - started)


def ask_together(url: str, num_clients: int, times: dict[str, list[float]], num_requests: int) -> None:
    """So many clients at once."""
    threads = [threading.Thread(target=ask, args=(url, times, num_requests)) for _ in range(num_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Print one line per kind of request."""
    alone, crowded = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ours = {"SIGMALAB_HOME": home, "SIGMALAB_RAY_DASHBOARD_URL": "http://127.0.0.1:1"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SIGMALAB_", "MLFLOW_"))}
        server = subprocess.Popen(
            [sys.executable, "-m", "api", "--fd", str(listener.fileno())],
            env=inherited | ours,
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            # The socket listens already: the first answer comes when the server is up.
            with httpx.Client(base_url=url, timeout=180, trust_env=False) as http:
                for number in range(STORED):
                    http.post("/experiments", json={**SPEC, "name": f"bench-{number}"}).raise_for_status()
            for _ in range(ROUNDS):
                ask_together(url, 1, alone, 2 * REQUESTS)
                ask_together(url, CLIENTS, crowded, REQUESTS)
        finally:
            server.terminate()
            server.wait(30)
    for name, seconds in alone.items():
        (p50, p99), (p50_crowded, p99_crowded) = _quantiles(seconds), _quantiles(crowded[name])
        print(
            f"{name}: one client p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms; {CLIENTS} clients p50 "
            f"{1000 * p50_crowded:.0f} ms (x {p50_crowded / p50:.1f}), p99 {1000 * p99_crowded:.0f} ms "
            f"(x {p99_crowded / p99:.1f})"
        )


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98]


if __name__ == "__main__":
    main()
