"""The three doors of README, typed word for word: in a copy of this folder, with an environment that is not activated.

They name ports (8000, 8265), and `ray start` notes its cluster for the whole machine: they are typed on a machine of
their own, in namespaces of the kernel.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.serving import USELESS_PROXIES, private_environment, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
DOORS = re.search(r"^## Three doors\n(.*?)^\*\*One model", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
RAY_STARTS = 3
TOO_BUSY_FOR_RAY = "The current node timed out during startup"
"""`ray start` gives its own node 30 s, which a busy machine does not always make."""
NOT_COPIED = (".venv", ".git", ".tools", ".sigmalab", ".*cache*", "__pycache__", ".hypothesis")


PATIENCE = {"RAY_DASHBOARD_STARTUP_TIMEOUT_S": "150"}


def typed_after(words: str) -> list[str]:
    """The commands of the first block of code after these words of README, comments and all."""
    assert DOORS is not None
    block = re.search(re.escape(words) + r"(?s:.*?)\n\n((?:    .*\n)+)", DOORS[1])
    assert block is not None, words
    return [line.removeprefix("    ") for line in block[1].splitlines()]


class Machine:
    """A machine with processes and ports of its own, which ends with all that runs on it.

    Life: made -> `type` and `start` any number of commands -> `end`.
    """

    def __init__(self, checkout: Path, environment: dict[str, str]) -> None:
        self._checkout, self._environment = checkout, environment
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        spaces = ["unshare", *as_root, "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
        self._first = subprocess.Popen(
            [*spaces, "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._first.stdout is not None
        assert self._first.stderr is not None
        if self._first.stdout.readline() != "up\n":
            pytest.skip(f"no namespaces here: {self._first.stderr.read()}")
        (inner,) = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()
        self._enter = ["nsenter", f"--target={inner}", "--net", "--pid", "--mount"]
        self._enter += ["--user", "--preserve-credentials"] if as_root else []
        # Another mount namespace begins at its root.
        self._enter += ["env", f"--chdir={checkout}"]

    def type(self, *lines: str) -> str:
        """Lines in a shell of their own; what they print, after all of them have succeeded."""
        shell = self.try_to_type(*lines)
        assert shell.returncode == 0, f"{lines}\n{shell.stdout}\n{shell.stderr}"
        return shell.stdout + shell.stderr

    def try_to_type(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """The same, whether they succeed or not."""
        return subprocess.run(
            [*self._enter, "bash", "-e", "-o", "pipefail", "-c", "\n".join(lines)],
            env=self._environment, capture_output=True, text=True, timeout=900,
        )  # fmt: skip

    def start(self, line: str) -> subprocess.Popen[str]:
        """A line in a terminal that it keeps."""
        log = (self._checkout.parent / "terminal.log").open("w")
        with log:
            return subprocess.Popen(
                [*self._enter, "bash", "-c", f"exec {line}"],
                env=self._environment, stdout=log, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip

    def end(self) -> None:
        self._first.kill()
        self._first.communicate()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This folder, with an installed environment and a smaller question in the example's file."""
    folder = tmp_path_factory.mktemp("readme") / "sigmalab"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    environment = folder / ".venv"
    environment.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".synced":
            (environment / entry.name).symlink_to(entry)
    # As `make` leaves it: nothing is to be installed.
    uv = folder / ".tools" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    for made in (uv, environment / ".synced"):
        made.touch()
    spec = json.loads((folder / "examples" / "digits.json").read_text())
    spec["models"][0] |= {"width": 12, "depth": 1, "num_heads": 1}
    spec["datasets"][0]["num_train"] = 100
    spec["optimization"]["epochs"] = 2
    spec["seeds"] = [0, 1]
    spec["analyses"][0]["num_images"] = 4
    (folder / "examples" / "digits.json").write_text(json.dumps(spec))
    return folder


@pytest.fixture(scope="module")
def user(checkout: Path) -> Iterator[dict[str, str]]:
    """What somebody has who has just opened a terminal: no environment is active."""
    environment = private_environment(checkout.parent)
    for name in ("SIGMALAB_HOME", "VIRTUAL_ENV", *USELESS_PROXIES):
        environment.pop(name, None)
    installed = str(Path(sys.prefix) / "bin")
    path = [folder for folder in environment["PATH"].split(os.pathsep) if folder != installed]
    # `ray start` makes its sockets there.
    scratch = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    # The installed program imports the folder that it was installed from; here the copy is what counts.
    yield environment | {"PATH": os.pathsep.join(path), "RAY_TMPDIR": scratch, "PYTHONPATH": str(checkout), **PATIENCE}
    shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture
def machine(checkout: Path, user: dict[str, str]) -> Iterator[Machine]:
    made = Machine(checkout, user)
    yield made
    made.end()


@pytest.fixture
def serving(machine: Machine, checkout: Path) -> Iterator[Machine]:
    """`make serve` runs there."""
    make = machine.start("make serve")
    note = checkout / ".sigmalab" / "stack.json"
    wait_for(lambda: make.poll() is not None or (note.exists() and json.loads(note.read_text())["url"]), 300)
    assert make.poll() is None, (checkout.parent / "terminal.log").read_text()
    yield machine
    os.killpg(make.pid, signal.SIGINT)
    make.wait(90)


def test_all_doors_give_one_answer(checkout: Path, user: dict[str, str], serving: Machine) -> None:
    plan, submit, report = typed_after("**Laptop.**")
    assert "6 trials" in serving.type(plan)
    assert "succeeded" in serving.type(submit)
    (first,) = json.loads(serving.type(".venv/bin/sigmalab list --json 2>&-"))["items"]
    table = serving.type(report.replace("<id>", first["id"]) + " 2>&-")
    assert r"\toprule" in table

    post, *rest = typed_after("**HTTP:**")
    second = json.loads(serving.type(post + " 2>&-"))["id"]
    events, *documents = (line.replace("<id>", second) for line in rest)
    assert "event: end" in serving.type(events)
    for line in documents:
        serving.type(line.replace("curl ", "curl --fail "))
    assert (checkout / "maps.png").read_bytes().startswith(b"\x89PNG")

    said = serving.type(*typed_after("A head that `make serve` has started"))
    assert "succeeded" in said.lower()
    found = json.loads(serving.type(".venv/bin/sigmalab list --json 2>&-"))["items"]
    assert [view["status"] for view in found] == ["succeeded"] * 3
    assert {view["digest"] for view in found} == {first["digest"]}
    answer = json.loads(serving.type(f".venv/bin/sigmalab report {first['id']} --format json 2>&-"))

    folder = by_the_second_door(checkout, user)
    by_job = json.loads((folder / "report.json").read_text())
    assert by_job["provenance"]["digest"] == first["digest"]
    assert by_job["comparisons"] == answer["comparisons"] != []
    assert (folder / "table.tex").read_text().strip() == table.strip()


def by_the_second_door(checkout: Path, user: dict[str, str]) -> Path:
    """The folder of the report."""
    for _ in range(RAY_STARTS):
        machine = Machine(checkout, user)
        try:
            typed = machine.try_to_type(*typed_after("**`ray job submit`,**"))
        finally:
            machine.end()
        said = typed.stdout + typed.stderr
        if TOO_BUSY_FOR_RAY not in said:
            break
    assert typed.returncode == 0, said
    assert re.search(r"pair 4/4 complete: \w+ [+-]\d+\.\d\d pp \(seed \d\)", said), said
    # Neither the environment nor any state went with it.
    sent = [*Path(user["RAY_TMPDIR"]).glob("ray/session_2*/runtime_resources/working_dir_files/_ray_pkg_*/")]
    assert sent
    for folder in sent:
        assert {".venv", ".sigmalab", ".tools"}.isdisjoint(path.name for path in folder.iterdir())
        # The job compiles what it imports.
        files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"]
        assert sum(file.stat().st_size for file in files) < 20_000_000
    (report,) = (checkout.parent / "user" / ".sigmalab" / "reports").glob("*/report.json")
    return report.parent
