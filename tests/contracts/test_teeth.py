"""The contracts bite: a kind that breaks a promise is told so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.contracts import SearchAlgorithmContract
from orchestrator.search.proposer import ListedProposer
from orchestrator.search.random_draws import RandomSearch
from orchestrator.search.space import Params, Space
from trainers.contracts import AttentionBiasContract, DatasetContract, MaskSetContract, ModelContract
from trainers.data.digits import DigitsConfig
from trainers.data.shapes import ShapesConfig
from trainers.data.splits import Splits
from trainers.models.gaussian import GaussianBias
from trainers.models.gaussian_attention import GaussianAttentionBias
from trainers.models.grid import TokenGrid
from trainers.models.grids import ModelGrids
from trainers.models.small_vit import SmallVitConfig


class SplitBySeed(DigitsConfig):
    def load(self, data_root: Path | None, **how) -> Splits:
        return DigitsConfig(**(self.model_dump() | {"split_seed": how["seed"]})).load(data_root, **how)


class DrawsWeights(DigitsConfig):
    def load(self, data_root: Path | None, **how) -> Splits:
        torch.rand(1)
        return super().load(data_root, **how)


class TestByChance(DigitsConfig):
    __test__ = False

    def load(self, data_root: Path | None, **how) -> Splits:
        splits = super().load(data_root, **how)
        pixels = np.random.default_rng().random(splits.test._pixels.shape, dtype=np.float32)
        splits.test._pixels = torch.from_numpy(pixels)
        return splits


class LabelsBySeed(DigitsConfig):
    def load(self, data_root: Path | None, **how) -> Splits:
        splits = super().load(data_root, **how)
        splits.train.labels = (splits.train.labels + how["seed"]) % 10
        return splits


class OneClassTooFew(ShapesConfig):
    def load(self, data_root: Path | None, **how) -> Splits:
        splits = super().load(data_root, **how)
        return replace(splits, class_names=splits.class_names[:2])


class Blind(GaussianBias):
    def attach(self, model: torch.nn.Module) -> None:
        pass


class OverPrefixTokens(GaussianAttentionBias):
    def forward(self) -> torch.Tensor:
        return super().forward() + 1


class Careless(GaussianBias):
    def of_layer(self, grid: TokenGrid, num_heads: int, device: torch.device) -> GaussianAttentionBias:
        torch.rand(1)
        return OverPrefixTokens(self, grid, num_heads, device)


class OtherTokens(SmallVitConfig):
    def grids(self) -> ModelGrids:
        return ModelGrids(features=((2, 2),) * self.depth, attention=((2, 2),) * self.depth)


class Twice(RandomSearch):
    def build(self, space: Space, *, num_candidates: int) -> ListedProposer:
        points = self.listed(space, num_candidates=num_candidates)
        return ListedProposer(points + points)


class Forgetful(RandomSearch):
    def build(self, space: Space, *, num_candidates: int) -> ListedProposer:
        proposer = super().build(space, num_candidates=num_candidates)
        proposer.restore = lambda params: None  # type: ignore[method-assign]
        return proposer


class Elsewhere(RandomSearch):
    def listed(self, space: Space, *, num_candidates: int) -> list[Params]:
        return [dict.fromkeys(space, -1)]


def of(contract: type, kind: object) -> object:
    return type("Asked", (contract,), {"make": lambda *_: kind})()


DIGITS = {"num_train": 60, "num_val": 40, "num_test": 50}


@pytest.mark.parametrize(
    "question",
    [
        lambda folder: of(
            DatasetContract, SplitBySeed(**DIGITS)
        ).test_its_splits_are_disjoint_and_the_same_for_every_seed(folder),
        lambda folder: of(DatasetContract, DrawsWeights(**DIGITS)).test_loading_moves_no_random_number(folder),
        lambda folder: of(DatasetContract, TestByChance(**DIGITS)).test_what_is_scored_is_the_same_whoever_asks(folder),
        lambda folder: of(DatasetContract, LabelsBySeed(**DIGITS)).test_targets_do_not_follow_the_seed(folder),
        lambda folder: of(MaskSetContract, OneClassTooFew(num_train=9)).test_it_gives_masks(folder),
        lambda folder: of(MaskSetContract, DigitsConfig(**DIGITS)).test_it_says_that_it_has_masks(folder),
        lambda _: of(ModelContract, OtherTokens(image_size_px=16)).test_its_grids_are_those_of_the_network(),
        lambda _: of(AttentionBiasContract, Blind(amplitude=2.0)).test_it_changes_the_logits_until_it_is_silenced(),
        lambda _: of(AttentionBiasContract, Careless()).test_it_draws_nothing_and_leaves_all_weights(),
        lambda _: of(AttentionBiasContract, Careless()).test_its_matrix_spares_prefix_tokens_and_follows_the_grid(),
        lambda _: of(SearchAlgorithmContract, Twice()).test_it_proposes_points_of_the_space_none_twice_and_ends(),
        lambda _: of(SearchAlgorithmContract, Twice()).test_what_it_lists_beforehand_is_what_it_proposes(),
        lambda _: of(SearchAlgorithmContract, Forgetful()).test_after_a_restart_it_goes_on_as_it_would_have(),
        lambda _: of(SearchAlgorithmContract, Elsewhere()).test_it_proposes_points_of_the_space_none_twice_and_ends(),
    ],
)
def test_a_broken_promise_is_told(question: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        question(tmp_path)


def test_a_user_needs_no_pytest_to_import_them() -> None:
    for file in (*Path("trainers/contracts").glob("*.py"), Path("orchestrator/contracts.py")):
        assert "import pytest" not in file.read_text()
