"""What a single trial must keep to beyond the types of its fields."""

from collections.abc import Iterator

from orchestrator.problems import Path
from orchestrator.search import Asha
from orchestrator.spec import ArmSearch, Resources
from trainers.analyses.configs import ReceptiveFieldAnalysis
from trainers.analyses.questions import check_query, check_target
from trainers.config import TrialConfig
from trainers.counted import counted
from trainers.errors import AnalysisError
from trainers.mixing import MixupMixing
from trainers.models import NoBias


def broken_rules(
    config: TrialConfig, resources: Resources, search: ArmSearch | None, *, num_train: int | None
) -> list[tuple[Path, str]]:
    """Place in the trial config and message of every broken rule.

    Args:
        config: the trial.
        resources: what it takes from the cluster.
        search: the search of its arm, if there is one.
        num_train: images of the training split (`None`: the data are a finding of their own).
    """
    return [
        *_bias(config),
        *_batch(config, resources, num_train),
        *_early_stopping(config, search),
        *_analyses(config),
    ]


def _bias(config: TrialConfig) -> Iterator[tuple[Path, str]]:
    reason = None if isinstance(config.attention_bias, NoBias) else config.model.no_bias
    if reason is not None:
        yield ("attention_bias",), f"{config.model.label} takes no attention bias: {reason}"


def _analyses(config: TrialConfig) -> Iterator[tuple[Path, str]]:
    """Tokens and layers that the model has not: its trials would succeed, and show nothing."""
    for i, analysis in enumerate(config.analyses):
        try:
            if isinstance(analysis, ReceptiveFieldAnalysis):
                check_target(analysis, config.model.grids().features, config.model.label)
            elif config.model.no_bias is not None:
                yield ("analyses", i), f"{config.model.label} has no attention whose position bias could be shown"
            else:
                check_query(analysis, config.model.grids().attention)
        except AnalysisError as error:
            yield ("analyses", i), str(error)


def _batch(config: TrialConfig, resources: Resources, num_train: int | None) -> list[tuple[Path, str]]:
    optimization = config.optimization
    place: Path = ("optimization", "global_batch_size")
    size, accumulation = optimization.global_batch_size, optimization.accumulation_steps
    num_parts = resources.num_workers * accumulation
    complaints: list[tuple[Path, str]] = []
    if size % num_parts:
        below = size - size % num_parts
        nearest = f"{below} or {below + num_parts}" if below else f"{num_parts}"
        message = (
            f"a global batch of {size} can't be shared by {counted(resources.num_workers, 'worker')} x "
            f"{counted(accumulation, 'accumulation step')}; {nearest} could"
        )
        complaints.append((place, message))
    elif isinstance(config.mixing, MixupMixing) and size // num_parts % 2:
        message = (
            f"mixing pairs the images of a batch, and {size // num_parts} (a global batch of {size} over "
            f"{counted(resources.num_workers, 'worker')} x {counted(accumulation, 'accumulation step')}) is odd; "
            f"{size + num_parts} would do"
        )
        complaints.append((place, message))
    if num_train is not None and size > num_train and optimization.epochs:
        images = counted(num_train, "image")
        complaints.append((place, f"a global batch of {size} is larger than the training set of {images}; take fewer"))
    return complaints


def _early_stopping(config: TrialConfig, search: ArmSearch | None) -> list[tuple[Path, str]]:
    if search is None or not isinstance(search.early_stopping, Asha):
        return []
    grace, epochs = search.early_stopping.grace_epochs, config.optimization.epochs
    if grace < epochs:
        return []
    return [
        (
            ("optimization", "epochs"),
            f"early stopping after {counted(grace, 'epoch')} (`grace_epochs`) never acts on a training of {epochs}",
        )
    ]
