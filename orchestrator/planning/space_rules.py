"""Whether a search space lies in the domain of the trial config."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from math import prod
from typing import TypeAlias

from pydantic import JsonValue, ValidationError

from orchestrator.planning.composition import json_of, validated_trial
from orchestrator.planning.planned_fields import PLANNED_FIELDS
from orchestrator.planning.point import outer_paths, with_point
from orchestrator.planning.trial_rules import broken_rules
from orchestrator.search.space import Choice, Distribution, Params, Space
from orchestrator.spec.complaints import Path, complaints_of
from orchestrator.spec.experiment import ArmSearch, Resources
from orchestrator.spec.patch import UnknownPathError
from trainers.config import TrialConfig, canonical_json
from trainers.strict_json import JsonObject

_Rules: TypeAlias = Callable[[TrialConfig], list[tuple[Path, str]]]
"""`broken_rules` for these resources and data."""

_FORBIDDEN = {
    **PLANNED_FIELDS,
    "task": "the task belongs to the question, not to the search",
    "analyses": "an analysis moves no number of the training, so nothing can be chosen by it",
    "dataset": "the data belong to the cell; params chosen on other data would not be comparable",
}


_MAX_COMBINATIONS = 10_000
"""So many values of a path and of those it lies in are tried together."""


def space_complaints(
    config: TrialConfig, search: ArmSearch, resources: Resources, *, num_train: int | None
) -> Iterator[tuple[Path, str]]:
    """Everything that is wrong with a space, tried on one cell's config.

    Both ends of every distribution (every value of a choice) are set, one path at a time with all others as in the
    arm's patch, and validated as a trial; a path inside another one with each value of that. Where the candidates are
    known beforehand (a grid, random draws), each of them is tried too.

    Args:
        config: the arm's trial in one cell, without params.
        search: the arm's search.
        resources: what a trial takes from the cluster.
        num_train: images of the training split, as in `broken_rules`.

    Yields:
        Place below the search and message.
    """
    document = json_of(config)
    rules = partial(broken_rules, resources=resources, search=None, num_train=num_train)
    complaints: list[tuple[Path, str]] = []
    for path, distribution in search.space.items():
        root = path.partition(".")[0]
        if root in _FORBIDDEN:
            complaints.append((("space", path), f"`{root}` can't be searched: {_FORBIDDEN[root]}"))
        else:
            complaints += _path_complaints(document, path, distribution, search.space, rules)
    yield from dict.fromkeys(complaints)
    if complaints or len(search.space) == 1:
        return
    candidates = search.algorithm.listed(search.space, num_candidates=search.num_candidates)
    if candidates is not None:
        yield from _candidate_complaints(document, candidates, rules)


def of_other_kinds(config: TrialConfig, space: Space) -> Iterator[TrialConfig]:
    """The trials of a valid space that may be of another `kind` or `target` somewhere than the arm's own.

    One for each whole value, with every combination of the values that its path lies in, as `space_complaints` tries
    them: some kinds come about in such a combination only.

    Args:
        config: the arm's trial, without params.
        space: what may vary; `space_complaints` has nothing against it.
    """
    document = json_of(config)
    for path in space:
        outer = list(outer_paths(path, space))
        for values in product(*(_ends(space[name]) for name in (*outer, path))):
            point: Params = {name: value for name, (_, value) in zip((*outer, path), values, strict=True)}
            if isinstance(point[path], dict) or path.endswith((".kind", ".target")):
                yield validated_trial(with_point(document, point))


def _path_complaints(
    document: JsonObject, path: str, distribution: Distribution, space: Space, rules: _Rules
) -> Iterator[tuple[Path, str]]:
    outer = {name: _ends(space[name]) for name in outer_paths(path, space)}
    num_combinations = prod(len(ends) for ends in outer.values())
    if num_combinations * len(_ends(distribution)) > _MAX_COMBINATIONS:
        message = f"with the values of {_listed(outer)} there are more than {_MAX_COMBINATIONS:,} combinations to try"
        yield ("space", path), message
        return
    for values in product(*outer.values()):
        around: Params = {name: value for name, (_, value) in zip(outer, values, strict=True)}
        first: dict[str, str] = {}
        for place, value in _ends(distribution):
            try:
                changed = validated_trial(with_point(document, {**around, path: value}))
            except UnknownPathError as error:
                yield ("space", path), f"`{path}` is not a field of the trial config: {error}"
                return
            except ValidationError as error:
                if around and any(details["type"] == "extra_forbidden" for details in error.errors()):
                    yield ("space", path), _conditional(path, around)
                    break
                for _, message in complaints_of(error, TrialConfig):
                    yield ("space", path, *place), f"{_words({**around, path: value})}: {message}"
                continue
            for _, message in rules(changed):
                yield ("space", path, *place), f"{_words({**around, path: value})}: {message}"
            earlier = first.setdefault(canonical_json(changed), json.dumps(value))
            if earlier != json.dumps(value):
                yield ("space", path, *place), f"`{path}` = {json.dumps(value)} makes the same trial as {earlier}"


def _candidate_complaints(
    document: JsonObject, candidates: Iterable[Params], rules: _Rules
) -> Iterator[tuple[Path, str]]:
    """The first candidate that makes no valid trial, though each of its values alone would."""
    # A search trial is asked no analysis; those of the confirm phase were tried with every value.
    document = {**document, "analyses": []}
    broken: list[str] = []
    for params in candidates:
        try:
            changed = validated_trial(with_point(document, params))
        except UnknownPathError as error:
            broken.append(f"{_words(params)}: {error}")
        except ValidationError as error:
            broken.append(f"{_words(params)}: {'; '.join(text for _, text in complaints_of(error, TrialConfig))}")
        else:
            broken += [f"{_words(params)}: {text}" for _, text in rules(changed)]
    if broken:
        others = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        yield ("space",), f"the candidate {broken[0]}{others}"


def _conditional(path: str, around: Params) -> str:
    outer = list(around)[-1]
    return (
        f"with {_words(around)} there is no `{path}`, and each path of a search must exist for all candidates: list "
        f"whole values under `{outer}` alone, or give each kind an arm of its own"
    )


def _words(params: Params) -> str:
    return ", ".join(f"`{path}` = {json.dumps(value)}" for path, value in params.items())


def _listed(paths: Iterable[str]) -> str:
    return " and ".join(f"`{path}`" for path in paths)


def _ends(distribution: Distribution) -> list[tuple[Path, JsonValue]]:
    """Place in the distribution and value of everything to try."""
    if isinstance(distribution, Choice):
        return [(("values", i), value) for i, value in enumerate(distribution.values)]
    return [(("low",), distribution.low), (("high",), distribution.high)]
