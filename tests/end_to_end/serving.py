"""`sigmalab serve` as a user runs it, in a state folder of its own, with nothing of the user's within reach."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("sigmalab")
EXAMPLES = Path(__file__).parents[2] / "examples"
START_SECONDS = 600


USELESS_PROXIES = {
    "http_proxy": "http://ann:secret@127.0.0.1:9",
    "https_proxy": "what is this",
    "all_proxy": "socks5://127.0.0.1:9",
    "no_proxy": "fd00::/8",
}
"""Nobody answers there, and httpx can't even read the last one: nothing that a stack does may go through a proxy."""


def private_environment(folder: Path) -> dict[str, str]:
    """State, HOME and temporary files inside the folder; no service, cluster or token of the user's."""
    for name in ("user", "tmp"):
        folder.joinpath(name).mkdir(parents=True, exist_ok=True)
    ours = ("SIGMALAB_", "RAY_", "MLFLOW_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    places = {"SIGMALAB_HOME": "home", "HOME": "user", "TMPDIR": "tmp"}
    return (
        environment
        | {name: str(folder / place) for name, place in places.items()}
        | {
            "COLUMNS": "160",
            **USELESS_PROXIES,
        }
    )


def sigmalab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    return subprocess.run(
        [PROGRAM, *arguments], env=private_environment(folder), capture_output=True, text=True, timeout=500
    )


class Service:
    """Life: made (`sigmalab serve` runs and its three links are known) -> `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        with (folder / "news").open("wb") as news:
            self._process = subprocess.Popen(
                [PROGRAM, "serve", "--port", "0", "--json"],
                env=private_environment(folder),
                stdout=subprocess.PIPE,
                stderr=news,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self._timer = _kill_after(START_SECONDS, self._process)
        text = ""
        while not text.endswith("}\n"):
            line = self._process.stdout.readline()
            assert line, f"serve ended:\n{self.news}"
            text += line
        self._timer.kill()
        self._timer.wait()
        self.links: dict[str, str] = json.loads(text)
        self.outside = [Path(name) for name in json.loads((self.home / "stack.json").read_text())["folders"]]

    @property
    def news(self) -> str:
        return (self.folder / "news").read_text()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        status = self._process.wait(90)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status


def processes_of(folder: Path) -> dict[int, str]:
    """Living processes that know the folder, from their command line or environment: id -> command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = entry.joinpath("cmdline").read_bytes()
            known = command + entry.joinpath("environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in known:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def process_with(folder: Path, words: str) -> int:
    """The one process of the folder's whose command line has these words; between fork and exec there are two."""
    pids: list[int] = []

    def is_one() -> bool:
        pids[:] = [pid for pid, command in processes_of(folder).items() if words in command]
        return len(pids) == 1

    wait_for(is_one)
    return pids[0]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        # A pause between two questions, no guess of how long the answer takes.
        time.sleep(0.05)


def assert_nothing_is_left(folder: Path, outside: list[Path]) -> None:
    """No process, and no file but in the state folder."""
    wait_for(lambda: not processes_of(folder), 15)
    assert [path for path in outside if path.exists()] == []
    for place in ("user", "tmp"):
        assert sorted(path.relative_to(folder) for path in folder.joinpath(place).rglob("*")) == []
    assert not (folder / "home" / "stack.json").exists()


def _kill_after(seconds: float, process: subprocess.Popen[str]) -> subprocess.Popen[bytes]:
    """Another process that ends a start that takes too long: reading its output would wait for ever."""
    return subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill {process.pid}"], start_new_session=True)
