"""Live progress of an experiment, counted in pairs."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from pydantic import JsonValue
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from api.cli.tables import fixed
from api.client import Client, ServiceUnreachableError
from api.sse import Event
from orchestrator.arm_labels import labelled
from orchestrator.statistics.comparison import Comparison, Pair
from orchestrator.status import ExperimentStatus
from trainers.counted import counted

_LONGEST_SHARE_OF_TIME = 0.1
"""Looking at the comparisons takes at most this share of the time: they may be many."""


_LOOK_AGAIN_SECONDS = 1.0


class PairWatch:
    """Tells of every pair as it becomes complete, and of every trial that fails.

    On a terminal a bar and the newest epoch stand below the lines; elsewhere (CI, a pipe) there are only the lines.
    """

    def __init__(self, client: Client, experiment_id: str, console: Console) -> None:
        self._client = client
        self._id = experiment_id
        self._console = console
        self._told: set[tuple[str, str, int]] = set()
        self._num_searched = self._num_reused = 0
        self._next_look_at = 0.0
        self._is_dirty = False
        self._held_back = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("pairs  [dim]{task.fields[now]}[/]"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            # The trials need the cores more.
            refresh_per_second=4,
            disable=not console.is_terminal,
        )
        view = client.get(experiment_id)
        self._labels = view.arm_labels
        self._total = view.progress.pairs_total
        self._task = self._bar.add_task(view.name, total=self._total, now="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def follow(self, events: Iterable[Event]) -> None:
        """Until the events end."""
        for event in events:
            self.see(event)

    def see(self, event: Event) -> None:
        """One event."""
        payload = self._labelled(event.payload)
        if event.kind == "trial" and payload.get("reused_from"):
            self._num_reused += 1
        elif self._num_reused:
            them = "it" if self._num_reused == 1 else "them"
            self._say(f"reused {counted(self._num_reused, 'finished trial')} instead of training {them} again")
            self._num_reused = 0
        if event.kind == "status":
            self._see_status(payload)
        elif event.kind == "epoch":
            self._bar.update(self._task, now=_now(payload))
        elif event.kind == "trial":
            self._see_trial(payload)
        is_due = self._is_dirty and time.monotonic() >= self._next_look_at
        if is_due or event.kind == "end":
            self._look()
        if event.kind == "end":
            self._say_what_was_held_back()

    def _labelled(self, payload: dict[str, JsonValue]) -> dict[str, JsonValue]:
        arm = payload.get("arm")
        return payload | {"arm": self._labels.get(arm, arm)} if isinstance(arm, str) else payload

    def _see_status(self, payload: dict[str, JsonValue]) -> None:
        self._say_what_was_held_back()
        # A reason may end with a whole log; `show` has it.
        reason, _, _ = str(payload["reason"]).partition("\n")
        line = f"{payload['status']}: {reason}" if reason else str(payload["status"])
        if ExperimentStatus(str(payload["status"])).is_final:
            # The last pairs are told of first.
            self._held_back = line
        else:
            self._say(line)

    def _say_what_was_held_back(self) -> None:
        if self._held_back:
            self._say(self._held_back)
            self._held_back = ""

    def _see_trial(self, payload: dict[str, JsonValue]) -> None:
        if payload["status"] == "failed":
            self._say(f"failed: {_where(payload)}: {_last_line(str(payload['error']))}", style="red")
        elif payload.get("phase") == "search" and payload["status"] in ("succeeded", "pruned"):
            self._num_searched += 1
            ending = "" if payload["status"] == "succeeded" else ", stopped early"
            self._say(f"search {self._num_searched}  {_where(payload)}  {_params(payload['params'])}{ending}")
        if payload["status"] in ("succeeded", "failed"):
            self._is_dirty = True

    def _look(self) -> None:
        """Tell of pairs that are new since the last look."""
        started = time.monotonic()
        try:
            comparisons = self._client.comparisons(self._id)
        except ServiceUnreachableError:
            # It restarts; the stream of events has patience and so have we. What is new is told at the next look.
            self._next_look_at = time.monotonic() + _LOOK_AGAIN_SECONDS
            return
        for comparison, pair in _complete_pairs(comparisons):
            key = (comparison.cell.key, comparison.treatment, pair.seed)
            if key not in self._told:
                self._told.add(key)
                self._tell(labelled(comparison, self._labels), pair, several=len({c.cell.key for c in comparisons}) > 1)
        self._bar.update(self._task, completed=len(self._told))
        took = time.monotonic() - started
        self._next_look_at = time.monotonic() + took / _LONGEST_SHARE_OF_TIME
        self._is_dirty = False

    def _tell(self, comparison: Comparison, pair: Pair, *, several: bool) -> None:
        assert pair.effect is not None
        where = f"  {comparison.cell.key}" if several else ""
        count = f"pair {len(self._told):>{len(str(self._total))}}/{self._total}"
        what = f"{comparison.treatment} - {comparison.control} = {fixed(pair.effect, 1, sign='+')} {comparison.unit}"
        levels = f"({pair.control:.1f} → {pair.treatment:.1f})"
        self._say(f"{count}{where}  seed {pair.seed}  {what}  {levels}")

    def _say(self, line: str, style: str = "") -> None:
        self._bar.console.print(Text(line, style=style))


def _complete_pairs(comparisons: Iterable[Comparison]) -> list[tuple[Comparison, Pair]]:
    """Seed by seed, as they are trained."""
    found = [(comparison, pair) for comparison in comparisons for pair in comparison.pairs if pair.effect is not None]
    return sorted(found, key=lambda entry: entry[1].seed)


def _where(payload: dict[str, JsonValue]) -> str:
    if "arm" not in payload:
        return counted(int(str(payload["num_trials"])), "trial")
    return f"{payload['cell']}/{payload['arm']}/seed{payload['seed']}"


def _params(params: JsonValue) -> str:
    """`optimizer.lr=0.001`: the last two words of each path tell which it is."""
    assert isinstance(params, dict)
    return ", ".join(
        f"{'.'.join(path.split('.')[-2:])}={f'{value:.4g}' if isinstance(value, float) else value}"
        for path, value in params.items()
    )


def _now(payload: dict[str, JsonValue]) -> str:
    epoch = payload["epoch"]
    told = f", {payload['told']}" if payload.get("told") else ""
    return f"{payload['arm']} seed {payload['seed']}, epoch {int(str(epoch)) + 1}{told}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
