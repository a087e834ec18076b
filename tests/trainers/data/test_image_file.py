import resource
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from torchvision.transforms import v2

from trainers.data.image_file import CenterCrop
from trainers.data.scored_view import ScoredView, scored_view
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig

SIDE = 32


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def by_torchvision(image: Image.Image) -> Image.Image:
    """The usual view, as everybody writes it."""
    resize = v2.Resize(round(SIDE / 0.875), v2.InterpolationMode.BICUBIC, antialias=True)
    view: Image.Image = v2.Compose([resize, v2.CenterCrop(SIDE)])(image)
    return view


@pytest.mark.parametrize("size", [(32, 32), (100, 75), (75, 100), (9, 14), (640, 41), (3, 48)])
def test_the_view_is_torchvisions(size: tuple[int, int]) -> None:
    image = noise(*size)
    assert CenterCrop(SIDE)(image).tobytes() == by_torchvision(image).tobytes()


@pytest.mark.parametrize("name", ["vit_relpos_small_patch16_224", "beit_base_patch16_224", "resnet18.tv_in1k"])
@pytest.mark.parametrize("size", [(500, 375), (231, 640), (224, 224)])
def test_a_published_model_sees_what_timm_shows_it(name: str, size: tuple[int, int]) -> None:
    published = timm.models.get_pretrained_cfg(name)
    by_timm = timm.data.create_transform(
        **timm.data.resolve_data_config(pretrained_cfg=published.to_dict()), is_training=False, use_prefetcher=True
    )
    model = TimmConfig(name=name)
    view = scored_view("model", input_size_px=224, published=model.published_view)
    seen = np.asarray(CenterCrop(224, view)(noise(*size))).transpose(2, 0, 1)
    assert (seen == np.asarray(by_timm(noise(*size)))).all()


def test_whose_view_goes_with_which_normalisation() -> None:
    published = TimmConfig(name="vit_relpos_small_patch16_224").published_view
    assert published == (0.9, "bicubic")
    assert scored_view("model", input_size_px=224, published=published) == ScoredView(248, "bicubic")
    assert scored_view("imagenet", input_size_px=224, published=published) == ScoredView(256, "bicubic")
    own = SmallVitConfig().published_view
    assert scored_view("model", input_size_px=32, published=own) == ScoredView(37, "bicubic")
    assert TimmConfig(name="resnet18.tv_in1k").published_view.interpolation == "bilinear"


@pytest.mark.parametrize("size", [(100, 6), (6, 100), (331, 5), (1, 77), (260, 16)])
def test_the_view_of_a_long_image_is_torchvisions_up_to_rounding(size: tuple[int, int]) -> None:
    image = noise(*size)
    view, expected = (np.asarray(found, np.int16) for found in (CenterCrop(SIDE)(image), by_torchvision(image)))
    assert view.shape == expected.shape
    assert np.abs(view - expected).max() <= 1


def test_a_very_long_image_takes_little_memory() -> None:
    """By torchvision's way, this one takes 5 GiB."""
    view, image = CenterCrop(224), Image.new("RGB", (30_000, 1), (10, 20, 30))
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 256 * 2**20, hard))
    try:
        assert view(image).getcolors() == [(224 * 224, (10, 20, 30))]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
