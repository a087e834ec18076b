"""What every model must do."""

import copy
import pickle
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from trainers.models.attachment import find_sites
from trainers.models.bias import attached_biases
from trainers.models.gaussian import GaussianBias
from trainers.models.grids import grids_of
from trainers.models.model import Model

_NUM_CLASSES, _BIAS = 7, ".gaussian."


class ModelContract(ABC):
    """Asked of a small model; what concerns the attention bias only of one that takes a bias."""

    @abstractmethod
    def make(self) -> Model:
        """The model's config."""

    def test_its_config_is_a_value(self) -> None:
        """It hashes, equals its copy, and comes back from JSON."""
        config = self.make()
        again = type(config).model_validate_json(config.model_dump_json())
        assert (again, hash(again)) == (config, hash(config))

    def test_its_label_fits_into_names_and_paths(self) -> None:
        """Tables, folders and addresses have it."""
        label = self.make().label
        assert label == label.strip() != ""
        assert "/" not in label

    def test_building_is_a_function_of_the_seed(self) -> None:
        """Replicates differ by it, pairs share it."""
        first, same, other = (self._built(seed).state_dict() for seed in (0, 0, 1))
        assert all(torch.equal(first[name], same[name]) for name in first)
        assert not all(torch.equal(first[name], other[name]) for name in first)

    def test_it_gives_one_logit_for_each_class(self) -> None:
        """Finite, from images of the size that it names."""
        with torch.no_grad():
            logits = self._built().eval()(self._images())
        assert logits.shape == (2, _NUM_CLASSES)
        assert torch.isfinite(logits).all()

    def test_it_computes_what_it_says(self) -> None:
        """A multiply-add is two operations, and every weight of a linear layer meets at least one token."""
        model = self._built()
        weights = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
        assert self.make().forward_flops_per_image() >= 2 * (weights - _NUM_CLASSES * model.num_features)  # type: ignore[operator]

    def test_its_grids_are_those_of_the_network(self) -> None:
        """A plan asks the config where tokens lie, and builds nothing."""
        config = self.make()
        built = grids_of(self._built(), config.input_size_px)
        told = config.grids()
        assert told.features == built.features
        assert set(told.attention) == set(built.attention)
        assert bool(built.attention) == (config.no_bias is None)

    def test_a_bias_draws_nothing_and_leaves_all_weights(self) -> None:
        """Both arms of a pair start from the same bits."""
        if self.make().no_bias is not None:
            return
        control, treatment = self._built(), self._built()
        state = torch.random.get_rng_state()
        GaussianBias(per_head=True).attach(treatment)
        assert torch.equal(torch.random.get_rng_state(), state)
        weights = treatment.state_dict()
        for name, value in control.state_dict().items():
            assert torch.equal(weights[name], value), name
        assert all(_BIAS in name for name in weights.keys() - control.state_dict().keys())

    def test_a_bias_lies_over_the_tokens_and_reaches_the_logits(self) -> None:
        """Each layer's is as long as the layer's sequence; a strong one changes what the model says."""
        if self.make().no_bias is not None:
            return
        control, treatment = self._worn(), self._worn()
        sites = find_sites(treatment)
        GaussianBias(sigma=1.0, amplitude=3.0).attach(treatment)
        biases = attached_biases(treatment)
        assert [bias.grid for bias in biases] == [site.grid for site in sites]
        images = self._images()
        with torch.no_grad():
            assert not torch.allclose(treatment(images), control(images), rtol=1e-4, atol=1e-5)
            for bias in biases:
                bias.silence()
            torch.testing.assert_close(treatment(images), control(images), rtol=1e-4, atol=1e-5)

    def test_copies_with_a_bias_are_equal_and_their_own(self) -> None:
        """An average of weights, and a process of its own, are such copies."""
        model = self._worn()
        if self.make().no_bias is None:
            GaussianBias(sigma=1.0, amplitude=2.0).attach(model)
        images = self._images()
        with torch.no_grad():
            expected = model(images)
            for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own
                assert torch.equal(copied(images), expected)
                for parameter in copied.parameters():
                    parameter.mul_(1.5)
            assert torch.equal(model(images), expected)

    def _built(self, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return self.make().build(_NUM_CLASSES)

    def _worn(self) -> nn.Module:
        """As if trained: no weight keeps a value that hides attention (a LayerScale of 1e-5, a norm's zero gain)."""
        model, generator = self._built(), torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        return model.eval()

    def _images(self) -> Tensor:
        side = self.make().input_size_px
        return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
