"""Our attention biases, asked what every attention bias must do."""

from typing import get_args

from trainers.contracts import AttentionBiasContract
from trainers.kinds import AttentionBiasConfig
from trainers.models.bias import AttentionBias, NoBias
from trainers.models.gaussian import GaussianBias, PermutedGaussianBias, StoredGaussianBias
from trainers.models.python_bias import PythonBias


class TestNoBias(AttentionBiasContract):
    def make(self) -> AttentionBias:
        return NoBias()


class TestGaussian(AttentionBiasContract):
    def make(self) -> AttentionBias:
        return GaussianBias(sigma=1.5, amplitude=2.0)


class TestGaussianOfEachHead(AttentionBiasContract):
    def make(self) -> AttentionBias:
        return GaussianBias(sigma=1.5, amplitude=2.0, per_head=True, parameterization="softplus")


class TestFixedGaussian(AttentionBiasContract):
    def make(self) -> AttentionBias:
        return GaussianBias(sigma=1.5, amplitude=2.0, learn_sigma=False, parameterization="log")


class TestPermutedGaussian(AttentionBiasContract):
    def make(self) -> AttentionBias:
        return PermutedGaussianBias(sigma=1.5, amplitude=2.0)


class TestStoredGaussian(AttentionBiasContract):
    def make(self) -> AttentionBias:
        return StoredGaussianBias()


def test_every_kind_is_asked() -> None:
    asked = {type(contract().make()) for contract in AttentionBiasContract.__subclasses__()}
    # An own one is asked where it is written (`sigmalab new`, tests/trainers/own_code).
    assert asked == set(get_args(AttentionBiasConfig)) - {PythonBias}
