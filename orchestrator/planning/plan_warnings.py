"""What a careful reader should know before an experiment runs."""

from collections.abc import Iterator, Sequence

from orchestrator.code_of_arms import code_of
from orchestrator.planning.changes import changed_fields, warning_about
from orchestrator.planning.expansion import Expansion
from orchestrator.spec.experiment import ArmSearch, ExperimentSpec
from orchestrator.spec.tuning_budgets import search_differences
from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.forecast import PowerForecast
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.permutation import sign_flip_floor
from trainers.config import TrialConfig
from trainers.counted import counted
from trainers.data.manifest_name import INCOMPLETE
from trainers.strict_json import JsonObject

_MANY_IMAGES = 200
"""From here on one image is less than half a percentage point."""
_NO_BIAS: JsonObject = {"attention_bias": {"kind": "none"}}
"""What an arm has that says nothing of it."""


def warnings_of(spec: ExperimentSpec) -> tuple[str, ...]:
    """Everything that weakens what the spec can show, in words, with what would be better."""
    return (
        *_about_seeds(spec),
        *_about_replicates(spec),
        *_about_fields(spec),
        *_about_searches(spec),
        *_about_comparability(spec),
        *_about_commands(spec),
        *_about_loading(spec),
    )


def _about_seeds(spec: ExperimentSpec) -> Iterator[str]:
    num_seeds, level = len(spec.seeds), 1 - spec.confidence
    if num_seeds == 1:
        yield "one seed makes one pair: there is no interval, and every verdict will be `inconclusive`"
        return
    if spec.has_stages:
        # They judge by t, which has no smallest p.
        return
    floor = sign_flip_floor(num_seeds)
    if floor > level:
        yield (
            f"{num_seeds} seeds can't give a sign-flip p below {floor:.3g}, however large the effect; "
            f"{_seeds_for(level)} seeds could reach {level:.2g}"
        )
        return
    num_comparisons = spec.num_cells * len(spec.treatments)
    if floor * num_comparisons > level:
        yield (
            f"with {num_comparisons} comparisons and {num_seeds} seeds, no p that is corrected for their number can "
            f"fall below {min(1.0, floor * num_comparisons):.3g}; {_seeds_for(level / num_comparisons)} seeds could "
            f"reach {level:.2g}"
        )


def shared_out_warnings(
    allocation: Allocation | None, power: Sequence[PowerForecast], of_equal_pairs: Sequence[PowerForecast]
) -> Iterator[str]:
    """What pairs by variance cost where rows vary alike.

    Args:
        allocation: the plan (`None`: no pairs are shared out).
        power: what it can show there, for some sds.
        of_equal_pairs: what as many pairs in every row could.
    """
    if allocation is None:
        return
    by_variance, equal = (_confirmed_from(forecasts[0]) for forecasts in (power, of_equal_pairs))
    yield (
        f"pairs that are shared out by variance are judged by the sd of each row's first {allocation.first}: where "
        "all rows vary alike, "
        f"they confirm {by_variance}, while {of_equal_pairs[0].num_pairs} pairs in each row would confirm {equal}. "
        "Sharing out pays "
        "where the rows' sds differ by a factor of about three; otherwise list the seeds, or raise `first`"
    )


def _confirmed_from(forecast: PowerForecast) -> str:
    if forecast.confirmable_effect is None:
        return "nothing"
    return f"effects from {forecast.confirmable_effect / forecast.assumed_sd:.2f} sds of a pair"


def _about_replicates(spec: ExperimentSpec) -> Iterator[str]:
    """Seeds that change nothing are one measurement told several times: their p would be small for no reason."""
    given = [model.label for model in spec.models if model.brings_weights]
    if spec.task.runs_itself or spec.optimization.epochs or not given or len(spec.seeds) == 1:
        return
    if any(analysis.draws_images for analysis in spec.analyses):
        return
    looks_at_images = any(analysis.looks_at_images for analysis in spec.analyses)
    yield (
        f"nothing is trained, {', '.join(given)} {'brings its' if len(given) == 1 else 'bring their'} weights, and "
        f"every seed looks at the same images: where an arm draws nothing, {len(spec.seeds)} seeds measure one number "
        f"{len(spec.seeds)} times, and an interval or a p over them means nothing"
        + ('; ask for `"images": "by_seed"` in the analysis' if looks_at_images else "")
    )


def token_warnings(expansion: Expansion) -> Iterator[str]:
    """Arms whose tokens are not those of the control: lengths in tokens and maps can't be compared."""
    spec = expansion.spec
    for cell in expansion.cells:
        grids = {arm.name: _grid_looked_at(expansion.config_of(cell, arm.name)) for arm in spec.arms}
        control = grids[spec.control.name]
        if control is None:
            continue
        others = [f"`{name}` {grid[0]} x {grid[1]}" for name, grid in grids.items() if grid and grid != control]
        if others:
            yield (
                f"{cell.key}: {', '.join(others)} tokens are not the control's {control[0]} x {control[1]}: receptive "
                "fields will be shown, but no length in tokens is compared and no map subtracted; areas and R^2 are "
                "compared"
            )


def resolution_warnings(expansion: Expansion) -> Iterator[str]:
    """Splits so small that a single image moves an accuracy by more than most changes do."""
    split = expansion.spec.primary_metric.partition("/")[0]
    if not metric_named(expansion.spec.primary_metric, expansion.spec.task).counts_images:
        return
    datasets = {
        cell.dataset: expansion.config_of(cell, expansion.spec.control.name).dataset for cell in expansion.cells
    }
    for label, dataset in datasets.items():
        with code_of(expansion.spec.control.name):
            sizes = expansion.sizes_of(dataset)
        name, num_images = ("test", sizes.test) if split == "test" else ("validation", sizes.val)
        if 0 < num_images <= _MANY_IMAGES:
            yield (
                f"the {name} split of {label} has {counted(num_images, 'image')}: one of them is "
                f"{100 / num_images:.2g} pp, and the arms of a pair differ by a multiple of that or not at all; small "
                "sds are unlikely"
            )


def _grid_looked_at(config: TrialConfig) -> tuple[int, int] | None:
    grids = (analysis.grid_of(config.model) for analysis in config.analyses)
    return next((grid for grid in grids if grid is not None), None)


def _about_fields(spec: ExperimentSpec) -> Iterator[str]:
    """What analyses can't show of fresh weights; a trial says so too, but only in its log."""
    fresh = [model for model in spec.models if not model.brings_weights]
    if fresh:
        for analysis in spec.analyses:
            yield from analysis.caveats_of_fresh(fresh)


def _about_loading(spec: ExperimentSpec) -> Iterator[str]:
    """Processes that read images: none for a GPU, or more than the CPUs that Ray reserves for them."""
    asked, cpus = spec.resources, spec.resources.cpus_per_worker
    from_files = [dataset.label for dataset in spec.datasets if dataset.reads_files]
    if not from_files:
        return
    if asked.gpus_per_worker and not asked.loader_workers:
        yield (
            f"`resources.loader_workers` is 0: the GPU waits while its own process decodes and augments every image of "
            f"{', '.join(from_files)}; ask for as many as it can have CPUs, and for those CPUs in `cpus_per_worker`"
        )
    elif asked.loader_workers > cpus:
        yield (
            f"`resources.loader_workers` is {asked.loader_workers}, but each training process reserves "
            f"{counted(cpus, 'CPU')}: where a cluster is full they take the others' time; set `cpus_per_worker` to "
            f"{asked.loader_workers + 1}"
        )


def _about_commands(spec: ExperimentSpec) -> Iterator[str]:
    if spec.task.runs_itself:
        yield (
            "the script trains by itself: sigmalab hands it each pair's seed, and can't see whether the arms of a pair "
            "start from the same weights and see the same batches; `--null` shows whether a repeated run gives the "
            "same numbers. Nor does it look at the data"
        )


def _seeds_for(level: float) -> int:
    """Fewest seeds whose sign-flip floor is not above the level."""
    num_seeds = 1
    while sign_flip_floor(num_seeds) > level:
        num_seeds += 1
    return num_seeds


def _about_searches(spec: ExperimentSpec) -> Iterator[str]:
    searched = [arm for arm in spec.treatments if arm.search]
    if searched and spec.control.search is None:
        yield (
            f"the control is not tuned, but {', '.join(f'`{arm.name}`' for arm in searched)} "
            f"{'is' if len(searched) == 1 else 'are'}: part of the effect may "
            "come from the search alone; give the control a search of the same size"
        )
    elif spec.control.search is not None:
        for arm in spec.treatments:
            differences = search_differences(arm, spec.control)
            if arm.search is None:
                yield (
                    f"`{arm.name}` is not tuned, but the control `{spec.control.name}` is: part of the effect may be "
                    f"hidden by the search; give `{arm.name}` a search of the same size"
                )
            elif differences:
                yield (
                    f"the searches of `{arm.name}` and the control `{spec.control.name}` differ in "
                    f"{', '.join(differences)}; an arm that is searched longer, or better, looks better"
                )
    for arm in spec.arms:
        if arm.search:
            yield from _about_search(arm.name, arm.search)


def _about_search(name: str, search: ArmSearch) -> Iterator[str]:
    if len(search.seeds) == 1:
        yield f"the search of `{name}` judges each candidate by a single seed: it may choose by luck"
    caveat = search.algorithm.caveat(search.space, num_points=search.num_points)
    if caveat is not None:
        yield f"the search of `{name}` {caveat}"


def _about_comparability(spec: ExperimentSpec) -> Iterator[str]:
    for dataset in spec.datasets:
        if dataset.label.endswith(INCOMPLETE):
            yield f"the data set {dataset.label} is incomplete: no result on it can be compared with published ones"
    if spec.primary_metric.startswith("best_val/"):
        yield (
            f"`{spec.primary_metric}` is taken at the epoch that was chosen by validation: every arm looks better than "
            "it is; `test/...` does not have this bias"
        )
    for arm in spec.treatments:
        fields = changed_fields(_NO_BIAS | arm.patch, _NO_BIAS | spec.control.patch)
        warning = warning_about(f"`{arm.name}`", f"the control `{spec.control.name}`", fields)
        if warning is not None:
            yield warning
