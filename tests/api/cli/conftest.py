"""The program, ready to start."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.preloaded.program import PreloadedProgram, Sigmalab


@pytest.fixture(scope="session")
def program() -> Iterator[PreloadedProgram]:
    """`sigmalab`, with all that its commands import."""
    preloaded = PreloadedProgram("sigmalab", ("api.cli.planning", "httpcore", "h11", "anyio"))
    yield preloaded
    preloaded.close()


@pytest.fixture
def call(program: PreloadedProgram) -> Sigmalab:
    """The program, as a process of its own."""

    def run(*arguments: str, env: dict[str, str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "160", **(env or {})}
        return subprocess.run(
            [*program.command, *arguments], capture_output=True, text=True, timeout=120, env=environment, **options
        )  # type: ignore[call-overload, no-any-return]

    return run
