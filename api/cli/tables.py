"""What experiments and a plan look like in a terminal."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.views import PlanView
from orchestrator.device_hours import device_hours
from orchestrator.service.views import ExperimentView
from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.look_plan import LooksForecast
from trainers.counted import counted

MISSING = "-"
READABLE_WIDTH = 100
"""Sentences run no longer, however wide the terminal is."""


def print_plan(console: Console, plan: PlanView) -> None:
    """What will run, what it takes, what it can show."""
    num_pairs = plan.num_pairs
    control, *treatments = (plan.arm_labels.get(arm, arm) for arm in (plan.control, *plan.treatments))
    arms = ", ".join((f"{control} (control)", *treatments))
    console.print(Text.assemble(("Plan ", "bold"), f"{plan.spec_name}, digest {plan.digest}"))
    console.print(f"  cells   {_cells(plan.cells)}")
    console.print(f"  arms    {arms}")
    if plan.allocation is None:
        console.print(f"  seeds   {_listed(plan.seeds)}")
    else:
        _print_wrapped(console, "seeds", _shares(plan.allocation, len(plan.cells) * len(plan.treatments)))
    print_data_found(console, plan.data_found)
    trials = f"{counted(plan.num_confirm_trials, 'trial makes', 'trials make')} {counted(num_pairs, 'pair')}"
    if plan.looks is not None or plan.allocation is not None:
        trials = f"at most {trials}"
    if plan.num_search_trials:
        trials += f"; before that at most {counted(plan.num_search_trials, 'search trial')}"
    if plan.num_reusable:
        are = "is" if plan.num_reusable == 1 else "are"
        trials += f"; {plan.num_reusable} {are} finished already and will be reused"
    console.print(f"  trials  {trials}")
    if plan.looks is not None:
        _print_wrapped(console, "looks", _looks(plan.looks))
    amounts = ((plan.cost.cpu_hours, "CPU core"), (plan.cost.gpu_hours, "GPU"))
    time_needed = " and ".join(device_hours(hours, kind) for hours, kind in amounts if hours) or "no time"
    trainings = counted(plan.cost.num_trials, "training")
    if plan.allocation is not None:
        trainings += " if all rows vary alike"
    _print_wrapped(console, "cost", f"{trainings}, {time_needed}")
    _print_wrapped(console, "", f"({plan.cost.basis}; the start of Ray and of each trial's process comes on top)")
    console.print()
    console.print(power_table(plan))
    for warning in plan.warnings:
        console.print(Text(f"note: {warning}", style="yellow"))


def _shares(allocation: Allocation, num_rows: int) -> str:
    """Who gets pairs in which stage."""
    later = allocation.total - allocation.first * num_rows
    return (
        f"{counted(allocation.first, 'pair')} of each of {counted(num_rows, 'row')} first, then {later} more where "
        f"their sd is largest ({allocation.total} in all); below and in the cost, as if all rows had one sd. Intervals "
        "and p rest on the sd of the first pairs (Stein)"
    )


def _looks(forecast: LooksForecast) -> str:
    """When it will be looked, what ends a row there, and what that takes."""
    name = {"obrien_fleming": "O'Brien-Fleming", "pocock": "Pocock"}[forecast.kind]
    bounds = ", ".join(
        f"{look.num_pairs} pairs (p {look.p_bound:.2g}"
        + (f", corrected {look.p_bound_corrected:.2g})" if look.p_bound_corrected < look.p_bound else ")")
        for look in forecast.looks
    )
    return (
        f"after {bounds}: {name}, p of the t test; a row ends where it is at or below this. Trials are counted to "
        f"the last look; a row takes {forecast.mean_pairs_without_effect:.1f} pairs on average without an effect, "
        f"{forecast.mean_pairs_with_effect:.1f} with one of {forecast.confirmable_effect_per_sd:.2f} sds of a pair, "
        "which it confirms in 80 % of repetitions"
    )


def print_data_found(console: Console, data_found: Mapping[str, str]) -> None:
    """What was found of each data set that lies somewhere."""
    for name, line in data_found.items():
        _print_wrapped(console, "data", f"{name}: {line}")


def _print_wrapped(console: Console, heading: str, text: str) -> None:
    lines = textwrap.wrap(text, max(40, min(console.width, READABLE_WIDTH) - 10))
    for place, line in enumerate(lines):
        console.print(Text(f"  {heading if place == 0 else '':<6}  {line}"))


def power_table(plan: PlanView) -> Table:
    """What so many pairs can show, for three assumed spreads."""
    table = _table("What it can show, before anything is spent")
    headings = ["pairs", "smallest p", "if a pair's sd is", "interval", "suggests from", "confirms from"]
    for heading in (*headings, *(f"pairs to confirm {effect:g}" for effect in plan.expected_effects)):
        # Headings may wrap in a narrow terminal; the numbers below are short.
        table.add_column(heading, justify="right")
    for place, forecast in enumerate((*plan.power, *plan.power_of_equal_pairs)):
        half_width = MISSING if forecast.half_width is None else f"± {forecast.half_width:.2f}"
        table.add_row(
            f"{forecast.num_pairs}{' fixed' if place >= len(plan.power) else ''}",
            # A t test has none.
            f"{forecast.p_floor:.3g}" if forecast.p_floor else MISSING,
            f"{forecast.assumed_sd:g}",
            half_width,
            fixed(forecast.detectable_effect, 2),
            "never" if forecast.confirmable_effect is None else f"{forecast.confirmable_effect:.2f}",
            *(f"{pairs:,}" if pairs is not None else "> 1,000,000" for pairs in forecast.pairs_to_confirm),
        )
    rows = plan.power[0].num_comparisons if plan.power else 0
    unit = f"sd, interval and effects in {plan.unit}; " if plan.unit else ""
    table.caption = (
        f"{unit}smallest true effects whose interval excludes 0, and that p confirms after correction for "
        f"{rows} {'row' if rows == 1 else 'rows'}, in 80 % of repetitions"
        + ("; fixed: as many pairs in every row, in place of by variance" if plan.power_of_equal_pairs else "")
    )
    return table


def experiment_table(views: Iterable[ExperimentView]) -> Table:
    """One line for each experiment."""
    table = _table(None)
    headings = ("id", "name", "status", "pairs", "trials", "submitted (UTC)")
    rows = [
        (
            view.id,
            view.name,
            view.status.value,
            f"{view.progress.pairs_complete}/{view.progress.pairs_total}",
            f"{view.progress.trials_done}/{view.progress.trials_total}",
            f"{view.created_at:%Y-%m-%d %H:%M}",
        )
        for view in views
    ]
    for heading, column in zip(headings, zip(headings, *rows, strict=True), strict=True):
        # In a narrow terminal only names are cut: everything else tells experiments of one name apart.
        is_name = heading == "name"
        table.add_column(
            heading, no_wrap=not is_name, overflow="ellipsis", min_width=8 if is_name else max(map(len, column))
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def news_of(view: ExperimentView) -> str:
    """Why an experiment does not move, or when it will end, in a line (empty: it has ended, or nothing is known)."""
    if view.status.is_final:
        return ""
    if view.expected_end_at is not None and not view.reason:
        return f"ends {_near(view.expected_end_at)} (estimate)"
    return view.reason.partition("\n")[0]


def _near(moment: datetime) -> str:
    """A moment that is close, as both a span and a time."""
    minutes = max(0.0, (moment - datetime.now(UTC)).total_seconds() / 60)
    if minutes < 1.5:
        span = "in about a minute"
    elif minutes < 90:
        span = f"in about {minutes:.0f} minutes"
    else:
        span = f"in about {minutes / 60:.0f} hours" if minutes < 48 * 60 else f"in about {minutes / 1440:.0f} days"
    return f"{span}, {moment:%Y-%m-%d %H:%M} UTC"


def print_experiment(console: Console, view: ExperimentView) -> None:
    """One experiment with its conditions."""
    progress = view.progress
    reason = f" ({view.reason})" if view.reason else ""
    console.print(Text.assemble((view.name, "bold"), f"  {view.id}  {view.status.value}{reason}"))
    if view.question:
        console.print(Text(f"  {view.question}"))
    print_data_found(console, view.data_found)
    console.print(f"  pairs   {progress.pairs_complete} of {progress.pairs_total} complete")
    reused = f", {progress.trials_reused} of them reused" if progress.trials_reused else ""
    failed = f", {progress.trials_failed} failed" if progress.trials_failed else ""
    running = f", {progress.trials_running} training now" if progress.trials_running else ""
    console.print(f"  trials  {progress.trials_done} of {progress.trials_total} done{reused}{failed}{running}")
    if view.expected_end_at is not None:
        console.print(f"  ends    {_near(view.expected_end_at)}: {view.expected_end_basis}")
    console.print(f"  digest  {view.digest}")
    if view.mlflow_url:
        console.print(f"  MLflow  {view.mlflow_url}")
    for condition in view.conditions:
        mark = Text("  ok  " if condition.ok else "  !   ", style="green" if condition.ok else "yellow")
        console.print(mark + Text(f"{condition.type}: {condition.reason}"))


def _table(title: str | None) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )


def fixed(value: float | None, decimals: int, sign: str = "") -> str:
    """`51.2`, with a sign `+7.2`; 0 has none; a dash for a value that is not there."""
    if value is None:
        return MISSING
    rounded = round(value, decimals) + 0.0
    return f"{rounded:{sign if rounded else ''}.{decimals}f}"


def _counted(values: Sequence[str], noun: str) -> str:
    return f"{counted(len(values), noun)} ({_listed(values)})"


def _cells(cells: Sequence[Cell]) -> str:
    if len(cells) == 1:
        return f"{cells[0].model} on {cells[0].dataset}"
    models, datasets = (
        list(dict.fromkeys(names)) for names in zip(*((c.model, c.dataset) for c in cells), strict=True)
    )
    return f"{len(cells)} = {_counted(models, 'model')} x {_counted(datasets, 'data set')}"


def _listed(values: Sequence[object], most: int = 12) -> str:
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown}, ... ({len(values)} in all)"
