"""What a finished experiment and a plan look like in a terminal."""

import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.intervals import Interval, draw_intervals
from api.cli.readings import FieldLevel, LearnedBias, LearnedPosition, ReceptiveFields, ReportReading
from api.views import PlanView
from orchestrator.service.views import ExperimentView
from orchestrator.statistics.comparison import INTERVAL_ALONE, Cell, Comparison, Verdict

MISSING = "-"
DRAWING_BESIDE_COLUMNS = 112
"""Width of a terminal that holds the drawn intervals beside the numbers."""
_READABLE_WIDTH = 100
"""Sentences run no longer, however wide the terminal is."""
_VERDICT_STYLES = {
    Verdict.IMPROVED: "bold green",
    Verdict.WORSE: "bold red",
    Verdict.LARGER: "bold",
    Verdict.SMALLER: "bold",
    Verdict.EQUIVALENT: "bold blue",
    Verdict.INCONCLUSIVE: "yellow",
}


def print_report(console: Console, report: ReportReading) -> None:
    """Comparisons, learned sigma, what is missing, the answer in words."""
    console.print()
    is_wide = console.width >= DRAWING_BESIDE_COLUMNS
    console.print(comparison_table(report, is_drawn=is_wide))
    if not is_wide:
        console.print()
        console.print(interval_table(report))
    if report.bias:
        console.print()
        console.print(sigma_table(report.bias))
    if report.position:
        console.print()
        console.print(position_table(report.position))
    if report.receptive_fields and report.receptive_fields.levels:
        console.print()
        console.print(field_table(report.receptive_fields))
    if report.num_pending:
        console.print()
        console.print(Text(f"not yet: {report.num_pending} trials have not ended", style="dim"))
    for excluded in report.exclusions:
        where = f"{excluded.cell.key}/{excluded.arm}/seed{excluded.seed}"
        console.print(Text(f"left out: {where} ({excluded.status}): {excluded.reason}", style="yellow"))
    _print_sentences(console, "Caveats", report.caveats)
    _print_sentences(console, "Answer", (*report.answers, *report.remarks))


def comparison_table(report: ReportReading, *, is_drawn: bool) -> Table:
    """Control, treatment, effect, interval, p and verdict, one line for each cell and treatment."""
    level = "%" if report.unit == "pp" else report.unit
    title = f"{report.metric}: treatment - control, pairs of the same seed"
    if report.unit:
        title = f"{report.metric} ({level}): treatment - control ({report.unit}), pairs of the same seed"
    table = _table(title)
    several = len({comparison.cell.key for comparison in report.comparisons}) > 1
    if several:
        table.add_column("cell", no_wrap=True)
    table.add_column("arm", no_wrap=True)
    for heading in ("n", "control", "treatment", "effect", f"{100 * report.confidence:g} % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    if is_drawn:
        table.add_column("┊ = no effect", no_wrap=True)
    table.add_column("p Holm", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for comparison, drawing in zip(report.comparisons, _drawings(report), strict=True):
        first = (comparison.cell.key,) if several else ()
        drawn = (drawing,) if is_drawn else ()
        table.add_row(
            *first,
            *_numbers(comparison, report.decimals),
            *drawn,
            *_judgement(comparison, is_over=report.experiment.status.is_final),
        )
    if any(comparison.rests_on_interval_alone for comparison in report.comparisons):
        table.caption = INTERVAL_ALONE
        table.caption_justify = "left"
    return table


def interval_table(report: ReportReading) -> Table:
    """The intervals alone, drawn on one scale, for a narrow terminal."""
    table = _table(None)
    table.add_column("arm", no_wrap=True)
    table.add_column("interval; ┊ = no effect", no_wrap=True)
    for comparison, drawing in zip(report.comparisons, _drawings(report), strict=True):
        table.add_row(comparison.treatment, drawing)
    return table


def _drawings(report: ReportReading) -> list[str]:
    return draw_intervals([_interval(comparison) for comparison in report.comparisons])


def _interval(comparison: Comparison) -> Interval | None:
    if comparison.ci_low is None or comparison.effect is None or comparison.ci_high is None:
        return None
    return Interval(comparison.ci_low, comparison.effect, comparison.ci_high)


def _numbers(comparison: Comparison, decimals: int) -> tuple[str, ...]:
    pairs = str(comparison.num_pairs)
    if comparison.num_pairs != comparison.num_planned_pairs:
        pairs += f" of {comparison.num_planned_pairs}"
    interval = MISSING
    if comparison.ci_low is not None and comparison.ci_high is not None:
        interval = f"[{comparison.ci_low:+.{decimals}f}, {comparison.ci_high:+.{decimals}f}]"
    return (
        comparison.treatment,
        pairs,
        _fixed(comparison.control_mean, decimals),
        _fixed(comparison.treatment_mean, decimals),
        _fixed(comparison.effect, decimals, sign="+"),
        # Square brackets would be taken for markup.
        interval.replace("[", r"\["),
    )


def _judgement(comparison: Comparison, *, is_over: bool) -> tuple[str, Text]:
    verdict = Text(comparison.verdict_text(is_over=is_over), style=_VERDICT_STYLES[comparison.verdict])
    return MISSING if comparison.p_holm is None else f"{comparison.p_holm:.3f}", verdict


def sigma_table(bias: Sequence[LearnedBias]) -> Table:
    """Sigma of every layer, initial -> final, one line for each cell and arm."""
    sigmas = [entry for entry in bias if entry.quantity == "sigma"]
    table = _table("Learned sigma by layer, in tokens: initial → last epoch, mean ± sd over seeds")
    several = len({entry.cell.key for entry in sigmas}) > 1
    if several:
        table.add_column("cell", no_wrap=True)
    for heading in ("arm", "layer", "sigma"):
        table.add_column(heading, no_wrap=True)
    for (cell, arm), entries in groupby(sigmas, key=lambda entry: (entry.cell.key, entry.arm)):
        for index, entry in enumerate(entries):
            first = (cell if index == 0 else "",) if several else ()
            layer = str(entry.layer) if entry.head is None else f"{entry.layer}, head {entry.head}"
            table.add_row(*first, arm if index == 0 else "", layer, _change(entry))
    return table


def _change(entry: LearnedBias) -> str:
    if not entry.is_learned:
        return f"{entry.initial:.2f} (fixed)"
    spread = "" if entry.final_sd is None else f" ± {entry.final_sd:.2f}"
    return f"{entry.initial:.2f} → {entry.final_mean:.2f}{spread}"


def position_table(position: Sequence[LearnedPosition]) -> Table:
    """Do the layers' own position embeddings look like Gaussians? One line per cell and arm, R² by layer."""
    own = [entry for entry in position if entry.part != "sum"]
    table = _table("Gaussian fitted to the learned position embeddings themselves: mean R² by layer (* in every seed)")
    several = len({entry.cell.key for entry in own}) > 1
    if several:
        table.add_column("cell", no_wrap=True)
    table.add_column("arm", no_wrap=True)
    table.add_column("layer: R²")
    for (cell, arm), entries in groupby(own, key=lambda entry: (entry.cell.key, entry.arm)):
        table.add_row(*((cell,) if several else ()), arm, "  ".join(map(_explained, entries)))
    return table


def _explained(entry: LearnedPosition) -> str:
    layer = "all" if entry.layer is None else str(entry.layer)
    if entry.r_squared_mean is None:
        return f"{layer}: nothing learned"
    return f"{layer}: {entry.r_squared_mean:.2f}{'*' if entry.num_gaussian == entry.num_seeds else ''}"


def field_table(fields: ReceptiveFields) -> Table:
    """How wide and how Gaussian, one line for each cell and arm."""
    is_trained = any(level.initial_mean is not None for level in fields.levels)
    table = _table(f"Receptive fields: {'before training → after, ' if is_trained else ''}mean ± sd over seeds")
    several = len({level.cell.key for level in fields.levels}) > 1
    if several:
        table.add_column("cell", no_wrap=True)
    for heading in ("arm", "rms radius (tokens)", "R² of the Gaussian"):
        table.add_column(heading, no_wrap=True)
    for (cell, arm), entries in groupby(fields.levels, key=lambda level: (level.cell.key, level.arm)):
        found = {level.metric: _level(level) for level in entries}
        shown = (found.get(name, MISSING) for name in ("rms_radius_tokens", "r_squared"))
        table.add_row(*((cell,) if several else ()), arm, *shown)
    if fields.unreadable:
        table.caption = f"maps of {len(fields.unreadable)} trials can't be read and are in no picture"
        table.caption_justify = "left"
    return table


def _level(level: FieldLevel) -> str:
    final = _fixed(level.final_mean, 2)
    if level.final_sd is not None:
        final += f" ± {level.final_sd:.2f}"
    return final if level.initial_mean is None else f"{level.initial_mean:.2f} → {final}"


def print_plan(console: Console, plan: PlanView) -> None:
    """What will run, what it takes, what it can show."""
    num_pairs = len(plan.cells) * len(plan.treatments) * len(plan.seeds)
    arms = ", ".join((f"{plan.control} (control)", *plan.treatments))
    console.print(Text.assemble(("Plan ", "bold"), f"{plan.spec_name}, digest {plan.digest}"))
    console.print(f"  cells   {_cells(plan.cells)}")
    console.print(f"  arms    {arms}")
    console.print(f"  seeds   {_listed(plan.seeds)}")
    trials = f"{plan.num_confirm_trials} trials make {num_pairs} pairs"
    if plan.num_search_trials:
        trials += f"; before that at most {plan.num_search_trials} search trials"
    if plan.num_reusable:
        trials += f"; {plan.num_reusable} are finished already and will be reused"
    console.print(f"  trials  {trials}")
    hours = " and ".join(
        f"{_rounded(amount)} {kind} hours" if amount >= 0.01 else f"{_rounded(3600 * amount)} {kind} seconds"
        for amount, kind in ((plan.cost.cpu_hours, "CPU core"), (plan.cost.gpu_hours, "GPU"))
        if amount
    )
    time_needed = hours or ("time unknown" if plan.cost.num_trials else "no time")
    for heading, text in (
        ("cost", f"{plan.cost.num_trials} trainings, {time_needed}"),
        ("", f"({plan.cost.basis}; the start of Ray and of each trial's process comes on top)"),
    ):
        lines = textwrap.fill(text, max(40, min(console.width, _READABLE_WIDTH) - 10)).splitlines()
        for place, line in enumerate(lines):
            console.print(Text(f"  {heading if place == 0 else '':<6}  {line}"))
    console.print()
    console.print(power_table(plan))
    for warning in plan.warnings:
        console.print(Text(f"note: {warning}", style="yellow"))


def power_table(plan: PlanView) -> Table:
    """What so many pairs can show, for three assumed spreads."""
    table = _table("What it can show, before anything is spent")
    headings = ["pairs", "smallest p", "if the sd of a pair is", "interval", "80 % power for"]
    for heading in (*headings, *(f"pairs for {effect:g}" for effect in plan.expected_effects)):
        # Headings may wrap in a narrow terminal; the numbers below are short.
        table.add_column(heading, justify="right")
    for forecast in plan.power:
        half_width = MISSING if forecast.half_width is None else f"± {forecast.half_width:.2f}"
        table.add_row(
            str(forecast.num_pairs),
            f"{forecast.p_floor:.3g}",
            f"{forecast.assumed_sd:g}",
            half_width,
            _fixed(forecast.detectable_effect, 2),
            *(f"{pairs:,}" if pairs is not None else "> 1,000,000" for pairs in forecast.pairs_needed),
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
        table.add_row(*row)
    return table


def print_experiment(console: Console, view: ExperimentView) -> None:
    """One experiment with its conditions."""
    progress = view.progress
    reason = f" ({view.reason})" if view.reason else ""
    console.print(Text.assemble((view.name, "bold"), f"  {view.id}  {view.status.value}{reason}"))
    if view.question:
        console.print(Text(f"  {view.question}"))
    console.print(f"  pairs   {progress.pairs_complete} of {progress.pairs_total} complete")
    reused = f", {progress.trials_reused} of them reused" if progress.trials_reused else ""
    failed = f", {progress.trials_failed} failed" if progress.trials_failed else ""
    running = f", {progress.trials_running} training now" if progress.trials_running else ""
    console.print(f"  trials  {progress.trials_done} of {progress.trials_total} done{reused}{failed}{running}")
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


def _print_sentences(console: Console, title: str, sentences: Sequence[str]) -> None:
    if not sentences:
        return
    console.print()
    console.print(Text(title, style="bold"))
    for sentence in sentences:
        console.print(Text(f"  {sentence}"), soft_wrap=False)


def _fixed(value: float | None, decimals: int, sign: str = "") -> str:
    return MISSING if value is None else f"{value:{sign}.{decimals}f}"


def _rounded(amount: float) -> str:
    """Two digits, without an exponent."""
    return f"{float(f'{amount:.2g}'):,.10g}"


def _counted(values: Sequence[str], noun: str) -> str:
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'} ({_listed(values)})"


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
