"""Does submitting get slower while 200 browsers watch one experiment? `python bench/watchers.py`.

A real server process (without Ray and MLflow) and one experiment that runs: made-up results end one of its trials
each second. Rounds without watchers and with 200 alternate, so that a machine that gets busier meanwhile slows both.
Watchers do as the page's script does: they follow the event stream, and load the page again after a trial
has ended, as soon as the service says; they live in a process of their own, on the same cores.
"""

import asyncio
import gzip
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from api.event_looks import SOONEST_SECONDS
from orchestrator.settings import Settings
from orchestrator.store.database import open_database
from tests.api import playing

WATCHERS = 200
ROUNDS = 3
SUBMITS = 40
"""In each round."""
PAUSE_SECONDS = 0.25
"""Between two of them, so that a round is long enough for watchers to load pages in it."""
SPEC = json.loads((Path(__file__).parents[1] / "examples" / "digits.json").read_text())
WATCHED = {**SPEC, "name": "watched", "seeds": list(range(300))}


# ---- the process of the watchers ----


async def watch(url: str, path: str, after: int, seen: Counter[str], opened: asyncio.Semaphore) -> None:
    """One browser."""
    host, port = urlsplit(url).netloc.split(":")
    due: asyncio.Task[None] | None = None
    pause = SOONEST_SECONDS

    async def ask(path: str, accept: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: {accept}\r\n".encode())
        writer.write(b"Accept-Encoding: gzip\r\nConnection: close\r\n\r\n")
        status = (await reader.readline()).split()[1]
        assert status == b"200", status
        return reader, writer

    async def load_soon() -> None:
        nonlocal pause
        await asyncio.sleep(pause * (1 + random.random()))
        begun = time.perf_counter()
        reader, writer = await ask(path, "text/html\r\nSigmalab-Refresh: 1")
        page = await reader.read()
        writer.close()
        # As in `api/pages/browser/following.js`.
        pause = max(told_pause(page), 4 * (time.perf_counter() - begun))
        seen["pages"] += 1

    async with opened:
        reader, writer = await ask(f"{path}/events?after={after}", "text/event-stream")
    seen["streams"] += 1
    if seen["streams"] == WATCHERS:
        print("watching", flush=True)
    async for line in reader:
        if line.startswith((b"event: trial", b"event: status")):
            seen["events"] += 1
            if due is None or due.done():
                due = asyncio.create_task(load_soon())
    writer.close()


def told_pause(page: bytes) -> float:
    """Seconds until the page may be loaded again, as the service says in it."""
    text = gzip.decompress(page.partition(b"\r\n\r\n")[2]).decode()
    return float(text.partition('data-pause="')[2].partition('"')[0])


async def watch_all(url: str, path: str, after: int) -> None:
    """Until this process is told to end."""
    seen: Counter[str] = Counter()
    # Browsers do not all arrive in one moment.
    opened = asyncio.Semaphore(20)
    watchers = [asyncio.create_task(watch(url, path, after, seen, opened)) for _ in range(WATCHERS)]
    await asyncio.to_thread(sys.stdin.readline)
    for each in watchers:
        each.cancel()
    print(json.dumps(seen), flush=True)
    os._exit(0)


# ---- the measurement ----


def submit(http: httpx.Client, number: int, seconds: list[float]) -> None:
    """One experiment."""
    time.sleep(PAUSE_SECONDS)
    started = time.perf_counter()
    http.post("/experiments", json={**SPEC, "name": f"bench-{number}"}).raise_for_status()
    seconds.append(time.perf_counter() - started)


def main() -> None:
    """Print one line for each kind of round, and how they compare."""
    for name in [name for name in os.environ if name.startswith(("SIGMALAB_", "MLFLOW_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = subprocess.Popen(
            [sys.executable, "-m", "api", "--fd", str(listener.fileno())],
            env=os.environ | {"SIGMALAB_HOME": home, "SIGMALAB_RAY_DASHBOARD_URL": "http://127.0.0.1:1"},
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stop = threading.Event()
        try:
            with httpx.Client(base_url=url, timeout=180, trust_env=False) as http:
                experiment_id = http.post("/experiments", json=WATCHED).raise_for_status().json()["id"]
                driver = threading.Thread(target=play, args=(Path(home), experiment_id, stop))
                driver.start()
                print(compare(http, url, f"/experiments/{experiment_id}"))
        finally:
            stop.set()
            server.terminate()
            server.wait(60)
            driver.join()


def play(home: Path, experiment_id: str, stop: threading.Event) -> None:
    """A trial each second."""
    database = open_database(Settings(home=home).effective_database_url)
    attempt = playing.begin(database, experiment_id)
    while not stop.wait(1):
        playing.train(database, experiment_id, attempt, limit=1)
    database.close()


def compare(http: httpx.Client, url: str, path: str) -> str:
    """Submit in rounds, with and without watchers."""
    alone, watched, seen = list[float](), list[float](), Counter[str]()
    for each in range(ROUNDS):
        for number in range(SUBMITS):
            submit(http, 2 * each * SUBMITS + number, alone)
        page = http.get(path, headers={"Accept": "text/html"}).raise_for_status().text
        after = page.partition('data-after="')[2].partition('"')[0]
        watchers = subprocess.Popen(
            [sys.executable, __file__, url, path, after], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert watchers.stdin is not None
        assert watchers.stdout is not None
        assert watchers.stdout.readline() == "watching\n"
        for number in range(SUBMITS):
            submit(http, (2 * each + 1) * SUBMITS + number, watched)
        watchers.stdin.write("enough\n")
        watchers.stdin.close()
        seen.update(json.loads(watchers.stdout.readline()))
        watchers.wait(60)
    (p50, p95), (p50_watched, p95_watched) = _quantiles(alone), _quantiles(watched)
    return (
        f"submit alone: p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms; beside {WATCHERS} watchers: p50 "
        f"{1000 * p50_watched:.0f} ms, p95 {1000 * p95_watched:.0f} ms (x {p95_watched / p95:.2f}); they loaded "
        f"{seen['pages']} pages and got {seen['events']} events meanwhile"
    )


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return cuts[9], cuts[18]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(watch_all(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        main()
