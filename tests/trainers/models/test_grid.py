"""The grid of tokens, and which image sizes it accepts."""

import pytest
import torch

from trainers.models.grid import TokenGrid, check_image_size


def test_distances_of_a_grid_counted_by_hand():
    # 0 1 2
    # 3 4 5
    expected = torch.tensor(
        [
            [0, 1, 4, 1, 2, 5],
            [1, 0, 1, 2, 1, 2],
            [4, 1, 0, 5, 2, 1],
            [1, 2, 5, 0, 1, 4],
            [2, 1, 2, 1, 0, 1],
            [5, 2, 1, 4, 1, 0],
        ]
    )
    assert torch.equal(TokenGrid(2, 3).squared_distances(), expected.float())


def test_prefix_tokens_count():
    grid = TokenGrid(2, 3, 4)
    assert (grid.num_patch_tokens, grid.num_tokens) == (6, 10)


@pytest.mark.parametrize(("image", "patch"), [(32, 4), (16, 16), (224, 16), (1024, 16)])
def test_sizes_that_fit(image, patch):
    check_image_size(image, patch)


@pytest.mark.parametrize(
    ("image", "patch", "message"),
    [
        (30, 4, "image_size_px 30 is not a multiple of the patch size 4 px; the nearest that fit are 28 and 32"),
        (8, 16, "the nearest that fit are 16 and 32"),
        (1024, 8, "makes 16384 tokens; at most 4096 are allowed"),
    ],
)
def test_sizes_that_do_not_fit(image, patch, message):
    with pytest.raises(ValueError, match=message):
        check_image_size(image, patch)
