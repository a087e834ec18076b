"""Commands that really run: what they get, what is kept of them, and how they end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trainers.command.trial import RUN, run
from trainers.config import TrialConfig
from trainers.errors import CommandError, ConfigError, InterruptedTrainingError
from trainers.own_code.place import OwnCode, own_code
from trainers.result import EpochReport, TrialResult
from trainers.runtime import Runtime
from trainers.strict_json import JsonObject

SCRIPT = """
import os, sys
import helper
seed, lr = int(sys.argv[1]), float(sys.argv[2])
with open("summary.csv", "w") as table:
    table.write("epoch,val_acc,test_acc,loss\\n")
    for epoch in range(3):
        table.write(f"{epoch},{50 + epoch},{40 + seed + helper.gain(lr)},{2 - epoch / 4}\\n")
with open(os.path.join(os.environ["SIGMALAB_OUTPUT"], "model.bin"), "w") as model:
    model.write(os.environ["SIGMALAB_SEED"])
print("done", sys.argv[3:])
"""
METRICS: JsonObject = {
    "test/acc": {"column": "test_acc", "unit": "percent", "better": "higher"},
    "val/acc": {"column": "val_acc", "unit": "percent", "better": "higher"},
    "train/loss": {"column": "loss", "better": "lower"},
}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "helper.py").write_text("def gain(lr):\n    return 10 * lr\n")
    return folder


def config_of(seed: int = 3, **model: object) -> TrialConfig:
    asked: JsonObject = {
        "task": {
            "kind": "command",
            "results": {"kind": "csv", "file": "summary.csv", "row": "best", "metrics": METRICS},
        },
        "model": {
            "kind": "command",
            "argv": ["python", "train.py", "{seed}", "{lr}", "{flags}"],
            "arguments": {"lr": 0.5, "flags": []},
            **model,
        },
        "dataset": {"kind": "command"},
        "seed": seed,
    }
    return TrialConfig.model_validate(asked)


def trained(code: Path, storage: Path | None, config: TrialConfig, **runtime: object) -> TrialResult:
    with own_code(OwnCode(code)):
        return run(config, Runtime(storage=storage, device="cpu", **runtime))  # type: ignore[arg-type]


def failure(code: Path, tmp_path: Path, script: str, **runtime: object) -> str:
    (code / "train.py").write_text(script)
    with pytest.raises(CommandError) as caught:
        trained(code, tmp_path / "trial", config_of(), **runtime)
    return str(caught.value)


def test_a_script_trains_and_its_numbers_are_a_result(
    code: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    storage = tmp_path / "trial"
    seen: list[EpochReport] = []
    with own_code(OwnCode(code)):
        result = run(config_of(), Runtime(storage=storage, device="cpu"), on_epoch=seen.append)
    assert result.metrics == {"val/acc": 52, "train/loss": 1.5, "best_val/acc": 52, "test/acc": 48}
    assert (result.best_epoch, result.epochs) == (2, seen)
    assert [report.metrics["val/acc"] for report in seen] == [50, 51, 52]
    assert result.provenance["device"] == "cpu"
    # What the script wrote stays; the copy of its code goes, and the folder of code is as it was.
    assert sorted(file.name for file in (storage / RUN).iterdir()) == ["model.bin", "summary.csv"]
    assert (storage / RUN / "model.bin").read_text() == "3"
    assert sorted(file.name for file in code.iterdir()) == ["helper.py", "train.py"]
    assert "done []" in capfd.readouterr().err


def test_a_finished_trial_is_not_run_again_unless_its_result_was_changed(code: Path, tmp_path: Path) -> None:
    storage = tmp_path / "trial"
    first = trained(code, storage, config_of())
    (storage / RUN / "summary.csv").unlink()
    assert trained(code, storage, config_of()) == first
    assert not (storage / RUN / "summary.csv").exists()
    (storage / "result.json").write_text("{}")
    assert trained(code, storage, config_of()).metrics == first.metrics
    assert (storage / RUN / "summary.csv").exists()


@pytest.mark.parametrize(
    ("file", "left_over"), [("exp/metrics.csv", "exp/metrics.csv"), ("exp/v*/metrics.csv", "exp/v0/metrics.csv")]
)
def test_results_of_a_run_by_hand_are_not_the_trials(code: Path, tmp_path: Path, file: str, left_over: str) -> None:
    (code / left_over).parent.mkdir(parents=True)
    (code / left_over).write_text("acc\n90\n")
    (code / "exp/train.py").write_text("print('skipped: it is there already')\n")
    config = config_of(argv=["python", "exp/train.py", "{seed}"], arguments={}).model_dump(mode="json")
    results = {"kind": "csv", "file": file, "metrics": {"test/acc": {"better": "higher"}}}
    asked = TrialConfig.model_validate(config | {"task": {"kind": "command", "results": results}})
    with pytest.raises(CommandError, match="the script wrote no exp/"):
        trained(code, tmp_path / "trial", asked)
    (code / "exp/train.py").write_text(f"open('{left_over}', 'w').write('acc\\n7\\n')\n")
    assert trained(code, tmp_path / "trial", asked).metrics == {"test/acc": 7}


def test_nothing_that_lies_in_the_folder_costs_a_training_that_is_complete(
    code: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code / "train.py").write_text(SCRIPT + "os.mkdir('empty')\nos.symlink('empty', 'best')\n")
    trained(code, tmp_path / "trial", config_of())
    assert (tmp_path / "trial" / RUN / "best").is_symlink()
    # And where the storage refuses: its result is there already.
    unlink = Path.unlink

    def refuse(file: Path, missing_ok: bool = False) -> None:
        if file.name == "helper.py":
            raise PermissionError(13, "Permission denied", str(file))
        unlink(file, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    trained(code, tmp_path / "other", config_of())
    assert (tmp_path / "other" / "result.json").exists()
    assert "can't be removed" in caplog.text


def test_a_trial_finds_what_its_own_arm_names_and_no_more(code: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (code / "other.yaml").write_text("of another arm")
    (code / "train.py").write_text("import os\nprint(sorted(os.listdir()))\n" + SCRIPT)
    trained(code, None, config_of())
    assert "['helper.py', 'train.py']" in capfd.readouterr().err


def test_arguments_reach_the_script(code: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = trained(code, None, config_of(arguments={"lr": 1, "flags": ["--amp", "--clip=2"]}))
    assert result.metrics["test/acc"] == 53
    assert "done ['--amp', '--clip=2']" in capfd.readouterr().err


def test_a_search_trial_reads_no_test_score(code: Path) -> None:
    config = config_of().model_copy(update={"score_test": False})
    assert trained(code, None, config).metrics == {"val/acc": 52, "train/loss": 1.5, "best_val/acc": 52}


def test_secrets_of_the_service_stay_with_it(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMALAB_API_TOKEN", "secret")
    (code / "train.py").write_text("import os\nassert 'SIGMALAB_API_TOKEN' not in os.environ\n" + SCRIPT)
    trained(code, None, config_of())


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "import sys\nprint('so far')\nsys.exit('no such data')",
            "exit code 1; its output ends with: so far | no such",
        ),
        ("raise ValueError('bad lr')", "line 1, in <module> |     raise ValueError('bad lr') | ValueError: bad lr"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9: was there too little memory?"),
        (
            "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
            "signal 9, which killed the process that keeps it",
        ),
        ("print('nothing to do')", "the script wrote no summary.csv where it runs; there are train.py; its"),
        (
            "open('summary.csv', 'w').write('epoch,val_acc,test_acc,loss\\n')",
            "wrote no row with a metric; it put nothing",
        ),
        (SCRIPT.replace("{50 + epoch}", "nan"), "val/acc is 'nan' in line 2 of summary.csv"),
    ],
)
def test_a_script_that_fails_says_why(script: str, message: str, code: Path, tmp_path: Path) -> None:
    told = failure(code, tmp_path, script)
    assert message in told
    # The same in every trial: the driver stops after a few that are equal.
    assert str(tmp_path) not in told


HANGS = """
import os, signal, subprocess, sys
deaf = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.close(1); time.sleep(600)"
read, write = os.pipe()
command = [sys.executable, "-c", deaf]
children = [subprocess.Popen(command, stdout=write, start_new_session=is_apart) for is_apart in (False, True)]
os.close(write)
# Until they are deaf.
os.read(read, 1)
print("started", flush=True)
open("pids", "w").write(" ".join(map(str, [os.getpid(), *(child.pid for child in children)])))
children[0].wait()
"""
"""With children that do not end when they are told to, one of them in a session of its own, as torchrun's workers."""


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def all_gone(file: Path) -> bool:
    return all(is_gone(int(pid)) for pid in file.read_text().split())


def wait_until(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_script_that_hangs_is_ended_with_all_that_it_started(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "trial" / RUN / "pids"

    class LateClock:
        """Far beyond the limit as soon as the script hangs."""

        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + (7200 if pids.exists() and pids.read_text() else 0)

    monkeypatch.setattr("trainers.command.trial.time", LateClock)
    told = failure(code, tmp_path, HANGS, limit_seconds=3600)
    assert told.startswith("the command ran longer than 60 minutes, and was ended (`resources.max_trial_minutes`); its")
    wait_until(lambda: all_gone(pids))


def test_a_trial_that_is_stopped_ends_its_command(code: Path, tmp_path: Path) -> None:
    (code / "train.py").write_text(HANGS)
    stop, pids = threading.Event(), tmp_path / "trial" / RUN / "pids"

    def stop_it() -> None:
        wait_until(lambda: pids.exists() and pids.read_text())
        stop.set()

    helper = threading.Thread(target=stop_it)
    helper.start()
    with own_code(OwnCode(code)), pytest.raises(InterruptedTrainingError):
        run(config_of(), Runtime(storage=tmp_path / "trial", device="cpu"), stop=stop)
    helper.join()
    wait_until(lambda: all_gone(pids))


ASKER = """
import json, sys
from pathlib import Path
from trainers.command.trial import run
from trainers.config import TrialConfig
from trainers.own_code.place import OwnCode, own_code
from trainers.runtime import Runtime
with own_code(OwnCode(Path(sys.argv[1]))):
    run(TrialConfig.model_validate_json(sys.argv[3]), Runtime(storage=Path(sys.argv[2]), device="cpu"))
"""


@contextmanager
def asker(code: Path, storage: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-c", ASKER, str(code), str(storage), config_of().model_dump_json()]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("kills_children", [False, True], ids=["alone", "with its children"])
def test_a_command_ends_with_the_process_that_asked_for_it(code: Path, tmp_path: Path, kills_children: bool) -> None:
    """Ray kills workers without a word when an experiment is cancelled, and their children, but not those of these."""
    (code / "train.py").write_text(HANGS)
    pids = tmp_path / "trial" / RUN / "pids"
    with asker(code, tmp_path / "trial") as process:
        wait_until(lambda: pids.exists() and pids.read_text())
        for child in children_of(process.pid) if kills_children else ():
            os.kill(child, signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: all_gone(pids))


def test_a_program_that_is_not_there(code: Path) -> None:
    with pytest.raises(ConfigError, match="there is no program `pythonn` on this node"):
        trained(code, None, config_of(argv=["pythonn", "train.py", "{seed}", "{lr}", "{flags}"]))


def test_without_code_nothing_runs() -> None:
    with own_code(OwnCode(None)), pytest.raises(ConfigError, match="name it as `code`"):
        run(config_of(), Runtime(device="cpu"))
