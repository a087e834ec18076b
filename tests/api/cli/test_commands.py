"""The command line as a user types it: separate processes against a real server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from typer.testing import CliRunner

from api.cli.application import application
from api.local_stack.record import StackRecord
from orchestrator.null_spec import null_spec
from orchestrator.planning.hardware import Hardware, trial_folder
from orchestrator.planning.planned import PlannedTrial
from orchestrator.settings import Settings
from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase
from orchestrator.store.database import Database, open_database
from orchestrator.store.trials import (
    find_reusable,
    plan_trials,
    reuse_trial,
    start_trial,
    succeed_trial,
    trials_of,
)
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.preloaded.program import PreloadedProgram, Sigmalab
from trainers.config import TrialConfig
from trainers.exported_weights import load_exported
from trainers.runtime import Runtime
from trainers.training.trial import train

PROGRAM = Path(sys.executable).with_name("sigmalab")
COMMANDS = [
    "serve",
    "demo",
    "submit",
    "list",
    "show",
    "watch",
    "cancel",
    "resume",
    "extend",
    "report",
    "compare",
    "logs",
    "export",
    "doctor",
    "schema",
    "recipes",
    "plan",
    "run",
    "receptive-field",
    "learned-bias",
]


@pytest.fixture
def service_url(app: FastAPI) -> Iterator[str]:
    """A real server."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listener.close()


@pytest.fixture
def sigmalab(call: Sigmalab, service_url: str, settings: Settings) -> Sigmalab:
    """The program, pointed at a real server."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        return call(*arguments, env={"SIGMALAB_URL": service_url, "SIGMALAB_HOME": str(settings.home)}, **options)

    return run


@pytest.fixture
def spec_file(tmp_path: Path, spec: JsonObject) -> str:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec))
    return str(file)


@pytest.fixture
def store(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings.effective_database_url)
    yield opened
    opened.close()


def test_submit_watch_show_report(
    sigmalab: Sigmalab, store: Database, settings: Settings, spec_file: str, tmp_path: Path
) -> None:
    submitted = sigmalab("submit", spec_file, "--json")
    experiment_id = json.loads(submitted.stdout)["id"]
    assert sigmalab("list").stdout.splitlines()[1].split()[:3] == [experiment_id, "small", "queued"]
    playing.play(store, experiment_id)

    watched = sigmalab("watch", "last")
    assert watched.returncode == 0
    assert "pair 3/3  seed 2  gaussian - control = +10.2 pp" in watched.stderr
    assert "suggestive" in watched.stdout
    # The last thing that happens is told last, then where everything is.
    assert watched.stderr.splitlines()[-2:] == [
        "pair 3/3  seed 2  gaussian - control = +10.2 pp  (52.0 → 62.2)",
        "succeeded",
    ]
    kept = settings.home / "reports" / experiment_id
    report, table, api, page = watched.stdout.splitlines()[-4:]
    assert (report, table) == (f"report        {kept / 'report.html'}", f"LaTeX table   {kept / 'table.tex'}")
    assert re.fullmatch(r"API           http://127\.0\.0\.1:\d+/docs", api)
    assert re.fullmatch(rf"page          http://127\.0\.0\.1:\d+/experiments/{experiment_id}", page)
    assert kept.joinpath("report.html").is_file()
    assert "\x1b" not in watched.stdout + watched.stderr

    lines = sigmalab("watch", "last", "--json").stdout.splitlines()
    assert json.loads(lines[-1])["kind"] == "end"
    shown = sigmalab("show", experiment_id).stdout
    assert "pairs   3 of 3 complete" in shown
    assert "●" in shown
    assert "2.00 → 2.50" in shown

    assert r"\toprule" in sigmalab("report", "last", "--format", "latex").stdout
    # Latin-1 reads any bytes.
    assert sigmalab("report", "last", "--format", "zip", encoding="latin-1").stdout.startswith("PK")
    folder = tmp_path / "report"
    assert sigmalab("report", "last", "--output", str(folder)).returncode == 0
    # The same files as a run by hand writes, figures included.
    assert {file.name for file in folder.iterdir()} >= {
        "report.html", "report.md", "report.json", "comparisons.csv", "trials.parquet", "table.tex", "effects.png",
    }  # fmt: skip

    extended = sigmalab("extend", "last", "--seed", "3", "--seed", "4", "--json")
    assert json.loads(extended.stdout)["progress"]["pairs_total"] == 5
    assert json.loads(sigmalab("cancel", "last", "--json").stdout)["status"] == "cancelled"
    ended = sigmalab("watch", "last")
    assert ended.returncode == 1
    assert "cancelled" in ended.stderr
    resumed = json.loads(sigmalab("resume", "last", "--json").stdout)
    assert (resumed["status"], resumed["progress"]["pairs_total"]) == ("queued", 5)


def test_what_is_required_but_not_shown_is_an_exit_code(sigmalab: Sigmalab, store: Database, spec_file: str) -> None:
    named = ("submit", spec_file, "--idempotency-key", "check")
    refused = sigmalab(*named, "--require", "gauss=improved", "--require", "equivalent")
    assert refused.returncode == 2
    assert "no treatment is called `gauss` (there are: gaussian)" in refused.stderr
    assert "name a margin (`equivalence_margin` in a spec" in refused.stderr
    assert "no experiments yet" in sigmalab("list").stderr

    playing.play(store, json.loads(sigmalab(*named, "--json").stdout)["id"])
    missed = sigmalab(*named, "--require", "gaussian=improved")
    assert missed.returncode == 7
    assert "is not shown to be improved: its verdict is suggestive" in missed.stderr
    assert sigmalab(*named, "--require", "not-worse").returncode == 0


@pytest.mark.parametrize(("control", "code"), [("base", 0), ("control", 7)])
def test_the_control_against_itself_is_an_exit_code(
    sigmalab: Sigmalab, store: Database, tmp_path: Path, spec: JsonObject, control: str, code: int
) -> None:
    """Every arm that is not called `control` plays the same numbers, and that one others."""
    question = {**spec, "arms": [{"name": control, "role": "control"}, {"name": "gaussian"}]}
    (tmp_path / "asked.json").write_text(json.dumps(question))
    (tmp_path / "null.json").write_text(json.dumps(null_spec(question)))
    key = ("--idempotency-key", "twice")
    playing.play(store, json.loads(sigmalab("submit", str(tmp_path / "null.json"), *key, "--json").stdout)["id"])
    ended = sigmalab("submit", str(tmp_path / "asked.json"), "--null", *key)
    assert ended.returncode == code, ended.stderr
    assert ("the machine is not deterministic. " in ended.stderr) == (code == 7)
    assert ("exactly 0 in every one of " in " ".join(ended.stdout.split())) == (code == 0)


def test_the_end_of_a_watch_is_not_that_of_the_experiment(
    program: PreloadedProgram, sigmalab: Sigmalab, service_url: str, store: Database, settings: Settings, spec_file: str
) -> None:
    experiment_id = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    environment = {**os.environ, "SIGMALAB_URL": service_url, "SIGMALAB_HOME": str(settings.home)}
    with subprocess.Popen(
        [*program.command, "watch", "last"], stderr=subprocess.PIPE, text=True, env=environment
    ) as watching:
        assert watching.stderr is not None
        assert watching.stderr.readline() == "queued\n"
        watching.send_signal(signal.SIGINT)
        said = watching.stderr.read()
        assert watching.wait(20) == 130
    assert f"experiment {experiment_id} goes on" in said
    assert f"sigmalab cancel {experiment_id}" in said
    assert "Traceback" not in said
    assert json.loads(sigmalab("show", "last", "--json").stdout)["status"] == "queued"


def test_what_runs_already_is_not_run_again(sigmalab: Sigmalab, store: Database, spec_file: str) -> None:
    first = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    again = sigmalab("submit", spec_file, "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["id"] == first
    assert again.stderr.endswith(f"not submitted: experiment {first} asks the same and is queued; --again insists\n")
    insisted = json.loads(sigmalab("submit", spec_file, "--again", "--json").stdout)["id"]
    assert insisted != first
    playing.play(store, insisted)
    playing.play(store, first)
    assert json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"] not in (first, insisted)


def test_a_key_that_comes_back_is_no_second_question(sigmalab: Sigmalab, store: Database, spec_file: str) -> None:
    first = json.loads(sigmalab("submit", spec_file, "--idempotency-key", "monday", "--json").stdout)["id"]
    playing.play(store, first)
    for again in ([], ["--again"]):
        replay = sigmalab("submit", spec_file, "--idempotency-key", "monday", *again, "--json")
        assert json.loads(replay.stdout)["id"] == first
        assert replay.stderr.endswith(
            f"not submitted again: the idempotency key monday stands for experiment {first}, which is succeeded; "
            "another key (or none) makes a new one\n"
        )


def test_a_watch_and_a_plan_read_labels(sigmalab: Sigmalab, store: Database, spec_file: str) -> None:
    labels = ["arms.0.label=plain", 'arms.1.label="with a Gaussian"']
    assert "arms    plain (control), with a Gaussian\n" in sigmalab("plan", spec_file, *labels).stdout
    experiment_id = json.loads(sigmalab("submit", spec_file, *labels, "--json").stdout)["id"]
    playing.play(store, experiment_id)
    watched = sigmalab("watch", experiment_id)
    assert "seed 0  with a Gaussian - plain = " in watched.stderr


def test_a_watched_search_tells_of_its_candidates(sigmalab: Sigmalab, store: Database, spec_file: str) -> None:
    experiment_id = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    with store.write() as session:
        (trial, *_) = trials_of(session, experiment_id)
        params = {"optimization.optimizer.lr": 0.00123456, "attention_bias.sigma": 2.0}
        candidate = PlannedTrial(
            identity="candidate",
            cell=Cell(model=trial.cell.rpartition("/")[0], dataset=trial.cell.rpartition("/")[2]),
            arm="gaussian",
            seed=1000,
            phase=Phase.SEARCH,
            params=params,
            config=TrialConfig.model_validate_json(trial.config),
        )
        plan_trials(session, experiment_id, [candidate])
    playing.play(store, experiment_id)
    watched = sigmalab("watch", "last").stderr
    assert "search 1  " in watched
    assert "gaussian/seed1000  optimizer.lr=0.001235, attention_bias.sigma=2" in watched
    assert "search 2" not in watched


def test_a_watch_tells_what_was_not_trained_again(sigmalab: Sigmalab, store: Database, spec_file: str) -> None:
    playing.play(store, json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"])
    again = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    attempt = playing.begin(store, again)
    with store.write() as session:
        for trial in trials_of(session, again):
            source = find_reusable(session, [trial.identity], Hardware("cpu", 1))[trial.identity]
            reuse_trial(session, trial.id, source, attempt)
    playing.finish(store, again, attempt)
    watched = sigmalab("watch", "last").stderr
    assert "reused 6 finished trials instead of training them again" in watched

    extended = sigmalab("extend", "last", "--seed", "7")
    assert f"Follow it with: sigmalab watch {again}" in extended.stdout
    assert "ok  driver: extended by seeds 7" in extended.stdout


def test_a_failed_trial_shows_with_its_reason(sigmalab: Sigmalab, store: Database, spec_file: str) -> None:
    experiment_id = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    playing.play(store, experiment_id, failing=[("gaussian", 1)])
    watched = sigmalab("watch", "last")
    assert "gaussian/seed1: the training loss became nan in epoch 0, step 3" in watched.stderr
    assert "left out" in watched.stdout
    assert "2 of 3" in watched.stdout


def test_a_report_goes_to_any_terminal_and_to_no_impossible_place(
    call: Sigmalab,
    program: PreloadedProgram,
    sigmalab: Sigmalab,
    service_url: str,
    settings: Settings,
    store: Database,
    spec_file: str,
) -> None:
    playing.play(store, json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"])
    ascii_only = {"SIGMALAB_URL": service_url, "SIGMALAB_HOME": str(settings.home), "PYTHONIOENCODING": "ascii"}
    shown = call("show", "last", env=ascii_only)
    assert shown.returncode == 0
    assert "2.00 ? 2.50" in shown.stdout
    for arguments in (["show", "last", "--json"], ["report", "last", "--json"]):
        assert json.loads(call(*arguments, env=ascii_only).stdout) == json.loads(sigmalab(*arguments).stdout)
    impossible = sigmalab("report", "last", "--output", "/dev/null/report")
    assert (impossible.returncode, impossible.stderr) == (6, "error: /dev/null/report: Not a directory\n")
    with Path("/dev/full").open("w") as full:
        written = subprocess.run(
            [*program.command, "report", "last", "--format", "md"],
            env={**os.environ, **ascii_only},
            stdout=full,
            stderr=-1,
        )
    assert (written.returncode, written.stderr) == (6, b"error: the output can't be written: No space left on device\n")


def test_the_log_of_a_trial(sigmalab: Sigmalab, settings: Settings, store: Database, spec_file: str) -> None:
    experiment_id = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    of_trial = ["logs", "last", "--arm", "gaussian", "--seed", "1"]
    assert sigmalab(*of_trial).stdout == "this trial has not started yet\n"
    playing.play(store, experiment_id)
    assert "holds no log" in sigmalab(*of_trial).stdout
    with store.read() as session:
        (identity,) = (
            row.identity for row in trials_of(session, experiment_id) if (row.arm, row.seed) == ("gaussian", 1)
        )
    folder = settings.effective_storage / trial_folder(identity, "cpu-1")
    folder.mkdir(parents=True)
    folder.joinpath("log.txt").write_bytes(b"epoch 1/2 \xe9\n")
    assert sigmalab(*of_trial).stdout == "epoch 1/2 \\xe9\n"
    assert "did you mean gaussian?" in sigmalab("logs", "last", "--arm", "gausian", "--seed", "1").stderr
    unknown = sigmalab("logs", "last", "--arm", "gaussian", "--seed", "77").stderr
    assert unknown == "error: no trial has --seed 77. There are 0, 1, 2\n"
    several = sigmalab("logs", "last", "--arm", "gaussian")
    assert several.returncode == 2
    assert several.stderr.count("gaussian  seed ") == 3


def test_no_trial_is_chosen_where_none_is_planned_yet(sigmalab: Sigmalab, store: Database, spec_file: str) -> None:
    experiment_id = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    with store.write() as session:
        for trial in trials_of(session, experiment_id):
            session.delete(trial)
    for command in (("export", "last"), ("logs", "last", "--seed", "0")):
        answer = sigmalab(*command)
        assert (answer.returncode, answer.stderr) == (4, f"error: experiment {experiment_id} has no trials yet\n")


def test_the_weights_of_a_trial(
    sigmalab: Sigmalab, settings: Settings, store: Database, spec_file: str, tmp_path: Path
) -> None:
    experiment_id = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    attempt = playing.begin(store, experiment_id)
    with store.read() as session:
        (row,) = (row for row in trials_of(session, experiment_id) if (row.arm, row.seed) == ("gaussian", 0))
    folder = settings.effective_storage / trial_folder(row.identity, "cpu-1")
    result = train(TrialConfig.model_validate_json(row.config), Runtime(storage=folder, device="cpu"))
    with store.write() as session:
        start_trial(session, row.id, attempt)
        succeed_trial(session, row.id, result, attempt)
    early = sigmalab("export", "last", "--arm", "control", "--seed", "0")
    assert early.returncode == 4
    assert "is pending; weights are exported of trials that have succeeded" in early.stderr
    playing.train(store, experiment_id, attempt)

    file = tmp_path / "weights.safetensors"
    exported = sigmalab("export", "last", "--arm", "gaussian", "--seed", "0", "--output", str(file))
    assert exported.returncode == 0, exported.stderr
    assert f"model = load_exported({str(file)!r})" in exported.stdout
    assert sum(parameter.numel() for parameter in load_exported(file).parameters()) > 0
    note = json.loads(file.with_name("weights.safetensors.json").read_text())
    assert note["metrics"]["best_val/top1"] == result.metrics["best_val/top1"]
    assert note["bias_tensors"]

    gone = sigmalab("export", "last", "--arm", "control", "--seed", "0", cwd=tmp_path)
    assert gone.returncode == 4
    assert "seed0 are not there (removed to save space?): no best_weights.pt in the trial's folder" in gone.stderr
    assert [each.name for each in tmp_path.glob("*control*")] == []


def test_a_spec_from_a_pipe(sigmalab: Sigmalab, spec: JsonObject) -> None:
    assert sigmalab("submit", "-", input=json.dumps(spec)).returncode == 0


def test_schema_is_json(sigmalab: Sigmalab) -> None:
    assert json.loads(sigmalab("schema").stdout)["title"] == "ExperimentSpec"


@pytest.mark.parametrize("arguments", [["show", "nobody"], ["watch", "nobody"], ["cancel", "nobody"], ["show", "last"]])
def test_an_unknown_experiment(sigmalab: Sigmalab, arguments: list[str]) -> None:
    answer = sigmalab(*arguments)
    assert answer.returncode == 4
    assert "no experiment" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""


def test_a_spec_that_is_refused(sigmalab: Sigmalab, spec: JsonObject) -> None:
    text = json.dumps(spec | {"sedes": [1], "seeds": []})
    # `plan` knows every config; in this process they are loaded already.
    planned = CliRunner().invoke(application, ["plan", "-"], input=text)
    submitted = sigmalab("submit", "-", input=text)
    for code, stderr in ((planned.exit_code, planned.stderr), (submitted.returncode, submitted.stderr)):
        assert code == 4
        assert "/sedes: unknown field `sedes`; did you mean `seeds`?" in stderr
        assert "/seeds: must not be empty" in stderr
        assert "Traceback" not in stderr


def test_a_folder_that_is_there_and_can_not_be_loaded(sigmalab: Sigmalab, spec: JsonObject, tmp_path: Path) -> None:
    (tmp_path / "pets" / "pets" / "cat").mkdir(parents=True)
    text = json.dumps(spec | {"datasets": [{"kind": "folder", "path": str(tmp_path / "pets")}]})
    planned = CliRunner().invoke(application, ["plan", "-"], input=text)
    submitted = sigmalab("submit", "-", input=text)
    for code, stderr in ((planned.exit_code, planned.stderr), (submitted.returncode, submitted.stderr)):
        assert code == 4
        assert (
            f"/datasets/0: {tmp_path / 'pets'} has 1 class, pets; did you mean {tmp_path / 'pets' / 'pets'}" in stderr
        )


def test_plan_and_submit_say_what_was_found(sigmalab: Sigmalab, spec: JsonObject, tmp_path: Path) -> None:
    for number, name in enumerate(["cat", "dog"] * 10):
        file = tmp_path / "pets" / name / f"{number}.ppm"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"P2 1 1 255 {number}")
        file.with_suffix(".txt").touch()
    folder = {"kind": "folder", "path": str(tmp_path / "pets")}
    text = json.dumps(spec | {"datasets": [folder], "optimization": {"global_batch_size": 8}})
    line = "  data    pets: 2 classes, 14/3/3 images, 20 files of other kinds (.txt 20)\n"
    assert line in CliRunner().invoke(application, ["plan", "-"], input=text).stdout
    assert line in sigmalab("submit", "-", input=text).stdout
    assert line in sigmalab("show", "last").stdout


@pytest.mark.usefixtures("settings")
def test_plan_needs_no_service(spec_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMALAB_URL", "http://127.0.0.1:1")
    shown = CliRunner().invoke(application, ["plan", spec_file])
    assert "6 trials make 3 pairs" in shown.stdout
    assert "0.25" in shown.stdout
    until_table = shown.stdout.partition("What it can show")[0]
    assert max(map(len, until_table.splitlines())) <= 100
    assert "  cost    6 trainings, " in shown.stdout
    planned = CliRunner().invoke(application, ["plan", spec_file, "--json"])
    assert json.loads(planned.stdout)["num_confirm_trials"] == 6


@pytest.mark.parametrize("arguments", [["list"], ["submit", "SPEC"], ["watch", "x"], ["report", "x"]])
def test_no_service(call: Sigmalab, spec_file: str, tmp_path: Path, arguments: list[str]) -> None:
    env = {"SIGMALAB_URL": "http://127.0.0.1:1", "SIGMALAB_HOME": str(tmp_path)}
    if arguments == ["watch", "x"]:
        # Patience is for services that go away, not for those that never were: the first question fails at once.
        arguments = ["watch", "last"]
    answer = call(*(spec_file if word == "SPEC" else word for word in arguments), env=env)
    assert answer.returncode == 3
    assert "no sigmalab service answers at http://127.0.0.1:1 (SIGMALAB_URL)" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_file_that_is_not_there(call: Sigmalab) -> None:
    answer = call("submit", "nowhere.json")
    assert answer.returncode == 2
    assert "nowhere.json" in answer.stderr


def test_serve_beyond_loopback_without_a_token(call: Sigmalab, tmp_path: Path) -> None:
    answer = call("serve", "--host", "0.0.0.0", env={"SIGMALAB_HOME": str(tmp_path), "SIGMALAB_API_TOKEN": ""})
    assert answer.returncode == 2
    assert "refusing to listen at 0.0.0.0" in answer.stderr
    assert "SIGMALAB_API_TOKEN" in answer.stderr


def test_help_shows_an_example_and_exit_codes(call: Sigmalab) -> None:
    top = call("--help").stdout
    assert "Exit codes: 0 done" in top
    for command in COMMANDS:
        assert f"\n  {command} " in top
        shown = CliRunner().invoke(application, [command, "--help"]).stdout
        assert f"Example: sigmalab {command}" in shown
        assert "--json" in shown


def test_nothing_heavy_is_imported_at_the_start() -> None:
    heavy = {"torch", "numpy", "sqlalchemy", "ray", "mlflow", "scipy", "fastapi", "uvicorn", "matplotlib"}
    code = f"import sys, api.cli; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_what_changes_something_names_its_service(sigmalab: Sigmalab, service_url: str, spec_file: str) -> None:
    for command in (("submit", spec_file), ("cancel", "last")):
        assert sigmalab(*command).stderr.splitlines()[0] == f"service  {service_url}  (SIGMALAB_URL)"
    assert "service" not in sigmalab("list").stderr


def test_another_folders_service_is_changed_only_if_it_is_named(
    call: Sigmalab, sigmalab: Sigmalab, service_url: str, spec_file: str, tmp_path: Path
) -> None:
    """The note of a stack that has ended: by now somebody else's service has its port."""
    experiment_id = json.loads(sigmalab("submit", spec_file, "--json").stdout)["id"]
    home = tmp_path / "another"
    home.mkdir()
    StackRecord(stack_id="a", pid=1, boot_id="b", url=service_url).write(home)
    here = {"SIGMALAB_HOME": str(home), "SIGMALAB_URL": ""}
    for command in (
        ("cancel", experiment_id),
        ("cancel", "last"),
        ("submit", spec_file),
        ("resume", "last"),
        ("extend", "last", "--seed", "9"),
    ):
        refused = call(*command, env=here)
        assert refused.returncode == 4
        assert f"what answers at {service_url} is not the service of {home}" in refused.stderr
        assert f"--url {service_url}" in refused.stderr
    listed = call("list", env=here)
    assert experiment_id in listed.stdout
    assert f"note: {service_url} answers, which is not the service of {home}" in listed.stderr
    assert json.loads(sigmalab("show", experiment_id, "--json").stdout)["status"] == "queued"
    assert call("cancel", experiment_id, "--url", service_url, env=here).returncode == 0


PROXIES = [
    {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"},
    {"all_proxy": "socks5://127.0.0.1:1"},
    {"ALL_PROXY": "what is this", "no_proxy": "fd00::/8,[::1]:8000"},
]


@pytest.mark.parametrize("proxies", PROXIES)
def test_this_machine_is_asked_without_a_proxy(
    call: Sigmalab, sigmalab: Sigmalab, proxies: dict[str, str], service_url: str
) -> None:
    listed = call("list", "--url", service_url, env=proxies)
    assert (listed.returncode, listed.stderr.splitlines()[0][:18]) == (0, "no experiments yet")


@pytest.mark.parametrize("proxies", PROXIES)
def test_a_proxy_that_fails_is_named(call: Sigmalab, proxies: dict[str, str]) -> None:
    listed = call("list", "--url", "http://lab.example", env=proxies)
    assert listed.returncode == 3
    assert "Traceback" not in listed.stderr
    variable = next(iter(proxies))
    assert f" of {variable}" in listed.stderr


TINY_YAML = """\
name: tiny  # as YAML
models: [{kind: small_vit, width: 12, depth: 2, num_heads: 1, image_size_px: 16}]
datasets: [{kind: digits, num_train: 60, num_val: 60, num_test: 60}]
optimization: {epochs: 2, global_batch_size: 20, optimizer: {kind: adamw, lr: 1e-3}}
arms:
  - {name: control, role: control}
  - {name: gaussian, patch: {attention_bias: {kind: gaussian, sigma: 2.0}}}
seeds: [0, 1]
"""


def test_a_spec_may_be_yaml_and_its_fields_set_anew(tmp_path: Path, service_url: str) -> None:
    """`plan` and `submit` alike: the digest of the spec that is written out."""
    spec = tmp_path / "tiny.yml"
    spec.write_text(TINY_YAML)
    overrides = ("optimization.epochs=1", "seeds=0..2", "arms.gaussian.patch.attention_bias.sigma=3")
    written = tmp_path / "written.yaml"
    written.write_text(
        TINY_YAML.replace("epochs: 2", "epochs: 1").replace("[0, 1]", "[0, 1, 2]").replace("sigma: 2.0", "sigma: 3")
    )
    here = CliRunner(env={"SIGMALAB_HOME": str(tmp_path / "home"), "SIGMALAB_URL": service_url})
    digests = {
        json.loads(here.invoke(application, [*command, "--json"]).stdout)["digest"]
        for command in (("plan", str(spec), *overrides), ("plan", str(written)), ("submit", str(spec), *overrides))
    }
    assert len(digests) == 1
    assert "optimization: {epochs: 2" in spec.read_text()


def test_a_file_that_cannot_be_read_as_a_spec_says_where(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: a\nname: b\n")
    here = CliRunner(env={"SIGMALAB_HOME": str(tmp_path / "home")})
    for command in ("plan", "submit", "run"):
        done = here.invoke(application, [command, str(file)])
        assert (done.exit_code, done.stdout) == (4, "")
        where = "the key `name` stands here already, in line 1 at line 2, column 1"
        assert f"{file}: the text is not valid YAML: {where}" in done.stderr
    done = here.invoke(application, ["plan", "-", "optimization.epochs=5"], input='{"name": "x", "name": "x"}')
    assert (
        "standard input: the text is not valid JSON: the name `name` occurs 2 times in one object, the outermost"
        in done.stderr
    )


def test_the_version_is_told() -> None:
    # The script itself: all else runs in copies of a process that has imported it.
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert re.fullmatch(r"sigmalab \d+\.\d+\S*\n", done.stdout)


def test_a_choice_that_there_is_not_is_told_in_plain_words(call: Sigmalab) -> None:
    ended = call("list", "--status", "done")
    assert ended.returncode == 2
    assert "Invalid value for '--status': 'done' is not one of 'queued', " in " ".join(ended.stderr.split())
