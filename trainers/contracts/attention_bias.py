"""What every attention bias must do."""

import copy
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from trainers.models.attached_bias import AttachedBias
from trainers.models.bias import AttentionBias, attached_biases, bias_metrics, bias_parameters
from trainers.models.grid import TokenGrid
from trainers.models.small_vit import SmallVitConfig
from trainers.strict import kind_of

_GRID, _NUM_HEADS = TokenGrid(3, 4, num_prefix_tokens=2), 3
_VITS = (
    SmallVitConfig(width=12, depth=2, num_heads=3, image_size_px=16, patch_size_px=4),
    SmallVitConfig(width=12, depth=2, num_heads=3, image_size_px=16, patch_size_px=4, position="absolute"),
)


class AttentionBiasContract(ABC):
    """Asked of one config; one that adds nothing must leave every model as it is."""

    @abstractmethod
    def make(self) -> AttentionBias:
        """The bias's config, strong enough to change what a small ViT says."""

    def test_its_config_is_a_value(self) -> None:
        """It hashes, equals its copy, and comes back from JSON."""
        config = self.make()
        again = type(config).model_validate_json(config.model_dump_json())
        assert (again, hash(again)) == (config, hash(config))

    def test_it_has_words(self) -> None:
        """For tables and for an arm's description."""
        config = self.make()
        assert config.words
        assert config.description(is_trained=True)
        assert config.description(is_trained=False)
        assert config.lr_factor > 0

    def test_it_draws_nothing_and_leaves_all_weights(self) -> None:
        """Both arms of a pair start from the same bits."""
        for control, treatment in self._pairs():
            before = {name: value.clone() for name, value in treatment.state_dict().items()}
            state = torch.random.get_rng_state()
            self.make().attach(treatment)
            assert torch.equal(torch.random.get_rng_state(), state)
            after = treatment.state_dict()
            assert all(torch.equal(after[name], value) for name, value in before.items())
            assert before.keys() == control.state_dict().keys()

    def test_it_changes_the_logits_until_it_is_silenced(self) -> None:
        """And nothing else does."""
        for control, treatment in self._pairs():
            self.make().attach(treatment)
            biases, images = attached_biases(treatment), _images()
            with torch.no_grad():
                is_same = torch.allclose(treatment(images), control(images), rtol=1e-5, atol=1e-6)
                assert is_same == self.make().is_none
                for bias in biases:
                    bias.silence()
                torch.testing.assert_close(treatment(images), control(images), rtol=1e-4, atol=1e-5)

    def test_every_layer_is_watched_under_its_names(self) -> None:
        """`<name>/<layer>`, finite; and the config knows of each name whether it is learned."""
        config = self.make()
        for _, treatment in self._pairs():
            config.attach(treatment)
            told = bias_metrics(treatment)
            if config.is_none:
                assert told == {}
                continue
            biases = attached_biases(treatment)
            assert {bias.kind for bias in biases} == {kind_of(type(config))}
            names = list(biases[0].scalars())
            assert {key.partition("/")[0] for key in told} == set(names)
            assert len(told) == sum(len(values) for bias in biases for values in bias.scalars().values())
            assert all(torch.isfinite(torch.tensor(list(told.values()))))
            for name in names:
                start = config.starts_at(name)
                assert start is None or abs(told[next(key for key in told if key.startswith(name))] - start) < 1e-5
                assert config.learns(name) in (True, False)

    def test_what_is_learned_gets_gradients(self) -> None:
        """Of every layer."""
        for _, treatment in self._pairs():
            self.make().attach(treatment)
            treatment(_images()).square().sum().backward()
            for parameter in bias_parameters(treatment):
                if parameter.requires_grad:
                    assert parameter.grad is not None
                    assert torch.isfinite(parameter.grad).all()
                    assert parameter.grad.abs().sum() > 0

    def test_its_matrix_spares_prefix_tokens_and_follows_the_grid(self) -> None:
        """[h, N, N] in fp32, as long as the sequence, on another grid too; a copy gives the same."""
        if self.make().is_none:
            return
        bias = self._layer()
        for grid in (_GRID, TokenGrid(5, 2, num_prefix_tokens=2)):
            bias.set_grid(grid)
            matrix = bias().detach()
            heads = _NUM_HEADS if bias.per_head else 1
            assert matrix.shape == (heads, grid.num_tokens, grid.num_tokens)
            assert matrix.dtype == torch.float32
            assert (matrix[:, : grid.num_prefix_tokens] == 0).all()
            assert (matrix[:, :, : grid.num_prefix_tokens] == 0).all()
            assert matrix.abs().sum() > 0
            assert torch.equal(copy.deepcopy(bias)().detach(), matrix)

    def test_its_weights_go_on_on_another_grid(self) -> None:
        """What is learned knows no size of an image."""
        if self.make().is_none:
            return
        bias, other = self._layer(), self._layer(TokenGrid(6, 6))
        with torch.no_grad():
            for parameter in bias.parameters():
                parameter.mul_(1.5)
        other.load_state_dict(bias.state_dict())
        other.set_grid(_GRID)
        assert torch.equal(other().detach(), bias().detach())

    def _layer(self, grid: TokenGrid = _GRID) -> AttachedBias:
        return self.make().of_layer(grid, _NUM_HEADS, torch.device("cpu"))

    def _pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Two equal models each, worn as if trained; with a position bias of their own and without one."""
        return [(_worn(config), _worn(config)) for config in _VITS]


def _worn(config: SmallVitConfig) -> nn.Module:
    torch.manual_seed(0)
    model, generator = config.build(5), torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def _images() -> Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
