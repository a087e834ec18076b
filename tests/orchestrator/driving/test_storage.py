"""A storage that is full, read-only, away or not shared: trials wait, or the node is named; no life is lost."""

import contextlib
import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.driving.storage_faults import Patience, SavedState, probe, saved_state, storage_trouble
from orchestrator.service.row_views import storage_condition
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import list_experiments
from orchestrator.store.tables import ExperimentRow
from tests.orchestrator.small_experiments import (
    experiment_of,
    metrics_by_trial,
    ray_cluster,
    rows_of,
    run,
    settings_in,
    spec_of,
    wait_until,
)
from trainers.atomic_file import replaced_file
from trainers.errors import CheckpointError, StorageNotSharedError
from trainers.storage_token import TOKENS, StorageToken

__all__ = ["ray_cluster"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real one, of four MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    return filler


def test_a_probe_tells_full_read_only_and_away(disk: Path) -> None:
    assert probe(disk) is None
    filler = fill(disk)
    assert probe(disk) == f"the storage {disk} is full"
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert probe(disk) == f"the storage {disk} is read-only"
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert "can't be written: No such file" in (probe(disk / "away") or "")
    assert list(disk.iterdir()) == []


def test_what_an_error_says_of_the_storage(tmp_path: Path) -> None:
    file = str(tmp_path / "1" / "checkpoint.pt")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file)
    wrapped = CheckpointError("it can't be saved")
    wrapped.__cause__ = full
    passed_on = RuntimeError(f"a worker failed: OSError: {full}")
    torch_s = RuntimeError("[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed writing file data/1")
    for error in (full, wrapped, passed_on, torch_s):
        assert storage_trouble(error, tmp_path) == f"the storage {tmp_path} is full"
    assert storage_trouble(OSError(errno.EROFS, "x", file), tmp_path) == f"the storage {tmp_path} is read-only"
    # Of the data's disk, as this one works.
    assert storage_trouble(OSError(errno.ESTALE, "x"), tmp_path) is None
    assert "can't be written" in (storage_trouble(OSError(errno.ESTALE, "x"), tmp_path / "away") or "")
    assert storage_trouble(StorageNotSharedError("x"), tmp_path / "away") is None


def test_another_disk_that_is_full_or_read_only_is_not_the_storage(tmp_path: Path) -> None:
    storage = tmp_path / "trials"
    storage.mkdir()
    for error in (
        OSError(errno.EROFS, os.strerror(errno.EROFS), "/root/.cache/huggingface"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/torchinductor/x.py"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{storage}-of-others/x"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("a worker failed: OSError: [Errno 28] No space left on device: '/tmp/x'"),
    ):
        assert storage_trouble(error, storage) is None


def test_what_our_own_writers_fail_at_is_named(disk: Path) -> None:
    fill(disk)
    with pytest.raises(OSError, match="No space left") as caught, replaced_file(disk / "result.json") as file:
        file.write(bytes(2**20))
    assert storage_trouble(caught.value, disk) == f"the storage {disk} is full"


def test_a_probe_needs_as_much_room_as_the_last_checkpoint(disk: Path) -> None:
    assert saved_state(disk / "away") == (0, 0)
    disk.joinpath("checkpoint.pt").write_bytes(bytes(5 * 2**19))
    saved = saved_state(disk)
    assert saved.num_bytes == 5 * 2**19
    assert probe(disk) is None
    assert probe(disk, saved.num_bytes) == f"the storage {disk} is full"
    assert [file.name for file in disk.iterdir()] == ["checkpoint.pt"]


def test_a_trial_that_saves_nothing_in_ten_rounds_ends_as_any_other() -> None:
    patience = Patience()
    assert all(patience.begins_round(SavedState(1, 0)) for _ in range(10))
    assert not patience.begins_round(SavedState(1, 0))
    # An older one is the same one, seen again; a newer one is progress.
    assert not patience.begins_round(SavedState(0, 0))
    assert patience.begins_round(SavedState(2, 0))


def test_pauses_grow_and_whoever_waits_hears_that_it_shall_stop(tmp_path: Path) -> None:
    slept: list[float] = []
    away = tmp_path / "away"

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 200:
            away.mkdir(exist_ok=True)

    patience, told = Patience(sleep), set[str]()
    patience.wait(away, "is full", told.add)
    # 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 + 60 s, in parts.
    assert sum(slept) == 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 + 60
    assert max(slept) <= 2.0
    assert told == {"is full", f"the storage {away} can't be written: No such file or directory"}

    def stop(words: str) -> None:
        raise InterruptedError(words)

    with pytest.raises(InterruptedError):
        patience.wait(away, "is full", stop)


def test_another_storage_is_told_with_the_node(tmp_path: Path) -> None:
    token = StorageToken.write(tmp_path / "here" / TOKENS / "1")
    token.require()
    elsewhere = token.model_copy(update={"file": tmp_path / "there" / TOKENS / "1"})
    with pytest.raises(
        StorageNotSharedError, match=rf"{tmp_path}/there is not the same on node {os.uname().nodename} "
    ):
        elsewhere.require()
    StorageToken.write(elsewhere.file)
    with pytest.raises(StorageNotSharedError, match="another file is there"):
        elsewhere.require()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_storage_that_the_user_may_not_write_ends_the_experiment(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: Path) -> StorageToken:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file.parent))

    monkeypatch.setattr(StorageToken, "write", refuse)
    row = experiment_of(database, run(database, settings_in(tmp_path), spec_of()))
    assert row.status == ExperimentStatus.FAILED
    assert "can't be written by the driver's user ([Errno 13] Permission denied: " in row.reason
    assert "SIGMALAB_STORAGE" in row.reason


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_full_disk_costs_no_trial_a_life(database: Database, disk: Path, tmp_path: Path) -> None:
    if database.name.startswith("postgresql"):
        pytest.skip("the disk is the same")
    spec, filler, lines = spec_of(), disk / "filler", list[str]()
    filler.write_bytes(bytes(4 * 2**20 - 60_000))
    seen: list[str] = []

    def make_room() -> None:
        wait_until(lambda: any(row.storage_trouble for row in _rows(database)))
        seen.extend(storage_condition(row).reason for row in _rows(database))
        filler.unlink()

    helper = threading.Thread(target=make_room)
    helper.start()
    experiment_id = run(database, settings_in(tmp_path / "full", storage=disk), spec, lines)
    helper.join()
    assert "is full: trials wait, and go on by themselves" in seen[0]
    row = experiment_of(database, experiment_id)
    assert (row.status, row.storage_trouble) == (ExperimentStatus.SUCCEEDED, "")
    assert {trial.attempt for trial in rows_of(database, experiment_id)} == {1}
    assert "goes on: the storage can be written again" in lines
    assert not list(disk.joinpath(TOKENS).iterdir())
    undisturbed = run(database, settings_in(tmp_path / "calm"), spec.model_copy(update={"reuse": "never"}))
    assert metrics_by_trial(database, undisturbed) == metrics_by_trial(database, experiment_id)


def _rows(database: Database) -> list[ExperimentRow]:
    with database.read() as session:
        return list_experiments(session, limit=1)
