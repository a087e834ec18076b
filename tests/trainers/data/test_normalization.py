import pytest
import torch
from torchvision.transforms import v2

from trainers.data.normalization import Normalization


def test_normalization_scales_bytes_and_repeats_gray():
    normalize = Normalization(mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 2.0))
    white = normalize(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))
    assert white[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]
    gray = normalize(torch.zeros(2, 1, 4, 4))
    assert gray.shape == (2, 3, 4, 4)
    assert gray[0, :, 0, 0].tolist() == [0.0, -1.0, -0.5]


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [("model", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))],
)
def test_a_named_normalization_is_torchvisions_of_these_numbers(name, mean, std):
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    theirs = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])
    ours = Normalization.choose(name, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert torch.allclose(ours(images), theirs(images), atol=1e-6)
    assert images.dtype == torch.uint8
