"""The kinds that a search may come to, and so the code that its experiment's digest holds."""

from orchestrator.planning.space_rules import of_other_kinds, space_complaints
from orchestrator.spec.experiment import ArmSearch, Resources
from trainers.config import TrialConfig

CONFIG = TrialConfig.model_validate({"model": {"kind": "small_vit"}, "dataset": {"kind": "digits"}})
ADAMW = [{"kind": "adamw", "lr": 0.001}, {"kind": "adamw", "lr": 0.01}]


def kinds(**space: list[object]) -> set[str]:
    """Of the optimizers that a valid space may come to; `__` for a dot."""
    paths = {f"optimization.{path.replace('__', '.')}": values for path, values in space.items()}
    search = ArmSearch.model_validate(
        {"space": {path: {"kind": "choice", "values": values} for path, values in paths.items()}, "num_candidates": 2}
    )
    complaints = list(space_complaints(CONFIG, search, Resources(), num_train=None))
    assert complaints == []
    return {found.optimization.optimizer.kind for found in of_other_kinds(CONFIG, search.space)}


def test_a_whole_value_may_be_of_another_kind() -> None:
    assert kinds(optimizer=[*ADAMW, {"kind": "sgd", "lr": 0.1}]) == {"adamw", "sgd"}


def test_a_number_is_of_no_kind() -> None:
    assert kinds(optimizer__lr=[0.1, 0.2]) == set()


def test_a_kind_that_comes_about_only_with_a_value_around_it_is_found() -> None:
    """One epoch has no room for the warm-up; ten have."""
    short = CONFIG.model_copy(update={"optimization": CONFIG.optimization.model_copy(update={"epochs": 1})})
    values = {
        "optimization": [{"epochs": 10, "global_batch_size": 50}, {"epochs": 20, "global_batch_size": 50}],
        "optimization.schedule": [{"kind": "constant", "warmup_epochs": 5}, {"kind": "cosine", "warmup_epochs": 5}],
    }
    space = {path: {"kind": "choice", "values": listed} for path, listed in values.items()}
    search = ArmSearch.model_validate({"space": space, "num_candidates": 2})
    found = {config.optimization.schedule.kind for config in of_other_kinds(short, search.space)}
    assert found >= {"constant", "cosine"}
