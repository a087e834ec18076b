"""The search phase as tables of text."""

import json

from orchestrator.report.content.report import Report
from orchestrator.report.content.search import ControlLevel, SearchSummary
from orchestrator.report.words.numbers import fixed, interval, level_unit, mean_sd, params_text
from orchestrator.report.words.table import Table
from orchestrator.search.space import Choice, Distribution
from orchestrator.statistics.interval import half_width_of
from orchestrator.statistics.metric import metric_named
from trainers.counted import counted

_MAX_SHOWN = 20
"""Candidates of one search in a table; the CSV has all."""


def search_overview(report: Report) -> Table:
    """What each search did and chose."""
    return Table(
        title="Searches (validation split only; never the claim)",
        columns=(
            "model",
            "data set",
            "arm",
            "algorithm",
            "early stopping",
            "chosen",
            "importance",
            "candidates",
            "seeds each",
            "trials",
            "failed or stopped",
            "reused",
        ),
        num_text_columns=7,
        rows=[_overview_row(search) for search in report.searches],
    )


def _overview_row(search: SearchSummary) -> tuple[str, ...]:
    seeds = [seed for candidate in search.candidates for seed in candidate.seeds]
    tried = str(len(search.candidates))
    return (
        search.cell.model,
        search.cell.dataset,
        search.arm,
        search.algorithm,
        search.early_stopping,
        "not yet" if search.chosen is None else params_text(dict(search.chosen)),
        importance_text(search),
        tried if len(search.candidates) == search.num_planned else f"{tried} of {search.num_planned}",
        str(len(search.seeds)),
        str(len(seeds)),
        str(sum(candidate.num_failed for candidate in search.candidates)),
        str(sum(seed.reused_from is not None for seed in seeds)),
    )


def chosen_table(report: Report) -> Table:
    """What was searched, how, and what came of it: for an appendix."""
    return Table(
        title="Searched params",
        columns=("searched", "how", "chosen on validation"),
        num_text_columns=3,
        rows=[
            (
                f"{search.arm} in {search.cell.key}: {', '.join(map(_range_text, search.space.items()))}",
                f"{search.algorithm}, {counted(search.num_planned, 'candidate')} x {counted(len(search.seeds), 'seed')}"
                + ("" if search.early_stopping == "none" else f", {search.early_stopping}"),
                "not yet" if search.chosen is None else params_text(dict(search.chosen)),
            )
            for search in report.searches
        ],
    )


def _range_text(searched: tuple[str, Distribution]) -> str:
    path, distribution = searched
    if isinstance(distribution, Choice):
        return f"{path} of {', '.join(json.dumps(value, sort_keys=True) for value in distribution.values)}"
    return f"{path} from {distribution.low:g} to {distribution.high:g} ({distribution.kind.replace('_', ' ')})"


def importance_text(search: SearchSummary) -> str:
    """`optimization.optimizer.lr 81 %, attention_bias.sigma 19 %`."""
    return ", ".join(f"{path} {100 * share:.0f} %" for path, share in search.importance.items())


def search_table(report: Report) -> Table:
    """What each search tried, best first."""
    metric = report.searches[0].metric if report.searches else report.metric
    shown = metric_named(metric)
    unit, scale = shown.unit, shown.scale
    level = f" ({level_unit(unit)})" if unit else ""
    rows = []
    for search in report.searches:
        for candidate in search.candidates[:_MAX_SHOWN]:
            mean = None if candidate.score is None else scale * candidate.score
            sd = None if candidate.score_sd is None else scale * candidate.score_sd
            rows.append(
                (
                    search.cell.model,
                    search.cell.dataset,
                    search.arm,
                    params_text(dict(candidate.params)),
                    "chosen" if candidate.is_chosen else "",
                    str(candidate.number + 1),
                    str(candidate.num_seeds),
                    str(candidate.num_failed),
                    mean_sd(mean, sd, report.decimals),
                )
            )
        num_hidden = len(search.candidates) - _MAX_SHOWN
        if num_hidden > 0:
            more = f"... and {num_hidden} more (search.csv has all)"
            rows.append((search.cell.model, search.cell.dataset, search.arm, more, "", "", "", "", ""))
    return Table(
        title="Candidates, best first",
        columns=("model", "data set", "arm", "params", "chosen", "tried as", "seeds", "failed", f"{metric}{level}"),
        num_text_columns=5,
        rows=rows,
    )


def interval_of_level(mean: float, sd: float | None, num_seeds: int, confidence: float) -> tuple[float, float] | None:
    """The t interval over seeds of a mean (`None`: one seed has none, nor have seeds that are all equal)."""
    if not sd or num_seeds < 2:
        return None
    half_width = half_width_of(sd, num_seeds, confidence)
    return mean - half_width, mean + half_width


def control_words(level: ControlLevel, name: str, metric: str, decimals: int, confidence: float) -> str:
    """Which trials the control's level in a picture comes from."""
    scale = metric_named(metric).scale
    text = fixed(scale * level.mean, decimals)
    found = interval_of_level(level.mean, level.sd, level.num_seeds, confidence)
    if found is not None:
        text += f" {interval(scale * found[0], scale * found[1], decimals)}"
    seeds = counted(level.num_seeds, "seed")
    whose = "best of its own search" if level.source == "search" else "its confirm trials, not the search's seeds"
    return f"{name}: {text} ({whose}, {seeds})"
