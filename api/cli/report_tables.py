"""What a report looks like in a terminal: its numbers are never cut, however narrow it is."""

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from api.cli.fitted_table import Column, FittedTable, fit_table
from api.cli.intervals import Interval, draw_intervals
from api.cli.readings import FieldLevel, LearnedBias, LearnedPosition, ReceptiveFields, ReportReading
from api.cli.tables import READABLE_WIDTH, fixed
from orchestrator.arm_labels import arm_labels, labelled
from orchestrator.statistics.comparison import SUGGESTIVE_MEANS, Cell, Comparison, Verdict, simultaneous_means
from orchestrator.statistics.p_text import p_text
from trainers.counted import counted

MISSING = "-"
DRAWN = "┊ = no effect"
"""Heading of the drawn intervals."""
_VERDICT_STYLES = {
    Verdict.IMPROVED: "bold green",
    Verdict.WORSE: "bold red",
    Verdict.LARGER: "bold",
    Verdict.SMALLER: "bold",
    # Neither bold nor green: it claims nothing.
    Verdict.SUGGESTIVE: "magenta",
    Verdict.EQUIVALENT: "bold blue",
    Verdict.INCONCLUSIVE: "yellow",
}


def print_report(console: Console, report: ReportReading) -> None:
    """Comparisons, learned sigma, what is missing, the answer in words."""
    report = labelled(report, arm_labels(report.arms))
    width = console.width
    tables = [comparison_table(report, width)]
    if DRAWN in tables[0].left_out:
        tables.append(interval_table(report, width))
    if report.bias:
        tables.append(sigma_table(report.bias, width))
    if report.position:
        tables.append(position_table(report.position, width))
    if report.receptive_fields and report.receptive_fields.levels:
        tables.append(field_table(report.receptive_fields, width))
    for table in tables:
        console.print()
        console.print(table.table)
        if unseen := [heading for heading in table.left_out if heading != DRAWN]:
            _note(console, f"no room for: {', '.join(unseen)}; a wider terminal or --format markdown shows them")
        if table.note:
            _note(console, table.note)
    _print_notes(console, report)
    found = report.experiment.data_found
    _print_sentences(console, "Data", [f"{name}: {line}" for name, line in found.items()])
    _print_sentences(console, "Caveats", report.caveats)
    _print_sentences(console, "Answer", (*report.answers, *report.remarks))


def _note(console: Console, text: str) -> None:
    console.print(Text(text, style="dim"))


def _print_notes(console: Console, report: ReportReading) -> None:
    if report.num_pending:
        console.print()
        _note(console, f"not yet: {counted(report.num_pending, 'trial has', 'trials have')} not ended")
    for excluded in report.exclusions:
        where = f"{excluded.cell.key}/{excluded.arm}/seed{excluded.seed}"
        console.print(Text(f"left out: {where} ({excluded.status}): {excluded.reason}", style="yellow"))


def comparison_table(report: ReportReading, width: int) -> FittedTable:
    """Control, treatment, effect, interval, p and verdict, one line for each cell and treatment.

    Effect, interval and verdict are always there.
    """
    all_pairs = [_pairs(comparison) for comparison in report.comparisons]
    # A column that says the same in every line is not a column.
    same = all_pairs[0] if len(set(all_pairs)) == 1 else None
    pairs = f"{same} pair{'' if same == '1' else 's'}" if same else "pairs"
    level = "%" if report.unit == "pp" else report.unit
    title = f"{report.metric}: treatment - control, {pairs} of the same seed"
    if report.unit:
        title = f"{report.metric} ({level}): treatment - control ({report.unit}), {pairs} of the same seed"
    is_over = report.experiment.status.is_final
    rows = [
        (
            fixed(each.control_mean, report.decimals),
            fixed(each.treatment_mean, report.decimals),
            fixed(each.effect, report.decimals, sign="+"),
            _interval_text(each, report.decimals),
            each.simultaneous_text(lambda end: f"{end:+.{report.decimals}f}") or MISSING,
            p_text(each.p_holm, level=each.level),
        )
        for each in report.comparisons
    ]
    control, treatment, effect, interval, simultaneous, p_holm = zip(*rows, strict=True) if rows else ((),) * 6
    verdicts = [
        Text(
            each.verdict_text(is_over=is_over, is_repeated=report.is_repeated(each)),
            style=_VERDICT_STYLES[each.verdict],
        )
        for each in report.comparisons
    ]
    columns = [
        _names("arm", [each.treatment for each in report.comparisons]),
        *([] if same else [Column("n", all_pairs)]),
        Column("control", control, left_out=3),
        Column("treatment", treatment, left_out=1),
        Column("effect", effect),
        Column(f"{100 * report.confidence:g} % interval", interval),
        Column("simultaneous", simultaneous, left_out=4),
        Column(DRAWN, _drawings(report), is_number=False, left_out=0),
        Column("p Holm", p_holm, left_out=2),
        Column("verdict", verdicts, is_number=False),
    ]
    table = fit_table(title, columns, width, _cells([each.cell for each in report.comparisons]))
    notes = [SUGGESTIVE_MEANS] if any(each.verdict is Verdict.SUGGESTIVE for each in report.comparisons) else []
    if "simultaneous" not in table.left_out:
        notes.append(simultaneous_means(len(report.comparisons)))
    return table._replace(note="\n".join(notes))


def interval_table(report: ReportReading, width: int) -> FittedTable:
    """The intervals alone, drawn on one scale, for a narrow terminal."""
    columns = [
        _names("arm", [each.treatment for each in report.comparisons]),
        Column(f"interval; {DRAWN}", _drawings(report), is_number=False),
    ]
    return fit_table("", columns, width, _cells([each.cell for each in report.comparisons]))


def _drawings(report: ReportReading) -> list[str]:
    return draw_intervals([_interval(comparison) for comparison in report.comparisons])


def _interval(comparison: Comparison) -> Interval | None:
    if comparison.ci_low is None or comparison.effect is None or comparison.ci_high is None:
        return None
    return Interval(comparison.ci_low, comparison.effect, comparison.ci_high)


def _pairs(comparison: Comparison) -> str:
    if comparison.num_pairs == comparison.num_planned_pairs:
        return str(comparison.num_pairs)
    return f"{comparison.num_pairs} of {comparison.num_planned_pairs}"


def _interval_text(comparison: Comparison, decimals: int) -> str:
    if comparison.ci_low is None or comparison.ci_high is None:
        return MISSING
    return f"[{comparison.ci_low:+.{decimals}f}, {comparison.ci_high:+.{decimals}f}]"


def sigma_table(bias: Sequence[LearnedBias], width: int) -> FittedTable:
    """Sigma of every layer, initial -> final, one line for each cell and arm."""
    sigmas = [entry for entry in bias if entry.quantity == "sigma"]
    layers = [str(each.layer) if each.head is None else f"{each.layer}, head {each.head}" for each in sigmas]
    rows = [(each.cell, each.arm) for each in sigmas]
    columns = [
        _names("arm", ["" if i and rows[i - 1] == row else row[1] for i, row in enumerate(rows)]),
        Column("layer", layers, is_number=False),
        Column("sigma", [_change(entry) for entry in sigmas], is_number=False),
    ]
    title = "Learned sigma by layer, in tokens: initial → last epoch, mean ± sd over seeds"
    return fit_table(title, columns, width, _cells([entry.cell for entry in sigmas]))


def _change(entry: LearnedBias) -> str:
    if not entry.is_learned:
        return f"{entry.initial:.2f} (fixed)"
    spread = "" if entry.final_sd is None else f" ± {entry.final_sd:.2f}"
    return f"{entry.initial:.2f} → {entry.final_mean:.2f}{spread}"


def position_table(position: Sequence[LearnedPosition], width: int) -> FittedTable:
    """Do the layers' own position embeddings look like Gaussians? One line per cell and arm, R² by layer."""
    own = [entry for entry in position if entry.part != "sum"]
    found: dict[tuple[Cell, str], list[str]] = {}
    for entry in own:
        found.setdefault((entry.cell, entry.arm), []).append(_explained(entry))
    columns = [
        _names("arm", [arm for _, arm in found]),
        Column("layer: R²", [_in_lines(layers) for layers in found.values()], is_number=False),
    ]
    is_marked = any("*" in layer for layers in found.values() for layer in layers)
    mark = " (*: a Gaussian in every seed)" if is_marked else ""
    title = f"Gaussian fitted to the learned position embeddings themselves: mean R² by layer{mark}"
    return fit_table(title, columns, width, _cells([cell for cell, _ in found]))


def _in_lines(layers: Sequence[str], most: int = 4) -> str:
    return "\n".join("  ".join(layers[start : start + most]) for start in range(0, len(layers), most))


def _explained(entry: LearnedPosition) -> str:
    layer = "all" if entry.layer is None else str(entry.layer)
    if entry.r_squared_mean is None:
        return f"{layer}: nothing learned"
    return f"{layer}: {entry.r_squared_mean:.2f}{'*' if entry.num_gaussian == entry.num_seeds else ''}"


def field_table(fields: ReceptiveFields, width: int) -> FittedTable:
    """How wide and how Gaussian, one line for each cell and arm."""
    is_trained = any(level.initial_mean is not None for level in fields.levels)
    found: dict[tuple[Cell, str], dict[str, str]] = {}
    for level in fields.levels:
        found.setdefault((level.cell, level.arm), {})[level.metric] = _level(level)
    columns = [_names("arm", [arm for _, arm in found])]
    for name, heading in (("rms_radius_tokens", "rms radius (tokens)"), ("r_squared", "R² of each seed's fit")):
        columns.append(Column(heading, [row.get(name, MISSING) for row in found.values()], is_number=False))
    title = f"Receptive fields: {'before training → after, ' if is_trained else ''}mean ± sd over seeds"
    note = ""
    if fields.unreadable:
        count = f"{len(fields.unreadable)} {'trial' if len(fields.unreadable) == 1 else 'trials'}"
        note = f"receptive fields of {count} are in no mean map and in no picture: they can't be read"
    return fit_table(title, columns, width, _cells([cell for cell, _ in found]))._replace(note=note)


def _level(level: FieldLevel) -> str:
    final = fixed(level.final_mean, 2)
    if level.final_sd is not None:
        final += f" ± {level.final_sd:.2f}"
    return final if level.initial_mean is None else f"{level.initial_mean:.2f} → {final}"


def _names(heading: str, names: Sequence[str]) -> Column:
    return Column(heading, names, is_number=False, is_name=True)


def _cells(cells: Sequence[Cell]) -> Column | None:
    """The rows' models and data sets, if there are several."""
    return _names("cell", [cell.key for cell in cells]) if len(set(cells)) > 1 else None


def _print_sentences(console: Console, title: str, sentences: Sequence[str]) -> None:
    if not sentences:
        return
    console.print()
    console.print(Text(title, style="bold"))
    for sentence in sentences:
        # Each begins at its own margin, and names stay whole, however long: people copy them.
        lines = textwrap.wrap(
            sentence,
            min(console.width, READABLE_WIDTH),
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines:
            console.print(Text(line), soft_wrap=True)
