"""What a single trial must keep to beyond the types of its fields."""

from collections.abc import Iterator

from orchestrator.spec.complaints import Path
from orchestrator.spec.experiment import ArmSearch, Resources
from trainers.command.checks import command_complaints
from trainers.config import TrialConfig
from trainers.counted import counted
from trainers.errors import OwnCodeError
from trainers.models.weights_file import WITHOUT_WEIGHTS
from trainers.own_code.place import require_own_code
from trainers.own_code.python_object import own_modules_of


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
    own = own_code_complaints(config)
    if own:
        # What else is asked of a config may ask its code.
        return own
    if config.task.runs_itself:
        return [*command_complaints(config), *_around_commands(resources, search)]
    try:
        return _rules_of_kinds(config, resources, search, num_train)
    except OwnCodeError as error:
        return [((next(fields_with_own_code(config)),), str(error))]


def _around_commands(resources: Resources, search: ArmSearch | None) -> Iterator[tuple[Path, str]]:
    """What is not there for programs of the user's own."""
    if search is not None:
        yield (), "arguments of a command can't be searched yet: list the values as arms, or search in the script"
    if resources.num_workers > 1:
        yield (
            (),
            "a command is one process on one node, which may start others: `resources.num_workers` has to be 1",
        )


def own_code_complaints(config: TrialConfig) -> list[tuple[Path, str]]:
    """Place in the trial config and message of own code that is not there, or may not be run here."""
    complaints: list[tuple[Path, str]] = []
    for field in fields_with_own_code(config):
        complaint = require_own_code(own_modules_of(getattr(config, field)))
        if complaint is not None:
            complaints.append(((field,), complaint))
    return complaints


def fields_with_own_code(config: TrialConfig) -> Iterator[str]:
    """Fields of a trial config that name objects of the user's own."""
    for field in type(config).model_fields:
        if any(True for _ in own_modules_of(getattr(config, field))):
            yield field


def _rules_of_kinds(
    config: TrialConfig, resources: Resources, search: ArmSearch | None, num_train: int | None
) -> list[tuple[Path, str]]:
    return [
        *_bias(config),
        *_batch(config, resources, num_train),
        *_warmup(config, num_train),
        *_sizes(config),
        *_early_stopping(config, search),
        *_analyses(config),
    ]


def _bias(config: TrialConfig) -> Iterator[tuple[Path, str]]:
    bias = config.attention_bias
    if bias.is_none:
        return
    if bias.needs_attention and config.model.no_bias is not None:
        yield ("attention_bias",), f"{config.model.label} takes no attention bias: {config.model.no_bias}"
    elif bias.starts_from_weights and config.model.weights is None:
        yield ("attention_bias",), WITHOUT_WEIGHTS


def _analyses(config: TrialConfig) -> Iterator[tuple[Path, str]]:
    for i, analysis in enumerate(config.analyses):
        complaint = analysis.complaint(config.model)
        if complaint is not None:
            yield ("analyses", i), complaint


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
            f"{counted(accumulation, 'accumulation step')}; {nearest} would do"
        )
        complaints.append((place, message))
    elif size // num_parts % config.mixing.mixed_together:
        message = (
            f"mixing pairs the images of a batch, and {size // num_parts} (a global batch of {size} over "
            f"{counted(resources.num_workers, 'worker')} x {counted(accumulation, 'accumulation step')}) is odd; "
            f"{size + num_parts} would do"
        )
        complaints.append((place, message))
    if num_train is not None and size > num_train and optimization.epochs:
        images = counted(num_train, "image")
        complaints.append(
            (place, f"a global batch of {size} is larger than the training set of {images}; take a smaller one")
        )
    return complaints


def _warmup(config: TrialConfig, num_train: int | None) -> Iterator[tuple[Path, str]]:
    optimization = config.optimization
    num_steps = 0 if num_train is None else num_train // optimization.global_batch_size * optimization.epochs
    complaint = optimization.schedule.complaint(num_steps) if num_steps else None
    if complaint is not None:
        yield ("optimization", "schedule", "warmup_steps"), complaint


def _sizes(config: TrialConfig) -> Iterator[tuple[Path, str]]:
    if config.task.sees_any_size and not config.model.takes_any_size:
        yield ("model",), config.model.only_its_size


def _early_stopping(config: TrialConfig, search: ArmSearch | None) -> list[tuple[Path, str]]:
    complaint = None if search is None else search.early_stopping.complaint(epochs=config.optimization.epochs)
    return [] if complaint is None else [(("optimization", "epochs"), complaint)]
