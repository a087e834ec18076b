"""Plan and compare from Python: what `sigmalab plan` and `sigmalab run` do, as objects that a notebook shows.

import sigmalab

answer = sigmalab.compare(
control={"model": {...}, "dataset": {...}},
treatment={"attention_bias": {"kind": "gaussian"}},
seeds=6,
)
answer                      # the table and the answer in words
answer.comparisons[0].effect
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from api.cli.planning import plan_here
from api.cli.readings import ComparisonReading, ReportReading
from api.cli.report_tables import print_report
from api.cli.tables import print_plan
from api.notebook.question import Config, spec_document
from api.notebook.shown import Shown
from api.running_here import ray_here
from api.views import PlanView
from orchestrator.spec.experiment import parse_spec
from orchestrator.state_folder import state_folder
from orchestrator.status import ExperimentStatus
from trainers.strict_json import JsonObject

_SECONDS_BETWEEN_LOOKS = 0.2
_NUM_LINES_TOLD = 20


class NoReportError(RuntimeError):
    """The experiment ended without a report; the message is what its driver said last."""


class PlannedComparison(Shown):
    """What a comparison would do, take, and be able to show.

    Attributes:
        view: the plan, as `sigmalab plan --json` writes it.
    """

    def __init__(self, view: PlanView) -> None:
        """Keep the plan."""
        super().__init__(lambda console: print_plan(console, view))
        self.view = view


class ComparisonResult(Shown):
    """A finished experiment: effects with their intervals and verdicts.

    Attributes:
        report: the parts of the report that a terminal shows.
        document: the whole report, as `sigmalab run --json` writes it.
        folder: the report's files: page, figures, LaTeX, CSV.
    """

    def __init__(self, text: bytes, folder: Path | None) -> None:
        """Read a report.

        Args:
            text: as JSON.
            folder: of its files (`None`: the state folder's).
        """
        self.document: dict[str, Any] = json.loads(text)
        self.report = ReportReading.model_validate(self.document)
        self.folder = folder or state_folder() / "reports" / self.document["experiment"]["id"]
        super().__init__(lambda console: print_report(console, self.report))

    @property
    def status(self) -> ExperimentStatus:
        """How the experiment ended."""
        return self.report.experiment.status

    @property
    def comparisons(self) -> tuple[ComparisonReading, ...]:
        """One for each treatment and cell: effect, interval, p, verdict."""
        return self.report.comparisons


def plan(
    spec: Config | Path | str | None = None,
    *,
    control: Config | None = None,
    treatment: Config | None = None,
    treatments: Mapping[str, Config] | None = None,
    seeds: int | Sequence[int] | None = None,
    **fields: JsonValue,
) -> PlannedComparison:
    """What a comparison would do, take, and be able to show. Nothing is started.

    Args:
        spec: a file with a spec, or one as a mapping; or else:
        control: what is trained without the change, as a trial's config: `model` and `dataset`, and of `task`,
            `attention_bias`, `optimization`, `augmentation`, ... what is not to be the default.
        treatment: the change: a patch of the control.
        treatments: several changes by name.
        seeds: how many pairs (default: 6), or which seeds.
        fields: further fields of a spec, such as `name`, `code`, `primary_metric`, `resources`, `recipe`.

    Raises:
        SpecError: with all that is wrong.
    """
    document = spec_document(
        spec, control=control, treatment=treatment, treatments=treatments, seeds=seeds, fields=fields
    )
    return PlannedComparison(plan_here(json.dumps(document).encode()))


def compare(
    spec: Config | Path | str | None = None,
    *,
    control: Config | None = None,
    treatment: Config | None = None,
    treatments: Mapping[str, Config] | None = None,
    seeds: int | Sequence[int] | None = None,
    output: Path | str | None = None,
    say: Callable[[str], None] = print,
    **fields: JsonValue,
) -> ComparisonResult:
    """Train both arms and compare them, as `sigmalab run` does; an interrupt cancels the experiment.

    Args:
        spec: as for `plan`.
        control: as for `plan`.
        treatment: as for `plan`.
        treatments: as for `plan`.
        seeds: as for `plan`.
        output: folder for the report's files (`None`: in the state folder).
        say: hears of progress, line by line.
        fields: as for `plan`.

    Raises:
        SpecError: with all that is wrong with the spec itself.
        StackError: Ray can't start.
        NoReportError: it can't be run, or ended without a report.
    """
    document = spec_document(
        spec, control=control, treatment=treatment, treatments=treatments, seeds=seeds, fields=fields
    )
    return _run(document, output, say, threading.Event())


async def compare_async(
    spec: Config | Path | str | None = None,
    *,
    control: Config | None = None,
    treatment: Config | None = None,
    treatments: Mapping[str, Config] | None = None,
    seeds: int | Sequence[int] | None = None,
    output: Path | str | None = None,
    say: Callable[[str], None] = print,
    **fields: JsonValue,
) -> ComparisonResult:
    """As `compare`, while other tasks go on; a task that is cancelled cancels the experiment."""
    document = spec_document(
        spec, control=control, treatment=treatment, treatments=treatments, seeds=seeds, fields=fields
    )
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(_run, document, output, say, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # The thread ends with its driver, and the Ray of its own with it.
        stop.set()
        await asyncio.wait([running])
        raise


def _run(
    document: JsonObject, output: Path | str | None, say: Callable[[str], None], stop: threading.Event
) -> ComparisonResult:
    # Said here and now, and not by a process.
    parse_spec(document)
    with tempfile.TemporaryDirectory(prefix="sigmalab-") as place:
        file, report = Path(place, "spec.json"), Path(place, "report.json")
        file.write_text(json.dumps(document))
        command = [sys.executable, "-m", "orchestrator", "run", str(file), "--json"]
        command += [] if output is None else ["--output", str(output)]
        with ray_here(lambda server, news: say(f"{server}: {news}"), say) as environment:
            last = _drive(command, environment, report, say, stop)
        text = report.read_bytes()
    if not text.strip():
        raise NoReportError("\n".join(last) or "the driver ended without a word")
    return ComparisonResult(text, None if output is None else Path(output))


def _drive(
    command: Sequence[str],
    environment: Mapping[str, str],
    report: Path,
    say: Callable[[str], None],
    stop: threading.Event,
) -> list[str]:
    """Run a driver to its end; gives the last lines that it said."""
    lines: list[str] = []
    with report.open("wb") as answer:
        driver = subprocess.Popen(  # noqa: S603 (our own command)
            command, env=environment, stdout=answer, stderr=subprocess.PIPE, text=True, errors="replace"
        )
    listener = threading.Thread(target=_listen, args=(driver, lines, say), daemon=True)
    listener.start()
    try:
        while driver.poll() is None:
            if stop.wait(_SECONDS_BETWEEN_LOOKS):
                break
    finally:
        if driver.poll() is None:
            # It cancels the experiment and ends; an interrupt of this process is on its way out meanwhile.
            driver.terminate()
            driver.wait()
        listener.join()
    return lines[-_NUM_LINES_TOLD:]


def _listen(driver: "subprocess.Popen[str]", lines: list[str], say: Callable[[str], None]) -> None:
    assert driver.stderr is not None
    with driver.stderr as said:
        for line in said:
            lines.append(line.rstrip())
            say(lines[-1])
