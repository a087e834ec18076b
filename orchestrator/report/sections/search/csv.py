"""The search phase, whole, as CSV."""

import json

from orchestrator.report.content.report import Report
from orchestrator.report.words.csv_text import csv_text
from orchestrator.search.space import Params

_SEED_FIELDS = (
    "is_chosen",
    "seed",
    "status",
    "metric",
    "value",
    "candidate_mean",
    "candidate_sd",
    "reused_from",
    "error",
)


def searches_to_csv(report: Report) -> str:
    """The whole history: one row per training, candidates in order of proposal, every searched path as a column."""
    paths = sorted({path for search in report.searches for path in search.space})
    rows = []
    for search in report.searches:
        for candidate in sorted(search.candidates, key=lambda each: each.number):
            place = [search.cell.model, search.cell.dataset, search.arm, search.algorithm, candidate.number + 1]
            point = [_csv_value(candidate.params, path) for path in paths]
            for seed in candidate.seeds:
                result = [candidate.is_chosen, seed.seed, seed.status.value, search.metric, seed.value]
                rest = [candidate.score, candidate.score_sd, seed.reused_from, seed.error]
                rows.append([*place, *point, *result, *rest])
    return csv_text(["model", "dataset", "arm", "algorithm", "candidate", *paths, *_SEED_FIELDS], rows)


def _csv_value(params: Params, path: str) -> str | float | None:
    value = params.get(path)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    return "" if path not in params else json.dumps(value, sort_keys=True)
