import json
import os
import re
import signal
import subprocess
import sys

import pytest

from tests.preloaded.program import PreloadedProgram
from trainers.__main__ import main
from trainers.config import TrialConfig
from trainers.result import TrialResult


@pytest.fixture
def trial_file(trial, tmp_path):
    path = tmp_path / "trial.json"
    path.write_text(trial(optimization={"epochs": 2, "global_batch_size": 10}).model_dump_json())
    return path


@pytest.fixture(scope="module")
def program():
    """`python -m trainers`, with torch in memory."""
    preloaded = PreloadedProgram("-mtrainers", ("trainers.training.trial",))
    yield preloaded
    preloaded.close()


def refused(capsys, *arguments):
    """Standard error of a command that is refused."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_a_trial_is_trained_with_progress_and_a_result(trial_file, capsys):
    assert main([str(trial_file), "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    result = TrialResult.model_validate_json(captured.out)
    lines = captured.err.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert f"train loss {result.epochs[0].metrics['train/loss']:.4f}" in lines[0]


def test_a_trial_may_begin_with_a_byte_order_mark_or_be_yaml(trial_file, tmp_path, capsys):
    assert main([str(trial_file), "--device", "cpu"]) == 0
    first = TrialResult.model_validate_json(capsys.readouterr().out).metrics["val/loss"]
    trial_file.write_bytes(b"\xef\xbb\xbf" + trial_file.read_bytes())
    as_yaml = tmp_path / "trial.yaml"
    as_yaml.write_text("# the same\n" + json.dumps(json.loads(trial_file.read_text("utf-8-sig")), indent=1))
    for file in (trial_file, as_yaml):
        assert main([str(file), "--device", "cpu"]) == 0
        assert TrialResult.model_validate_json(capsys.readouterr().out).metrics["val/loss"] == first


def test_the_result_can_go_to_a_file_and_the_state_to_a_folder(trial_file, tmp_path, capsys):
    output, storage = tmp_path / "result.json", tmp_path / "storage"
    arguments = [str(trial_file), "--device", "cpu", "--output", str(output), "--storage", str(storage)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == ""
    first = output.read_text()
    assert {path.name for path in storage.iterdir()} >= {"best_weights.pt", "predictions.npz", "result.json"}
    # The config lies beside the weights that it explains.
    written = TrialConfig.model_validate_json((storage / "trial.json").read_bytes())
    assert written == TrialConfig.model_validate_json(trial_file.read_bytes())
    # Again: nothing is trained, the same result is written.
    output.unlink()
    assert main(arguments) == 0
    assert output.read_text() == first
    assert "epoch" not in capsys.readouterr().err


def test_a_missing_file_is_said(tmp_path, capsys):
    assert f"{tmp_path / 'no.json'} can't be read: No such file" in refused(capsys, tmp_path / "no.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"model": ', "is not valid JSON: Expecting value at line 1, column 11"),
        (b"", "is not valid JSON"),
        (b"\xff\xfe\x00", "is not valid JSON: it is not UTF-8 (byte 0)"),
        (b'{"seed": 1, "seed": 2}', "the name `seed` occurs 2 times in one object"),
        (b"[]", "is not a valid trial:"),
        (b"{}", "model: Field required"),
        (b"[" * 100_000, "it nests deeper than"),
        (b'{"seed": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_broken_json_is_said(tmp_path, capsys, content, message):
    (tmp_path / "trial.json").write_bytes(content)
    assert message in refused(capsys, tmp_path / "trial.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 1}, "learning_rate: Extra inputs are not permitted"),
        ({"seed": "1"}, "seed: Input should be a valid integer"),
        ({"seed": True}, "seed: Input should be a valid integer"),
        (
            {"dataset": {"kind": "digit"}},
            "dataset: Input tag 'digit' found using 'kind' does not match any of the expected tags: 'coco_format', ",
        ),
        ({"optimization": {"epochs": -1}}, "optimization.epochs: Input should be greater than or equal to 0"),
    ],
)
def test_every_problem_is_named_by_its_path(trial_file, capsys, change, message):
    trial_file.write_text(json.dumps(json.loads(trial_file.read_text()) | change))
    error = refused(capsys, trial_file)
    assert message in error
    assert "Traceback" not in error
    assert "pydantic.dev" not in error


def test_an_impossible_output_is_refused_before_training(trial_file, tmp_path, capsys):
    assert "there is no folder" in refused(capsys, trial_file, "--output", tmp_path / "no" / "result.json")


def test_a_folder_is_no_output_and_a_file_no_storage(trial_file, tmp_path, capsys):
    assert "is a folder; name a file in it" in refused(capsys, trial_file, "--output", tmp_path)
    assert "is a file; name a folder" in refused(capsys, trial_file, "--storage", trial_file)


def test_no_threads_are_refused(trial_file, capsys):
    with pytest.raises(SystemExit):
        main([str(trial_file), "--threads", "0"])
    assert "0 is less than 1" in capsys.readouterr().err


@pytest.mark.parametrize(("wanted", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_the_user_says_otherwise(wanted, policy):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true"} | ({"OMP_WAIT_POLICY": wanted} if wanted else {})
    # Not by torch's own import, which takes seconds: what torch loads, after this package.
    load = (
        "import trainers, ctypes, glob, importlib.util as u; t = u.find_spec('torch').submodule_search_locations[0]; "
    )
    load += "[ctypes.CDLL(f) for f in glob.glob(t + '/lib/libgomp*')]"
    run = subprocess.run([sys.executable, "-c", load], env=environment, capture_output=True, text=True, check=True)
    assert f"OMP_WAIT_POLICY = '{policy}'" in run.stderr


def test_a_failing_trial_says_why(trial, tmp_path, capsys):
    path = tmp_path / "trial.json"
    path.write_text(trial(dataset={"kind": "folder", "path": "nowhere"}).model_dump_json())
    assert main([str(path), "--data-root", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error (data_invalid): no folder")
    assert "Traceback" not in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_saves_and_stops_when_told_to_and_goes_on_when_asked_again(program, trial, tmp_path, number):
    path, storage = tmp_path / "trial.json", tmp_path / "storage"
    path.write_text(trial(optimization={"epochs": 200, "global_batch_size": 10}).model_dump_json())
    command = [*program.command, str(path), "--storage", str(storage), "--device", "cpu", "--threads", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stderr.readline() for _ in range(3)]
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert lines[2].startswith("epoch 3/200")
    assert process.returncode == 128 + number
    assert out == ""
    assert err.splitlines()[-1] == "interrupted; the same command goes on from here"
    assert "Traceback" not in err
    last = max(int(line.split()[1].partition("/")[0]) for line in [*lines, *err.splitlines()[:-1]])
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert re.match(
            rf"resumed (after epoch {last - 1}|in epoch {last} after [1-4] of 4 steps) ", process.stderr.readline()
        )
        process.kill()
        process.communicate(timeout=120)


def test_loader_workers_hand_over_batches_however_long_tmpdir_is(program, trial, tmp_path):
    """Their sockets lie there, and a socket's path has at most 107 bytes."""
    room = 107 - len("/pymp-12345678/listener-12345678")
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    (tmp_path / "trial.json").write_text(config.model_dump_json())
    for length in (room, room + 1, 100):
        folder = tmp_path / f"{'x' * (length - len(str(tmp_path)) - 1)}"
        folder.mkdir()
        assert len(str(folder)) == length
        command = [*program.command, "trial.json", "--device", "cpu", "--loader-workers", "1"]
        # Without room the trial would stand still.
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert list(folder.iterdir()) == []
