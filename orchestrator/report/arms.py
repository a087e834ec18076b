"""What each arm is, in words: what it changes, and its attention bias where that is what arms differ in."""

from collections.abc import Iterator, Sequence

from orchestrator.report.content.report import ArmSummary, TrialRecord
from orchestrator.report.sections.hyperparameters import flat_settings, setting_text
from orchestrator.spec.experiment import Arm, ExperimentSpec
from orchestrator.status import Phase
from trainers.config import TrialConfig

_BIAS = "attention_bias"


def arm_summaries(spec: ExperimentSpec, trials: Sequence[TrialRecord]) -> tuple[ArmSummary, ...]:
    """All arms, in the order of the spec."""
    confirm: dict[str, list[TrialRecord]] = {arm.name: [] for arm in spec.arms}
    for trial in trials:
        if trial.phase is Phase.CONFIRM:
            confirm[trial.arm].append(trial)
    control = spec.control
    differing = {
        arm.name
        for arm in spec.treatments
        if _biases(arm, confirm[arm.name]) != _biases(control, confirm[control.name])
    }
    if differing:
        differing.add(control.name)
    return tuple(
        _summary(arm, confirm[arm.name], confirm[control.name], tells_bias=arm.name in differing) for arm in spec.arms
    )


def _biases(arm: Arm, trials: Sequence[TrialRecord]) -> object:
    """An arm's bias in each cell, to be compared with another arm's; as the spec has it where there is no trial yet."""
    if trials:
        return {(trial.cell.key, _bias_words(trial.config)) for trial in trials}
    searched = [path for path in (arm.search.space if arm.search else ()) if _is_of_bias(path)]
    return arm.patch.get(_BIAS, {"kind": "none"}), searched


def _is_of_bias(path: str) -> bool:
    return path.partition(".")[0] == _BIAS


def _summary(
    arm: Arm, trials: Sequence[TrialRecord], control: Sequence[TrialRecord], *, tells_bias: bool
) -> ArmSummary:
    """The bias is told as the trials really got it (a cell may patch it)."""
    biases = {_bias_words(trial.config): trial.config.attention_bias for trial in trials}
    kinds = [bias.is_placebo for bias in biases.values()]
    parts = [
        "trained once more" if path == "replica" else f"{path} = {text}"
        for path, text in flat_settings(arm.patch)
        if not _is_of_bias(path)
    ]
    if arm.code is not None:
        parts.insert(0, arm.code.words)
    parts += _chosen(arm, trials)
    parts += _brought_along(arm, trials, control)
    if tells_bias:
        parts.append(_bias_description(arm, list(biases)))
    return ArmSummary(
        name=arm.name,
        label=arm.label,
        role=arm.role,
        description="; ".join(parts) or "nothing changed",
        is_placebo=bool(kinds) and all(kinds),
    )


def _chosen(arm: Arm, trials: Sequence[TrialRecord]) -> Iterator[str]:
    """Params beside those of the bias, which its own words tell."""
    paths = [path for path in (arm.search.space if arm.search else ()) if not _is_of_bias(path)]
    for path in paths:
        found = {setting_text(trial.params[path]) for trial in trials if path in trial.params}
        if not found:
            yield f"{path} still to be chosen"
        else:
            yield f"{path} = {found.pop()}" if len(found) == 1 else f"{path} by cell"


def _brought_along(arm: Arm, trials: Sequence[TrialRecord], control: Sequence[TrialRecord]) -> Iterator[str]:
    """What no patch names and differs all the same: an optimizer of another kind has a weight decay of its own."""
    beside = {trial.cell.key: trial.config for trial in control}
    known = {path for path, _ in flat_settings(arm.patch)} | set(arm.search.space if arm.search else ())
    for trial in trials:
        if trial.cell.key in beside:
            given = dict(flat_settings(beside[trial.cell.key].model_dump(mode="json")))
            found = [
                f"{path} = {text}"
                for path, text in flat_settings(trial.config.model_dump(mode="json"))
                if given.get(path) != text and path not in known and path != "seed" and not _is_of_bias(path)
            ]
            if found:
                yield f"and with it {', '.join(found)}"
            return


def _bias_description(arm: Arm, biases: Sequence[str]) -> str:
    if 0 < len(biases) <= 2:
        return " or ".join(biases)
    if biases:
        return "its params differ by cell"
    return "params still to be chosen" if arm.search else "no trial planned yet"


def _bias_words(config: TrialConfig) -> str:
    return config.attention_bias.description(is_trained=bool(config.optimization.epochs))
