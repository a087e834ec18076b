"""A ViT's maps at the strides of a pyramid."""

import pytest
import torch

from trainers.models.pyramid import SimplePyramid, pyramid_strides


@pytest.mark.parametrize(("stride", "num_convolutions"), [(4, 0), (8, 1), (14, 3), (16, 3), (32, 6)])
def test_maps_of_one_size_become_a_pyramid(stride, num_convolutions):
    pyramid = SimplePyramid([6] * 4, [stride] * 4)
    side = 448 // stride
    levels = pyramid([torch.randn(1, 6, side, side) for _ in range(4)])
    assert [level.shape for level in levels] == [(1, 6, 448 // each, 448 // each) for each in (4, 8, 16, 32)]
    assert sum(parameter.ndim == 4 for parameter in pyramid.parameters()) == num_convolutions


def test_what_lies_in_a_corner_stays_there():
    pyramid = SimplePyramid([1] * 4, [16] * 4)
    for parameter in pyramid.parameters():
        torch.nn.init.constant_(parameter, 1.0)
    for norm in [module for module in pyramid.modules() if isinstance(module, torch.nn.LayerNorm)]:
        norm.forward = lambda maps: maps
    maps = torch.zeros(1, 1, 4, 4)
    maps[0, 0, 3, 1] = 8.0
    for level, stride in zip(pyramid([maps] * 4), (4, 8, 16, 32), strict=True):
        row, column = divmod(int(level.argmax()), 64 // stride)
        assert (row, column) == (48 // stride, 16 // stride)


def test_a_hierarchical_backbones_maps_stay_as_they_are():
    pyramid = SimplePyramid([2, 4], [4, 8])
    maps = [torch.randn(1, 2, 4, 4), torch.randn(1, 4, 2, 2)]
    assert all(ours is theirs for ours, theirs in zip(pyramid(maps), maps, strict=True))
    assert list(pyramid.parameters()) == []
    assert pyramid_strides([4, 8]) == [4, 8]
