"""From the trials' position biases to what a report shows of them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, get_args

import numpy as np

from orchestrator.report.content.position_bias import BiasView, BiasViews, TrialViews, ViewFit, ViewPart
from orchestrator.report.content.receptive_fields import Unreadable
from orchestrator.report.content.report import TrialRecord
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.interval import spread
from orchestrator.statistics.pairing import TrialKey
from orchestrator.status import Phase, TrialStatus
from trainers.analyses.bias_maps import VIEW_NAME

_PARTS: tuple[ViewPart, ...] = get_args(ViewPart)
_ORDER: dict[str, int] = {part: place for place, part in enumerate(_PARTS)}


class _Place(NamedTuple):
    """Sorts as a reader wants it: part, layer, query."""

    part: int
    layer: int
    query: tuple[int, int]


def bias_views_of(
    spec: ExperimentSpec,
    cells: Sequence[Cell],
    trials: Sequence[TrialRecord],
    stored: Mapping[TrialKey, TrialViews | str],
) -> BiasViews | None:
    """What every arm's query tokens see; `None` if no trial has a position bias.

    Args:
        spec: the question.
        cells: models x data sets, in the order of the spec.
        trials: every trial.
        stored: of every succeeded confirm trial with a position bias: its maps, or why they can't be read.
    """
    if not stored:
        return None
    done = [trial for trial in trials if trial.phase is Phase.CONFIRM and trial.status is TrialStatus.SUCCEEDED]
    means: list[BiasView] = []
    unreadable: list[Unreadable] = []
    for cell in cells:
        for arm in (spec.control, *spec.treatments):
            of_arm = [trial for trial in done if trial.cell == cell and trial.arm == arm.name]
            found: dict[int, TrialViews] = {}
            for trial in of_arm:
                views = stored.get((cell.key, arm.name, trial.seed))
                if isinstance(views, str):
                    unreadable.append(Unreadable(cell=cell, arm=arm.name, seed=trial.seed, reason=views))
                elif views is not None:
                    found[trial.seed] = views
            odd = _odd_ones(found)
            unreadable += [Unreadable(cell=cell, arm=arm.name, seed=seed, reason=odd[seed]) for seed in odd]
            alike = {seed: views for seed, views in found.items() if seed not in odd}
            means += mean_views(cell, arm.name, of_arm, alike)
    return BiasViews(means=tuple(means), unreadable=tuple(unreadable))


def _odd_ones(found: Mapping[int, TrialViews]) -> dict[int, str]:
    """Seeds whose maps are not of the shape that most have, and why no mean can be taken over them."""
    odd: dict[int, str] = {}
    for name in dict.fromkeys(name for views in found.values() for name in views):
        shapes = {seed: views[name].shape for seed, views in found.items() if name in views}
        [(usual, _)] = Counter(shapes.values()).most_common(1)
        odd |= {
            seed: f"its {name} has the shape {shape}, that of other seeds {usual}"
            for seed, shape in shapes.items()
            if shape != usual
        }
    return odd


def mean_views(
    cell: Cell, arm: str, trials: Sequence[TrialRecord], found: Mapping[int, TrialViews]
) -> Iterator[BiasView]:
    """The mean over seeds of every map of one arm, part by part, layer by layer.

    Args:
        cell: model and data set.
        arm: name of the arm.
        trials: its trials, whose fits belong to the maps.
        found: seed -> what that trial has stored; maps of one name have one shape.
    """
    by_place = {_place(name): name for views in found.values() for name in views}
    for place, name in sorted(by_place.items()):
        maps = {seed: np.atleast_3d(views[name]) for seed, views in sorted(found.items()) if name in views}
        if name.startswith("absolute"):
            maps = {seed: values.transpose(2, 0, 1) for seed, values in maps.items()}
        mean = np.mean(list(maps.values()), axis=0, dtype=np.float64)
        part, layer = _PARTS[place.part], None if place.layer < 0 else place.layer
        view = BiasView(
            cell=cell,
            arm=arm,
            part=part,
            layer=layer,
            query=place.query,
            shape=mean.shape,
            seeds=tuple(maps),
            fits=tuple(_fits([trial for trial in trials if trial.seed in maps], part, layer)),
            values=np.ascontiguousarray(mean).tobytes(),
        )
        # A relative embedding's fit is over displacements, alike from every query; an absolute one's is the middle's.
        yield view if part != "absolute" or view.is_central else view.model_copy(update={"fits": ()})


def _place(name: str) -> _Place:
    match = VIEW_NAME.fullmatch(name)
    assert match is not None, "only such names are read"
    part, layer = match["part"] or "absolute", match["layer"]
    return _Place(
        _ORDER[part],
        -1 if layer is None else int(layer),
        (int(match["row"]), int(match["column"])),
    )


def _fits(trials: Sequence[TrialRecord], part: ViewPart, layer: int | None) -> Iterator[ViewFit]:
    if part == "gaussian" and layer is not None:
        yield from _known(trials, layer)
        return
    by_head: dict[int | None, list[tuple[bool, float | None, float | None, float | None]]] = {}
    for trial in trials:
        for fit in trial.result.learned_bias if trial.result else ():
            if fit.part == part and fit.layer == layer:
                numbers = (fit.is_gaussian, fit.sigma_x or fit.sigma, fit.sigma_y or fit.sigma, fit.r_squared)
                by_head.setdefault(fit.head, []).append(numbers)
    for head in sorted(by_head, key=lambda head: -1 if head is None else head):
        fits = by_head[head]
        sigma_x, sigma_y, r_squared = (
            spread([value for fit in fits if (value := fit[place]) is not None]).mean for place in (1, 2, 3)
        )
        yield ViewFit(
            head=head,
            num_seeds=len(fits),
            num_gaussian=sum(fit[0] for fit in fits),
            num_not_fitted=sum(fit[1] is None for fit in fits),
            sigma_x=sigma_x,
            sigma_y=sigma_y,
            r_squared=r_squared,
        )


def _known(trials: Sequence[TrialRecord], layer: int) -> Iterator[ViewFit]:
    """The Gaussian's own sigma with the weights that are scored: nothing is to be fitted."""
    name = re.compile(rf"sigma/{layer:02d}(?:_head(\d+))?")
    by_head: dict[int | None, list[float]] = {}
    for trial in trials:
        if trial.result is None:
            continue
        best = trial.result.best_epoch
        metrics = trial.result.metrics if best is None else trial.result.epochs[best].metrics
        for key, value in metrics.items():
            if match := name.fullmatch(key):
                by_head.setdefault(None if match[1] is None else int(match[1]), []).append(value)
    biases = [trial.config.attention_bias for trial in trials]
    is_permuted = any(bias.is_placebo for bias in biases)
    for head, sigmas in sorted(by_head.items(), key=lambda item: -1 if item[0] is None else item[0]):
        sigma = float(np.mean(sigmas))
        yield ViewFit(
            head=head,
            num_seeds=len(sigmas),
            # The placebo's lies over permuted tokens: no bell around its query.
            num_gaussian=0 if is_permuted else len(sigmas),
            num_not_fitted=0,
            sigma_x=sigma,
            sigma_y=sigma,
            r_squared=None,
        )
