"""Whether a search space lies in the domain of the trial config."""

from collections.abc import Iterator

from pydantic import JsonValue, ValidationError

from orchestrator.planning.composition import PLANNED_FIELDS, json_of, validated_trial
from orchestrator.planning.patch import UnknownPathError, set_path
from orchestrator.planning.trial_rules import broken_rules
from orchestrator.problems import Path, complaints_of
from orchestrator.search import Choice, Distribution
from orchestrator.spec import ArmSearch, Resources
from trainers.config import TrialConfig

_FORBIDDEN = {
    **PLANNED_FIELDS,
    "task": "the task belongs to the question, not to the search",
    "dataset": "the data belong to the cell; params chosen on other data would not be comparable",
}


def space_complaints(config: TrialConfig, search: ArmSearch, resources: Resources) -> Iterator[tuple[Path, str]]:
    """Everything that is wrong with a space, tried on one cell's config.

    Both ends of every distribution (every value of a choice) are set, one path at a time with all others as in the
    arm's patch, and validated as a trial. Combinations of paths are not tried.

    Args:
        config: the arm's trial in one cell, without params.
        search: the arm's search.
        resources: what a trial takes from the cluster.

    Yields:
        Place below the search and message.
    """
    document = json_of(config)
    for path, distribution in search.space.items():
        root = path.partition(".")[0]
        if root in _FORBIDDEN:
            yield ("space", path), f"`{root}` can't be searched: {_FORBIDDEN[root]}"
            continue
        for place, value in _ends(distribution):
            try:
                changed = validated_trial(set_path(document, path, value))
            except UnknownPathError as error:
                yield ("space", path), f"`{path}` is no field of the trial config: {error}"
                break
            except ValidationError as error:
                for _, message in complaints_of(error, TrialConfig):
                    yield ("space", path, *place), f"`{path}` = {value}: {message}"
                continue
            for _, message in broken_rules(changed, resources, None):
                yield ("space", path, *place), f"`{path}` = {value}: {message}"


def _ends(distribution: Distribution) -> list[tuple[Path, JsonValue]]:
    """Place in the distribution and value of everything to try."""
    if isinstance(distribution, Choice):
        return [(("values", i), value) for i, value in enumerate(distribution.values)]
    return [(("low",), distribution.low), (("high",), distribution.high)]
