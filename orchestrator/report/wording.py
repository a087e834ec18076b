"""The plain-language answers: what the pairs allow to say, and what they do not."""

from collections.abc import Sequence

from orchestrator.report.content import ArmSummary
from orchestrator.report.numbers import fixed, p_text, percent, signed, with_unit
from orchestrator.statistics.comparison import Cell, Comparison, PooledEffect, Verdict


def metric_words(metric: str) -> str:
    """`test/top1` -> `test top-1`, `best_val/loss` -> `best validation loss`."""
    return (
        metric.replace("best_val/", "best validation ")
        .replace("/", " ")
        .replace("top1", "top-1")
        .replace("top5", "top-5")
        .replace("_", " ")
    )


def cell_words(cell: Cell) -> str:
    """`digits-300 with small_vit_48x3_rel_bias`."""
    return f"{cell.dataset} with {cell.model}"


def answer(comparison: Comparison, *, arm: ArmSummary, decimals: int, num_comparisons: int) -> str:
    """One sentence for one comparison.

    Args:
        comparison: the numbers.
        arm: the treatment, for its name and what it adds.
        decimals: digits after the point.
        num_comparisons: comparisons in the experiment; from two on, Holm's p is named too.
    """
    start = f"On {cell_words(comparison.cell)}, "
    what = metric_words(comparison.metric)
    if comparison.effect is None:
        return (
            f"{start}nothing can be said about {arm.name} yet: none of its "
            f"{comparison.num_planned_pairs} planned pairs is complete."
        )
    changed = with_unit(signed(comparison.effect, decimals), comparison.unit)
    start += f"{arm.name} ({arm.description}) changed {what} by {changed}"
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
    evidence = f"in each of {_pairs(comparison)} ({_p(comparison, num_comparisons)})"
    return f"{evidence}: inconclusive; differences that are all equal give no interval"


def pooled_answer(
    effect: PooledEffect, *, metric: str, unit: str, confidence: float, decimals: int, num_planned_cells: int
) -> str:
    """One sentence for one treatment over all its cells; cells that could not be pooled are counted too."""
    if effect.effect is None:
        return f"Over all cells, {effect.treatment} has no pooled effect yet: too few cells have an interval."
    text = (
        f"Over {cell_count(effect, num_planned_cells)} cells, {effect.treatment} changed {metric_words(metric)} by "
        f"{with_unit(signed(effect.effect, decimals), unit)} on average"
    )
    if effect.ci_low is None or effect.ci_high is None:
        return f"{text}; one cell gives no interval over cells."
    text += f" ({percent(confidence)} CI {fixed(effect.ci_low, decimals)} to {fixed(effect.ci_high, decimals)})"
    if effect.between_cells_sd:
        spread = with_unit(fixed(effect.between_cells_sd, decimals), unit)
        text += f"; the true effect is estimated to differ between cells with an sd of {spread}"
    return f"{text}."


def cell_count(effect: PooledEffect, num_planned_cells: int) -> str:
    """`3`, or `2 of 3`: cells without an interval are left out of the pooled effect, but not in silence."""
    if effect.num_cells == num_planned_cells:
        return str(effect.num_cells)
    return f"{effect.num_cells} of {num_planned_cells}"


def placebo_remarks(comparisons: Sequence[Comparison], arms: Sequence[ArmSummary], decimals: int) -> list[str]:
    """What a placebo arm says about the cause, in every cell where a treatment beat the control."""
    placebos = {arm.name for arm in arms if arm.is_placebo}
    return [
        _placebo_remark(other, placebo, decimals)
        for placebo in comparisons
        for other in comparisons
        if placebo.treatment in placebos
        and other.cell == placebo.cell
        and other.treatment not in placebos
        and other.verdict is Verdict.IMPROVED
    ]


def _placebo_remark(treatment: Comparison, placebo: Comparison, decimals: int) -> str:
    start = f"On {cell_words(placebo.cell)}, {placebo.treatment} (the same numbers without locality)"
    if placebo.effect is None or placebo.ci_low is None or placebo.ci_high is None:
        return f"{start} has no interval, so the cause of {treatment.treatment}'s gain stays open."
    changed = f"changed the metric by {with_unit(signed(placebo.effect, decimals), placebo.unit)}"
    if placebo.verdict is Verdict.IMPROVED:
        return f"{start} {changed} and improved too: locality alone does not explain {treatment.treatment}'s gain."
    if _is_apart(treatment, placebo):
        return (
            f"{start} {changed} ({_interval(placebo, decimals)}), and the two intervals do not overlap: "
            f"this speaks for locality as the cause of {treatment.treatment}'s gain."
        )
    return (
        f"{start} {changed} ({_interval(placebo, decimals)}); its interval overlaps with {treatment.treatment}'s, "
        "so the cause of the gain stays open."
    )


def _is_apart(first: Comparison, second: Comparison) -> bool:
    if first.ci_low is None or first.ci_high is None or second.ci_low is None or second.ci_high is None:
        return False
    return first.ci_low > second.ci_high or second.ci_low > first.ci_high


def _interval(comparison: Comparison, decimals: int) -> str:
    low, high = fixed(comparison.ci_low, decimals), fixed(comparison.ci_high, decimals)
    return f"{percent(comparison.confidence)} CI {low} to {high}"


def _pairs(comparison: Comparison) -> str:
    if comparison.num_pairs == comparison.num_planned_pairs:
        return f"{comparison.num_pairs} pairs"
    return f"{comparison.num_pairs} of {comparison.num_planned_pairs} pairs"


def _p(comparison: Comparison, num_comparisons: int) -> str:
    text = p_text(comparison.p_value)
    text = f"p {text}" if text.startswith("<") else f"p = {text}"
    if num_comparisons > 1 and comparison.p_holm is not None:
        text += f", {p_text(comparison.p_holm)} after Holm's correction"
    return text


def _conclusion(comparison: Comparison, decimals: int) -> str:
    if comparison.verdict is Verdict.EQUIVALENT:
        margin = with_unit(f"±{comparison.equivalence_margin:g}", comparison.unit)
        return f"equivalent, the whole interval lies within {margin}"
    if comparison.verdict is Verdict.INCONCLUSIVE:
        low, high = signed(comparison.ci_low, decimals), signed(comparison.ci_high, decimals)
        return (
            f"inconclusive; effects from {low} to {with_unit(high, comparison.unit)} "
            f"stay possible with {comparison.num_pairs} pairs"
        )
    return comparison.verdict.value
