"""`python -m orchestrator` as somebody meets it who mistypes (whole runs: tests/end_to_end/test_readme.py)."""

import json
import os
import signal
import subprocess
import sys

import pytest

from orchestrator.store.database import open_database
from orchestrator.store.experiments import list_experiments, newest_attempt
from orchestrator.store.trials import trials_of
from tests.orchestrator.small_experiments import TINY, begin, finish_all, settings_in, spec_of, submit


@pytest.fixture
def main(tmp_path, monkeypatch):
    """The command line in this process, with a state folder of its own and without traces in the environment."""
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    from orchestrator.__main__ import main as command_line

    yield command_line
    signal.signal(signal.SIGTERM, handler)
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "spec.json: the text is not valid JSON: "),
        ('{"name": "x"}', "  /models: "),
        (json.dumps({**TINY, "seeds": [1, 1]}), "  /seeds/1: the seed 1 is listed twice"),
        (json.dumps({**TINY, "datasets": [{"kind": "folder", "path": "not-there"}]}), "  /datasets/0"),
        (None, "can't be read: No such file or directory"),
    ],
)
def test_a_bad_spec_ends_with_code_2_and_says_where(main, tmp_path, capsys, text, message):
    spec = tmp_path / "spec.json"
    if text is not None:
        spec.write_text(text)
    assert main(["run", str(spec)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_a_wrong_setting_is_told_in_a_line(main, tmp_path, capsys, monkeypatch):
    """As `sigmalab run` meets it on a cluster of its user's own (RAY_ADDRESS), where no stack has looked before."""
    monkeypatch.setenv("SIGMALAB_TRACKERS", "mlfow")
    (tmp_path / "spec.json").write_text(json.dumps(TINY))
    assert main(["run", str(tmp_path / "spec.json")]) == 2
    printed = capsys.readouterr()
    assert printed.err == (
        "SIGMALAB_TRACKERS=mlfow: there is not a tracker `mlfow`; did you mean `mlflow`? Valid: mlflow, tensorboard\n"
    )
    assert printed.out == ""


def test_an_unknown_experiment_ends_with_code_2(main, tmp_path, capsys):
    (tmp_path / "home").mkdir()
    open_database(f"sqlite:///{tmp_path / 'home' / 'sigmalab.db'}").close()
    assert main(["drive", "nobody", "--attempt", "1"]) == 2
    assert "no experiment has the id 'nobody'" in capsys.readouterr().err


def test_a_driver_makes_no_database_where_there_is_none(main, tmp_path, capsys):
    assert main(["drive", "nobody", "--attempt", "1"]) == 5
    assert "database" in capsys.readouterr().err
    assert not (tmp_path / "home" / "sigmalab.db").exists()


FIRST_WORD = """
import sys
from importlib.abc import MetaPathFinder

from orchestrator.__main__ import main
from orchestrator.store.database import open_database
from orchestrator.store.experiments import newest_attempt

class HeardBeforeTheHeavyPart(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "orchestrator.driving.driver":
            database = open_database(sys.argv[1])
            with database.read() as session:
                heard = newest_attempt(session, sys.argv[2]).heartbeat_at
            print(heard is not None, {"ray", "torch", "mlflow", "matplotlib"} & sys.modules.keys())
            sys.meta_path.remove(self)
            import orchestrator.driving.driver
            print({"torch", "timm"} & sys.modules.keys())
            raise SystemExit(7)

sys.meta_path.insert(0, HeardBeforeTheHeavyPart())
main(["drive", sys.argv[2], "--attempt", "1"])
"""


def test_a_driver_says_that_it_lives_before_its_heavy_imports_which_are_not_torch(tmp_path):
    settings = settings_in(tmp_path)
    database = open_database(settings.effective_database_url)
    experiment_id = submit(database, settings, spec_of())
    begin(database, experiment_id)
    database.close()
    url = settings.effective_database_url
    command = [sys.executable, "-c", FIRST_WORD, url, experiment_id]
    ended = subprocess.run(
        command, env={**os.environ, "SIGMALAB_DATABASE_URL": url}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 7, ended.stderr
    heard, heavy = ended.stdout.splitlines()
    assert heard == "True set()"
    # Trials have processes of their own, which import these: a driver would only hold a second copy.
    assert heavy == "set()"


def test_a_driver_that_was_replaced_before_it_woke_up_says_so(main, tmp_path, capsys):
    settings = settings_in(tmp_path)
    database = open_database(settings.effective_database_url)
    experiment_id = submit(database, settings, spec_of())
    for _ in range(2):
        begin(database, experiment_id)
    database.close()
    assert main(["drive", experiment_id, "--attempt", "1"]) == 4
    assert "this attempt is over: attempt 1 of experiment" in capsys.readouterr().out


def test_an_unreachable_database_ends_with_code_5(main, monkeypatch, capsys):
    monkeypatch.setenv("SIGMALAB_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert main(["drive", "x", "--attempt", "1"]) == 5
    assert "postgresql" in capsys.readouterr().err


def test_without_a_command_the_usage_is_shown(main, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def nobody_there():
    raise ConnectionError("there is no cluster")


def interrupted():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("connect", "code", "status", "reason"),
    [
        (nobody_there, 5, "failed", "its driver broke: there is no cluster"),
        (interrupted, 3, "cancelled", "interrupted"),
    ],
)
def test_a_run_that_never_meets_its_cluster_is_over(main, tmp_path, monkeypatch, connect, code, status, reason):
    monkeypatch.setattr("orchestrator.driving.driver.connect", connect)
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(TINY))
    assert main(["run", str(spec)]) == code
    database = open_database(f"sqlite:///{tmp_path / 'home' / 'sigmalab.db'}")
    with database.read() as session:
        (row,) = list_experiments(session, limit=2)
        assert (row.status, row.reason) == (status, reason)
        assert newest_attempt(session, row.id).ended_at is not None
        assert {trial.status for trial in trials_of(session, row.id)} == {"cancelled"}
    database.close()


def test_a_run_says_what_it_found_where_the_data_lie(main, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("orchestrator.driving.driver.connect", nobody_there)
    for number, name in enumerate(["cat", "dog"] * 10):
        (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name / f"{number}.ppm").write_text(f"P2 1 1 255 {number}")
    spec = tmp_path / "spec.json"
    folder = {"kind": "folder", "path": str(tmp_path / "pets")}
    spec.write_text(json.dumps({**TINY, "datasets": [folder], "optimization": {"global_batch_size": 8}}))
    assert main(["run", str(spec)]) == 5
    assert "\ndata pets: 2 classes, 14/3/3 images\n" in capsys.readouterr().out


@pytest.mark.parametrize(("required", "code"), [("improved", 0), ("gaussian=not-worse", 0), ("equivalent", 7)])
def test_a_run_ends_with_code_7_where_what_is_required_is_not_shown(
    main, tmp_path, capsys, monkeypatch, required, code
):
    monkeypatch.setattr("orchestrator.driving.driver.connect", lambda: None)  # nothing is left to be trained
    settings, question = settings_in(tmp_path), {**TINY, "seeds": [0, 1, 2, 3, 4, 5]}
    database = open_database(settings.effective_database_url)
    finish_all(
        database, settings, spec_of(**question), lambda arm, seed: 0.5 + (arm != "control") * (0.1 + 0.001 * seed)
    )
    database.close()
    (tmp_path / "spec.json").write_text(json.dumps({**question, "equivalence_margin": 0.1}))
    assert main(["run", str(tmp_path / "spec.json"), "--require", required]) == code
    printed = capsys.readouterr()
    assert ("is not shown to be equivalent: its interval is [+10" in printed.err) == (code == 7)
    assert "improved" in printed.out


def test_an_arm_that_is_required_but_not_there_ends_with_code_2_before_anything_runs(main, tmp_path, capsys):
    (tmp_path / "spec.json").write_text(json.dumps(TINY))
    assert main(["run", str(tmp_path / "spec.json"), "--require", "gauss=improved"]) == 2
    assert "no treatment is called `gauss` (there are: gaussian)" in capsys.readouterr().err
