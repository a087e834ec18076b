"""A Ray cluster's worker processes as copies of one that has imported what trials import."""

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partialmethod
from pathlib import Path

import pytest
from ray._private import workers
from ray._private.parameter import RayParams

from tests.preloaded.program import HERE, PreloadedProgram

# Not Ray itself: it reads variables of the environment, of the worker's job among them, once it is loaded.
_MODULES = (
    "trainers.__main__",
    "trainers.training.trial",
    "sklearn.datasets",
    # Every optimizer imports it.
    "torch._dynamo",
    # Ray Tune imports these.
    "fsspec",
    "grpc.aio",
    "jsonschema",
    "pandas",
    "pyarrow.fs",
    "requests",
)
_STAND_IN = """
import sys
sys.path[0] = {here!r}
from run import main
main({address!r}, [{program!r}, *sys.argv[1:]])
"""


@contextmanager
def preloaded_workers() -> Iterator[None]:
    """Clusters that this process starts within have such workers; leave it when they have ended.

    Ray starts a worker by two programs, of which the first one prepares the environment and becomes the second. Each
    is given to Ray as a file of a few lines that stands in for it. What Ray starts once in a cluster is left alone.
    """
    with closing(PreloadedProgram("python", _MODULES)) as python, pytest.MonkeyPatch.context() as patch:
        patch.setattr(RayParams, "__init__", partialmethod(RayParams.__init__, **_stand_ins(python)))
        # Ray gives its own processes 15 s to start: not beside these imports.
        subprocess.run([*python.command, "/dev/null"], check=True)
        yield


def _stand_ins(python: PreloadedProgram) -> dict[str, str]:
    files = {}
    for program in Path(workers.__path__[0]).glob("*_worker.py"):
        # Ray knows them by their names.
        file = python.folder / program.name
        file.write_text(_STAND_IN.format(here=str(HERE), address=python.address, program=str(program)))
        files[program.stem] = str(file)
    return {"worker_path": files["default_worker"], "setup_worker_path": files["setup_worker"]}
