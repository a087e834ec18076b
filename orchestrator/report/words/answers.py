"""The plain-language answers: what the pairs allow to say, and what they do not."""

from collections.abc import Sequence

from orchestrator.planning.changes import FIELDS
from orchestrator.report.content.pairs import PlaceboContrast
from orchestrator.report.content.report import ArmSummary
from orchestrator.report.words.numbers import fixed, percent, signed, with_unit
from orchestrator.statistics.comparison import Basis, Cell, Comparison, PairingGain, PooledEffect, Verdict
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.p_text import p_text
from trainers.counted import counted

_MAX_PAIRING_REMARKS = 4
_FIELD_WORDS = {"lr": "learning rate", "lr_multiplier": "learning rate multiplier", "amplitude": "A"}
"""Last name of a path -> words, where the name itself is none."""
NO_GAUSSIAN = "no Gaussian"
"""What tables and pictures say of a map that none explains."""

_LIMITS = (0.0, 100.0)
"""Of shares, in percent."""


def metric_words(metric: str) -> str:
    """`test/top1` -> `test top-1`, `best_val/loss` -> `best validation loss`."""
    group, _, name = metric.rpartition("/")
    try:
        known = metric_named(metric).words
    except ValueError:
        # Of somebody else's training: called as there.
        return metric
    # A width's unit stands behind its number.
    words = known or name.removesuffix("_tokens").removesuffix("_fraction").replace("_", " ")
    return f"{group.replace('best_val', 'best validation').replace('_', ' ')} {words}".lstrip()


def field_words(path: str) -> str:
    """`optimization.optimizer.lr` -> `learning rate`, `attention_bias.sigma` -> `sigma of the attention bias`."""
    top, _, rest = path.partition(".")
    if not rest:
        return FIELDS.get(top, top.replace("_", " ")).removeprefix("the ")
    name = rest.rpartition(".")[2]
    words = _FIELD_WORDS.get(name, name.replace("_", " "))
    return words if top == "optimization" or top not in FIELDS else f"{words} of {FIELDS[top]}"


def cell_words(cell: Cell) -> str:
    """`digits-300 with small_vit_48x3_rel_bias`."""
    return f"{cell.dataset} with {cell.model}"


def answer(
    comparison: Comparison, *, arm: ArmSummary, decimals: int, num_comparisons: int, is_over: bool = False
) -> str:
    """One sentence for one comparison.

    Args:
        comparison: the numbers.
        arm: the treatment, for what it adds.
        decimals: digits after the point.
        num_comparisons: comparisons in the experiment; from two on, Holm's p is named too.
        is_over: whether no further pair will come.
    """
    start = f"On {cell_words(comparison.cell)}, "
    what = metric_words(comparison.metric)
    if comparison.effect is None:
        planned = counted(comparison.num_planned_pairs, "planned pair")
        return (
            f"{start}nothing can be said about {comparison.treatment}{'' if is_over else ' yet'}: "
            f"none of its {planned} {'was completed' if is_over else 'is complete'}."
        )
    changed = with_unit(signed(comparison.effect, decimals), comparison.unit)
    start += f"{comparison.treatment} ({arm.description}) changed {what} by {changed}"
    if comparison.ci_low is None or comparison.ci_high is None:
        return f"{start} {_without_interval(comparison, num_comparisons)}."
    evidence = [_interval(comparison, decimals), f"n = {_pairs(comparison)}"]
    if comparison.p_value is not None:
        evidence.append(_p(comparison, num_comparisons))
    return f"{start} ({', '.join(evidence)}): {_conclusion(comparison, decimals)}."


def _without_interval(comparison: Comparison, num_comparisons: int) -> str:
    """One pair, or pairs that all agree: a t interval would have width 0 and claim a certainty that is not there."""
    if comparison.num_pairs == 1:
        return "in its only complete pair: inconclusive; one pair gives no interval"
    if comparison.effect_sd:
        return f"over {_pairs(comparison)}: inconclusive; so few pairs give no {comparison.basis.interval_words}"
    evidence = f"in each of {_pairs(comparison)} ({_p(comparison, num_comparisons)})"
    if comparison.effect == 0 and comparison.unit == "pp" and comparison.control_mean in _LIMITS:
        at, beyond = f"{comparison.control_mean:g} %", "lower" if comparison.control_mean == 0 else "higher"
        return (
            f"{evidence}: inconclusive; control and treatment both score {at} every time, and nothing can be {beyond}: "
            "what is scored does not tell them apart"
        )
    what = "control and treatment score alike" if comparison.effect == 0 else "the differences are all equal"
    return (
        f"{evidence}: inconclusive; {what}, which gives no interval. Very few scored images do that; with many it is "
        "unlikely of independent repetitions: check whether the seed and the change have any effect on what is scored"
    )


def pooled_answer(
    effect: PooledEffect,
    *,
    metric: str,
    unit: str,
    confidence: float,
    decimals: int,
    num_planned_cells: int,
    is_over: bool = False,
) -> str:
    """One sentence for one treatment over all its cells; cells that could not be pooled are counted too.

    Args:
        effect: the numbers.
        metric: the compared one.
        unit: of effects.
        confidence: of the interval.
        decimals: digits after the point.
        num_planned_cells: cells of the experiment.
        is_over: whether no further pair will come.
    """
    if effect.effect is None:
        yet = "" if is_over else " yet"
        why = "no seed is complete in all that have a pair" if effect.num_cells else "no cell has a complete pair"
        text = (
            f"Over {cell_count(effect, num_planned_cells)} cells, {effect.treatment} has no pooled effect{yet}: {why}"
        )
        return f"{text}{_random_effects(effect, unit=unit, confidence=confidence, decimals=decimals)}."
    text = (
        f"Over {cell_count(effect, num_planned_cells)} cells, {effect.treatment} changed {metric_words(metric)} by "
        f"{with_unit(signed(effect.effect, decimals), unit)} on average"
    )
    seeds = counted(effect.num_seeds, "seed")
    if effect.ci_low is None or effect.ci_high is None:
        why = "one gives no interval" if effect.num_seeds == 1 else _WITHOUT_POOLED[effect.is_constant]
        text += f" of {seeds} that all of them completed; {why}"
    else:
        ends = f"{fixed(effect.ci_low, decimals)} to {fixed(effect.ci_high, decimals)}"
        text += f" ({percent(confidence)} CI {ends} over {seeds}; of these cells, outside Holm's family)"
    if effect.between_cells_sd:
        spread = with_unit(fixed(effect.between_cells_sd, decimals), unit)
        text += f"; the true effect is estimated to differ between cells with an sd of {spread}"
    return f"{text}{_random_effects(effect, unit=unit, confidence=confidence, decimals=decimals)}."


_WITHOUT_POOLED = {
    True: "their means are all equal, which gives no interval",
    False: "so few give no any-time interval",
}
"""By whether the means of the seeds are all equal."""


def _random_effects(effect: PooledEffect, *, unit: str, confidence: float, decimals: int) -> str:
    """What all pairs say where seeds differ between cells; nothing where they do not."""
    found = effect.random_effects
    if found is None:
        return ""
    ends = f"{percent(confidence)} CI {fixed(found.ci_low, decimals)} to {fixed(found.ci_high, decimals)}"
    mean = with_unit(signed(found.effect, decimals), unit)
    return f"; all pairs, with cells taken as independent (random effects): {mean} ({ends})"


def cell_count(effect: PooledEffect, num_planned_cells: int) -> str:
    """`3`, or `2 of 3`: cells without a pair are left out of the pooled effect, but not in silence."""
    if effect.num_cells == num_planned_cells:
        return str(effect.num_cells)
    return f"{effect.num_cells} of {num_planned_cells}"


def placebo_remarks(
    contrasts: Sequence[PlaceboContrast], comparisons: Sequence[Comparison], decimals: int
) -> list[str]:
    """How far each treatment is from its placebo. One uncorrected interval each: it describes, and claims no cause."""
    if not contrasts:
        return []
    unit, confidence = comparisons[0].unit, comparisons[0].confidence
    remarks = [_placebo_remark(contrast, unit, confidence, decimals) for contrast in contrasts]
    (placebo, *others) = dict.fromkeys(contrast.placebo for contrast in contrasts)
    name = "a placebo" if others else placebo
    these = "This difference has" if len(remarks) == 1 else "These differences have"
    return [*remarks, f"{these} no verdict; an experiment whose control is {name} would give one."]


def _placebo_remark(contrast: PlaceboContrast, unit: str, confidence: float, decimals: int) -> str:
    difference = with_unit(signed(contrast.effect, decimals), unit)
    start = f"On {cell_words(contrast.cell)}, {contrast.treatment} - {contrast.placebo} {_apart(contrast)} "
    noun = "pair" if contrast.num_pairs == 1 else "pairs"
    if contrast.ci_low is None or contrast.ci_high is None:
        evidence = "no interval"
    else:
        ends = f"{fixed(contrast.ci_low, decimals)} to {fixed(contrast.ci_high, decimals)}"
        evidence = f"{percent(confidence)} CI {ends}"
    return f"{start}is {difference} ({evidence}, n = {contrast.num_pairs} {noun}; descriptive, outside Holm's family)."


def _apart(contrast: PlaceboContrast) -> str:
    """In what the two differ, as their configs say."""
    if not contrast.other_differences:
        return "(the same but for locality: its tokens are permuted)"
    return f"(which differ in {', '.join(contrast.other_differences)} too, not in locality alone)"


def pairing_remarks(comparisons: Sequence[Comparison]) -> list[str]:
    """What pairing gained, row by row or, of many rows, from the least to the most; and where it gained nothing."""
    measured = [(each, each.pairing) for each in comparisons if each.pairing is not None]
    if len(measured) <= _MAX_PAIRING_REMARKS:
        has_cells = len({comparison.cell for comparison in comparisons}) > 1
        return [pairing_words(comparison, gain, has_cells=has_cells) for comparison, gain in measured]
    gains = [gain for _, gain in measured]
    ratios = sorted(gain.unpaired_ratio for gain in gains)
    correlations = sorted(gain.correlation for gain in gains if gain.correlation is not None)
    spread = f"correlations of {correlations[0]:.2f} to {correlations[-1]:.2f}" if correlations else "no correlation"
    text = (
        f"What pairing gained over {len(measured)} comparisons: {spread} within pairs; for the same standard error, "
        f"unpaired runs would have had to be {ratios[0]:.1f} to {ratios[-1]:.1f} times as many"
    )
    num_without = sum(not gain.is_gain for gain in gains)
    return [f"{text}. In {num_without} of the {len(measured)} it gained nothing." if num_without else f"{text}."]


def pairing_words(comparison: Comparison, gain: PairingGain, *, has_cells: bool = False) -> str:
    """How alike both arms of a pair are, and what that was worth.

    Args:
        comparison: whose pairs.
        gain: its own.
        has_cells: whether other cells have pairs, too, so that this one is named.
    """
    where = f" on {cell_words(comparison.cell)}" if has_cells else ""
    arms = f"{comparison.control} and {comparison.treatment}"
    if gain.correlation is None:
        alike = f"one of {arms} never varies{where}"
    else:
        alike = f"{arms} correlate by {fixed(gain.correlation, 2)} within pairs{where}"
    if not gain.is_gain:
        times = f"{unpaired_times(gain)} as many unpaired runs would have given the same standard error"
        return f"Pairing gained {'hardly anything' if gain.unpaired_ratio > 1 else 'nothing'} here: {alike}; {times}."
    text = (
        f"What pairing gained: {alike}; unpaired, the same standard error would have taken {unpaired_times(gain)} as "
        "many runs"
    )
    # What stands beside an effect may be another interval, which no unpaired design has.
    interval = "interval" if comparison.basis is Basis.FIXED else "t interval of a fixed number"
    if gain.unpaired_runs > comparison.num_pairs:
        return f"{text} (the same {interval}: {gain.unpaired_runs} of each arm, not {comparison.num_pairs})."
    return (
        f"{text}, but the same {interval} no more than {gain.unpaired_runs} of each arm: of so few pairs, an unpaired "
        "one has more degrees of freedom."
    )


def unpaired_times(gain: PairingGain) -> str:
    """`2.2 times`, `1.04 times`: where it is about 1, with the digit that tells on which side."""
    return f"{gain.unpaired_ratio:.{1 if gain.is_gain else 2}f} times"


def _interval(comparison: Comparison, decimals: int) -> str:
    low, high = fixed(comparison.ci_low, decimals), fixed(comparison.ci_high, decimals)
    return f"{percent(comparison.confidence)} CI {low} to {high}"


def _pairs(comparison: Comparison) -> str:
    if comparison.num_pairs == comparison.num_planned_pairs:
        return f"{comparison.num_pairs} pairs"
    return f"{comparison.num_pairs} of {comparison.num_planned_pairs} pairs"


def _p(comparison: Comparison, num_comparisons: int) -> str:
    text = p_text(comparison.p_value, level=comparison.level)
    text = f"p {text}" if text.startswith("<") else f"p = {text}"
    if num_comparisons > 1 and comparison.p_holm is not None:
        text += f", {p_text(comparison.p_holm, level=comparison.level)} after Holm's correction"
    return text


def _conclusion(comparison: Comparison, decimals: int) -> str:
    margin = with_unit(f"±{comparison.equivalence_margin:g}", comparison.unit)
    if comparison.verdict is Verdict.EQUIVALENT:
        return f"equivalent, the whole interval lies within {margin}"
    if comparison.is_within_margin:
        return f"{_claim(comparison, decimals)}; smaller than the margin, the whole interval lies within {margin}"
    return _claim(comparison, decimals)


def _possible(comparison: Comparison) -> tuple[tuple[float, float], str]:
    """Ends of what stays possible, and what cuts it: a share of images is never below 0 % or above 100 %."""
    assert comparison.ci_low is not None
    assert comparison.ci_high is not None
    low, high = comparison.ci_low, comparison.ci_high
    if comparison.unit != "pp" or comparison.control_mean is None:
        return (low, high), ""
    least, most = (limit - comparison.control_mean for limit in _LIMITS)
    cut = [f"{limit:g} %" for limit, is_cut in zip(_LIMITS, (low < least, high > most), strict=True) if is_cut]
    words = f" (from the control's mean, there is no room beyond {' and '.join(cut)})" if cut else ""
    return (max(low, least), min(high, most)), words


def _claim(comparison: Comparison, decimals: int) -> str:
    if comparison.verdict is Verdict.INCONCLUSIVE:
        ends, limit = _possible(comparison)
        low, high = (signed(end, decimals) for end in ends)
        return (
            f"inconclusive; effects from {low} to {with_unit(high, comparison.unit)} "
            f"stay possible with {comparison.num_pairs} pairs{limit}"
        )
    if comparison.verdict is Verdict.SUGGESTIVE:
        if not comparison.can_be_confirmed:
            return f"suggestive: the interval excludes 0, which can't be confirmed with {_pairs(comparison)}"
        corrected = " after correction" if comparison.p_holm != comparison.p_value else ""
        return f"suggestive: the interval excludes 0, but p{corrected} does not confirm it"
    return comparison.verdict.value
