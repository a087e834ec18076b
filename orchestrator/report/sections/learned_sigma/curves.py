"""Learned sigma and amplitude, by cell, arm and layer, over epochs and seeds."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from orchestrator.report.content.curves import BiasSeries, SeedCurve
from orchestrator.report.content.report import TrialRecord
from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase, TrialStatus
from trainers.models.bias import AttentionBias
from trainers.result import TrialResult

_KEY = re.compile(r"(?P<quantity>sigma|amplitude)/(?P<layer>\d+)(?:_head(?P<head>\d+))?")


class _Group(NamedTuple):
    cell: Cell
    arm: str
    quantity: Literal["sigma", "amplitude"]
    layer: int
    head: int | None


class _Curve(NamedTuple):
    bias: AttentionBias
    initial: float
    token_px: int | None
    curve: SeedCurve


def bias_series(trials: Iterable[TrialRecord]) -> tuple[BiasSeries, ...]:
    """One series per cell, arm, quantity, layer and head of the succeeded confirm trials, in this order."""
    groups: dict[tuple[str, ...], list[_Curve]] = defaultdict(list)
    keys: dict[tuple[str, ...], _Group] = {}
    for trial in trials:
        for group, curve in _curves(trial):
            name = (group.cell.key, *(str(part) for part in group[1:]))
            keys[name] = group
            groups[name].append(curve)
    return tuple(_series(keys[name], curves) for name, curves in groups.items())


def _curves(trial: TrialRecord) -> Iterable[tuple[_Group, _Curve]]:
    bias = trial.config.attention_bias
    if trial.phase is not Phase.CONFIRM or trial.status is not TrialStatus.SUCCEEDED or trial.result is None:
        return
    if bias.is_none or not trial.result.epochs:
        return
    for key in sorted(trial.result.epochs[0].metrics, key=lambda key: (not key.startswith("sigma"), key)):
        match = _KEY.fullmatch(key)
        if match is None:
            continue
        head = match["head"]
        group = _Group(
            cell=trial.cell,
            arm=trial.arm,
            quantity="sigma" if match["quantity"] == "sigma" else "amplitude",
            layer=int(match["layer"]),
            head=None if head is None else int(head),
        )
        values = tuple(report.metrics[key] for report in trial.result.epochs)
        sides = trial.result.token_sides_px
        token_px = sides[group.layer] if group.layer < len(sides) else None
        curve = SeedCurve(seed=trial.seed, values=values)
        yield group, _Curve(bias, _initial(trial.result, bias, key), token_px, curve)


def _initial(result: TrialResult, bias: AttentionBias, key: str) -> float:
    """What the trial has kept; of one that was stored before, what its config says."""
    told = None if key in result.initial_bias else bias.starts_at(key.partition("/")[0])
    return result.initial_bias[key] if told is None else told


def _series(group: _Group, curves: Sequence[_Curve]) -> BiasSeries:
    finals = [each.curve.values[-1] for each in curves]
    sides = {each.token_px for each in curves}
    # zip ends at the shortest curve: a searched number of epochs may differ between cells, never within one.
    by_epoch = zip(*(each.curve.values for each in curves), strict=False)
    return BiasSeries(
        cell=group.cell,
        arm=group.arm,
        quantity=group.quantity,
        layer=group.layer,
        head=group.head,
        is_learned=all(each.bias.learns(group.quantity) for each in curves),
        token_px=sides.pop() if len(sides) == 1 else None,
        initial=statistics.fmean(each.initial for each in curves),
        final_mean=statistics.fmean(finals),
        final_sd=statistics.stdev(finals) if len(finals) > 1 else None,
        mean_by_epoch=tuple(statistics.fmean(values) for values in by_epoch),
        seeds=tuple(each.curve for each in curves),
    )
