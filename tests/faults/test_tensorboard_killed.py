"""A process is killed between writing values into an event file and noting that it did: they are there once."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import LeaseRow
from orchestrator.store.tracking import runs_of
from orchestrator.tracking.shipper import Shipper
from orchestrator.tracking.tensorboard.tracker import TensorboardTracker
from tests.orchestrator.synthetic import make_spec, play
from tests.orchestrator.tracking.event_reading import scalars

_SHIP_AND_DIE = """
import os, signal, sys
from pathlib import Path
from orchestrator.store.database import open_database
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.shipper import Shipper
from orchestrator.tracking.tensorboard.tracker import TensorboardTracker

def die(*_):
    # The service trains nothing.
    assert "torch" not in sys.modules
    os.kill(os.getpid(), signal.SIGKILL)

Outbox.mark_shipped = die
Shipper(open_database(sys.argv[1]), TensorboardTracker(Path(sys.argv[2]))).ship_once()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield database
    database.close()


def test_values_that_were_written_by_one_who_was_killed_are_there_once(tmp_path: Path, store: Database) -> None:
    experiment_id = play(store, make_spec(seeds=[0]))
    folder = tmp_path / "tensorboard"
    killed = subprocess.run(
        [sys.executable, "-c", _SHIP_AND_DIE, f"sqlite:///{tmp_path / 'sigmalab.db'}", str(folder)],
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (early,) = folder.glob("*/*/events*")
    assert len(scalars(early.parent)) > 10

    with store.write() as session:
        # The lease of one that is dead runs out.
        session.execute(delete(LeaseRow))
    assert Shipper(store, TensorboardTracker(folder)).drain(60)
    with store.read() as session:
        runs = runs_of(session, "tensorboard", experiment_id)
    assert len(runs) == 3
    for run in runs.values():
        values = [each[:3] for each in scalars(folder / run)]
        assert len(values) == len(set(values))
        assert {step for tag, step, _ in values if tag == "val/top1"} == set(range(5))
