"""A node without the data: its trials are trained elsewhere, it is avoided and named (two real nodes)."""

import json
from pathlib import Path

import pytest

from orchestrator.driving.driver import run_experiment
from orchestrator.store.database import open_database
from tests.orchestrator.small_experiments import (
    added_node,
    begin,
    experiment_of,
    full_head,
    ray_cluster,
    rows_of,
    settings_in,
    spec_of,
    submit,
)

__all__ = ["ray_cluster"]

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

STALE = """
import errno, os, sys

def no_data_here(event, arguments):
    if event == "open" and "FILE" in str(arguments[0]):
        raise OSError(errno.NUMBER, os.strerror(errno.NUMBER), str(arguments[0]))

sys.addaudithook(no_data_here)
"""
"""As the mount of a server that is gone, for every process of the node."""


@pytest.mark.parametrize(
    ("file", "number", "words"),
    [
        ("digits.csv", "ESTALE", "OSError: [Errno 116] Stale file handle"),
        ("/.experiments/", "ENOENT", "the storage "),
    ],
    ids=["data", "storage"],
)
def test_trials_of_a_node_without_a_mount_are_trained_elsewhere(
    tmp_path: Path, file: str, number: str, words: str
) -> None:
    (tmp_path / "stale").mkdir()
    (tmp_path / "stale" / "sitecustomize.py").write_text(STALE.replace("FILE", file).replace("NUMBER", number))
    settings = settings_in(tmp_path)
    database = open_database(settings.effective_database_url)
    experiment_id = submit(database, settings, spec_of())
    lines: list[str] = []
    with full_head() as make_room, added_node(2, {"PYTHONPATH": str(tmp_path / "stale")}):

        def on_progress(line: str) -> None:
            lines.append(line)
            if "gets no more trials" in line:
                # Not before: or the healthy node might do all of it.
                make_room()

        run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=on_progress)
    row = experiment_of(database, experiment_id)
    trials = rows_of(database, experiment_id)
    database.close()
    assert (row.status, row.reason) == ("succeeded", ""), lines
    assert [trial.status for trial in trials] == ["succeeded"] * 4
    # Two have to fail there; those that Tune had in hand by then may, once each.
    assert 6 <= sum(trial.attempt for trial in trials) <= 8
    assert max(trial.attempt for trial in trials) == 2
    (told,) = row.avoided_nodes.values()
    assert told.startswith(words), json.dumps(row.avoided_nodes)
