"""What a careful reader must know before repeating an answer."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from pydantic import JsonValue

from orchestrator.planning.changes import FIELDS, changed_fields, warning_about
from orchestrator.report.content.curves import BiasSeries
from orchestrator.report.content.report import Exclusion, Provenance, TrialRecord
from orchestrator.report.content.search import SearchSummary
from orchestrator.report.starts import unequal_starts
from orchestrator.report.words.answers import cell_words
from orchestrator.report.words.pair_caveats import ANY_TIME, few_pairs, interval_against_p, left_out
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.spec.tuning_budgets import search_differences
from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.comparison import Basis, Cell, Comparison, Verdict
from orchestrator.statistics.guessing import Guess
from orchestrator.statistics.look_plan import Looks
from orchestrator.statistics.looks import boundary, is_futile
from orchestrator.statistics.p_text import p_text
from orchestrator.status import ExperimentStatus, Phase
from trainers.analyses.receptive_field_in_trial import receptive_field_in
from trainers.config import TrialConfig
from trainers.counted import counted
from trainers.data.account import leak_in
from trainers.strict_json import JsonObject

# Facts that may differ between trials of one sound experiment.
_VARYING_FACTS = frozenset({"code_version", "data_fingerprint", "num_parameters"})


def caveats_of(
    *,
    status: ExperimentStatus,
    num_extensions: int,
    data_found: Mapping[str, str],
    spec: ExperimentSpec,
    comparisons: Sequence[Comparison],
    guesses: Mapping[str, Guess],
    exclusions: Sequence[Exclusion],
    searches: Sequence[SearchSummary],
    trials: Sequence[TrialRecord],
    bias: Sequence[BiasSeries],
    provenance: Provenance,
) -> tuple[str, ...]:
    """Every caveat that applies, the weightiest first."""
    caveats = [
        *_unfinished(status),
        *_extended(num_extensions),
        *_looked_at(spec, comparisons),
        *_on_validation(spec),
        *_several_changes(spec, trials),
        *_leaks(data_found),
        *(_hardly_learned(comparisons, guesses) if spec.optimization.epochs else ()),
        *unequal_starts(comparisons, trials, of_other_code=spec.of_other_code),
        *few_pairs(comparisons),
        *left_out(exclusions),
        *interval_against_p(comparisons),
        *_unequal_search(spec, searches),
        *_ties(searches),
        *_unmoved(bias),
        *_pairs_on_two_devices(spec, trials),
        *_mixed(provenance),
        *_reused(provenance),
    ]
    caveats.append(_scope(spec))
    if any(trial.params for trial in trials):
        caveats.append("Search scores are not results: the best of several candidates looks too good by chance.")
    return tuple(caveats)


def _leaks(data_found: Mapping[str, str]) -> Iterator[str]:
    """Scores that partly tell what was learned by heart."""
    for name, line in data_found.items():
        leak = leak_in(line)
        if leak is not None:
            yield (
                f"{name} has {leak}: on these, scores show what was memorised. That flatters every arm, and some arms "
                "may memorise more than others. Remove the copies, and run the experiment again."
            )


def _hardly_learned(comparisons: Sequence[Comparison], guesses: Mapping[str, Guess]) -> Iterator[str]:
    """Controls that score what an answer without a look at the image does."""
    by_cell = {comparison.cell.key: comparison for comparison in comparisons if comparison.control_mean is not None}
    for key, comparison in by_cell.items():
        best = guesses.get(key)
        assert comparison.control_mean is not None
        # In percentage points, as every share is told.
        if best is not None and best.is_hardly_beaten_by(comparison.control_mean / 100):
            yield (
                f"{comparison.control} has hardly learned anything on {cell_words(comparison.cell)}: it scores "
                f"{comparison.control_mean:.1f} %, and naming the largest class for every one of {best.num_images} "
                f"images scores {100 * best.share:.1f} %. What a change does to such a training says nothing of one "
                "that learns: train longer, or on more images."
            )


def _scope(spec: ExperimentSpec) -> str:
    if spec.task.runs_itself:
        return (
            "A script of the user's own trained and scored: sigmalab called it with each pair's seed and read what it "
            "wrote. It could not see the script's data, whether the arms of a pair start from the same weights and see "
            f"the same batches, or which split a number is of. {spec.task.chosen_words} The answers hold for these "
            "arguments; intervals are over seeds on one set of scored data."
        ).replace("  ", " ")
    epochs = spec.optimization.epochs
    recipe = f"{counted(epochs, 'epoch')}, batch {spec.optimization.global_batch_size}"
    if not epochs:
        start = (
            "Nothing was trained: the numbers are those of the initial weights. Seeds differ in what is drawn "
            "(untrained weights, re-initialised embeddings, a fresh head)"
        )
        analysis = receptive_field_in(spec.analyses)
        if analysis is not None and analysis.images == "by_seed":
            return (
                f"{start} and in the {analysis.num_images} validation images that an analysis draws: an interval "
                "covers these draws from one split, and is too narrow unless that split has many times as many images."
            )
        return f"{start}, not in the images: an interval covers these draws, and says nothing of other images."
    return (
        f"The answers hold for these models, data sets and this recipe ({recipe}); another size, "
        f"data set or longer training may answer otherwise. Intervals are over training seeds on {_images(spec)}: what "
        "other images would add to them is not in them."
    )


def _images(spec: ExperimentSpec) -> str:
    """What every trial of a cell is scored on."""
    group = spec.primary_metric.partition("/")[0]
    return {"test": "this test split", "best_val": "this validation split"}.get(group, "these images")


def _unfinished(status: ExperimentStatus) -> list[str]:
    if status is ExperimentStatus.SUCCEEDED:
        return []
    if status.is_final:
        return [f"The experiment {status.value}; only the pairs that were complete by then are counted."]
    return [f"The experiment is still {status.value}: this is a preview."]


def _extended(num_extensions: int) -> list[str]:
    if not num_extensions:
        return []
    times = "once" if num_extensions == 1 else f"{num_extensions} times"
    return [f"Seeds were added {times} after results could already be seen."]


def _looked_at(spec: ExperimentSpec, comparisons: Sequence[Comparison]) -> list[str]:
    """Looking, then stopping or adding seeds: the more looks, the more chances to find what is not there."""
    if spec.planned_looks is not None and comparisons[0].basis is Basis.LOOKS:
        return [_ended_by_looks(spec.planned_looks, comparisons)]
    if spec.allocation is not None and comparisons[0].basis is Basis.TWO_STAGES:
        return [_shared_out(spec.allocation, comparisons)]
    if comparisons[0].basis is Basis.FIXED:
        return []
    if spec.looks is not None and spec.looks.abandoned:
        start = f"Looks were planned after {_listed(spec.looks.at)} pairs, but seeds were added otherwise. "
    elif spec.looks is not None:
        start = f"Looks are planned after {_listed(spec.looks.at)} pairs; these numbers are not of such a look. "
    else:
        start = ""
    return [start + ANY_TIME]


def _shared_out(allocation: Allocation, comparisons: Sequence[Comparison]) -> str:
    numbers = [comparison.num_planned_pairs for comparison in comparisons]
    return (
        f"{counted(allocation.total, 'pair')} were shared out by the sd of each row's first {allocation.first}: "
        f"{min(numbers)} to {max(numbers)} a row. No effect decided over them, and intervals and p rest on the sd of "
        f"those first pairs (Stein 1945: exact for normally distributed differences). {_BESIDE}"
    )


_BESIDE = (
    "What stands beside the comparisons (pooled over cells, against a placebo, other metrics, by class, by image, of "
    "receptive fields, and what publications print beside the claimed metric) has any-time intervals."
)
"""See `inference_beside`."""


def _ended_by_looks(looks: Looks, comparisons: Sequence[Comparison]) -> str:
    name = {"obrien_fleming": "O'Brien-Fleming", "pocock": "Pocock"}[looks.kind]
    bounds = boundary(looks.kind, looks.at, comparisons[0].level)
    ends = "; ".join(
        f"{comparison.treatment} on {cell_words(comparison.cell)} {_why_ended(comparison, looks)} after "
        f"{comparison.num_planned_pairs} pairs{_complete(comparison)}"
        for comparison in comparisons
    )
    return (
        f"Looks were planned after {_listed(looks.at)} pairs ({name}: single-row p of the t test at most "
        f"{_listed([p_text(bound) for bound in bounds])}), and intervals and p allow for all of them (repeated "
        f"interval and p of a group sequential t test, which assumes normally distributed differences): {ends}. "
        f"{_BESIDE}"
    )


def _complete(comparison: Comparison) -> str:
    """Where trials failed."""
    is_complete = comparison.num_pairs == comparison.num_planned_pairs
    return "" if is_complete else f" ({comparison.num_pairs} of them complete)"


def _why_ended(comparison: Comparison, looks: Looks) -> str:
    if comparison.is_confirmed:
        return "crossed the boundary"
    if comparison.verdict is Verdict.EQUIVALENT:
        return "was equivalent"
    if comparison.num_planned_pairs < looks.at[-1] and is_futile(comparison, looks):
        return "was given up (the planned end would hardly have confirmed it)"
    return "ended as planned"


def _listed(items: Sequence[object]) -> str:
    """`6, 9 and 12`."""
    *others, last = map(str, items)
    return f"{', '.join(others)} and {last}" if others else last


def _on_validation(spec: ExperimentSpec) -> list[str]:
    if not spec.primary_metric.startswith("best_val/"):
        return []
    start = f"{spec.primary_metric} is a validation score, and validation also chose the epoch"
    return [f"{start}: levels are too good by chance, and the test split does not carry the claim."]


def _several_changes(spec: ExperimentSpec, trials: Sequence[TrialRecord]) -> list[str]:
    """Arms whose trials differ from their control's in more than one thing; a search's choices have their own table."""
    searched = {arm.name: frozenset(arm.search.space) if arm.search else frozenset() for arm in spec.arms}
    # One trial for each cell and arm: the others differ from it by their seed.
    confirm = {(trial.cell.key, trial.arm): trial for trial in trials if trial.phase is Phase.CONFIRM}
    changed: dict[str, set[str]] = {}
    for (cell, arm), trial in confirm.items():
        control = confirm.get((cell, spec.control.name))
        if control is None or control is trial:
            continue
        either = searched[arm] | searched[spec.control.name]
        changed.setdefault(arm, set()).update(
            changed_fields(_without(trial.config, either), _without(control.config, either))
        )
    warnings = [
        warning_about(arm, spec.control.name, [field for field in FIELDS if field in fields])
        for arm, fields in changed.items()
    ]
    return [f"{warning}." for warning in warnings if warning is not None]


def _without(config: TrialConfig, paths: Collection[str]) -> JsonObject:
    """A config without some of its fields, each a dotted path."""
    document: JsonObject = config.model_dump(mode="json")
    for path in paths:
        *parents, name = path.split(".")
        place: JsonValue = document
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.pop(name, None)
    return document


def _unequal_search(spec: ExperimentSpec, searches: Sequence[SearchSummary]) -> list[str]:
    if not searches:
        return []
    unequal = {arm.name: search_differences(arm, spec.control) for arm in spec.treatments}
    listed = "; ".join(f"{name}: {', '.join(what)}" for name, what in unequal.items() if what)
    if not listed:
        return []
    start = f"The arms were not tuned with the same budget as {spec.control.name}"
    return [f"{start} ({listed}), which favours those that were tuned longer, or better."]


def _ties(searches: Sequence[SearchSummary]) -> list[str]:
    """Searches that had no reason to choose what they chose."""
    tied = []
    for search in searches:
        best = next((found for found in search.candidates if found.is_chosen), None)
        if best is None or best.score is None:
            continue
        equal = [
            found
            for found in search.candidates
            if found.score is not None and math.isclose(found.score, best.score) and not found.num_failed
        ]
        if len(equal) > 1:
            tied.append(f"{len(equal)} candidates of {search.arm} on {cell_words(search.cell)}")
    if not tied:
        return []
    return [f"Searches ended in a tie ({'; '.join(tied)}): one of them was taken, for no better reason."]


def _unmoved(bias: Sequence[BiasSeries]) -> list[str]:
    """Layers whose Gaussian was to be learned, but lies where it began, in every epoch of every seed."""
    layers: dict[tuple[str, str], set[int]] = {}
    for series in bias:
        values = [value for curve in series.seeds for value in curve.values]
        # Weights are fp32, the initial value is not.
        if series.is_learned and all(math.isclose(value, series.initial, rel_tol=1e-6) for value in values):
            layers.setdefault((series.arm, cell_words(series.cell)), set()).add(series.layer)
    if not layers:
        return []
    places = "; ".join(
        f"{arm} on {cell}, layer{'s' if len(found) > 1 else ''} {', '.join(map(str, sorted(found)))}"
        for (arm, cell), found in layers.items()
    )
    text = (
        f"Sigma or A never moved ({places}): this tells nothing of what the data ask for. Where a model reads out its "
        "class token, no bias between patches of the last layer reaches the output, so there neither the Gaussian nor "
        "the position embedding between patches is learned."
    )
    return [text]


def _pairs_on_two_devices(spec: ExperimentSpec, trials: Sequence[TrialRecord]) -> list[str]:
    """Pairs whose halves were trained on GPUs of two models, or on a GPU and a CPU."""
    control = spec.control.name
    devices = {
        (trial.arm, trial.cell, trial.seed): trial.result.provenance["device"]
        for trial in trials
        if trial.phase is Phase.CONFIRM and trial.result is not None
    }
    mixed: dict[tuple[str, Cell, str, str], list[int]] = {}
    for (arm, cell, seed), device in devices.items():
        of_control = devices.get((control, cell, seed), device)
        if device != of_control:
            mixed.setdefault((arm, cell, device, of_control), []).append(seed)
    return [
        f"{arm} and {control} of {cell_words(cell)} were trained on different devices ({device}; {of_control}) for "
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}: these pairs also hold what the "
        "devices do differently. Ask for one model of GPU with `resources.accelerator_type`."
        for (arm, cell, device, of_control), seeds in mixed.items()
    ]


def _mixed(provenance: Provenance) -> list[str]:
    return [
        f"The trials differ in {key}: {', '.join(values)}."
        for key, values in provenance.facts.items()
        if len(values) > 1 and key not in _VARYING_FACTS
    ]


def _reused(provenance: Provenance) -> list[str]:
    if not provenance.num_reused:
        return []
    text = f"{provenance.num_reused} of {provenance.num_succeeded} trials were not trained again"
    return [f"{text}: an identical, earlier trial (same config, code and data) stands in."]
