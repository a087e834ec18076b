"""Swin's windows on images of any size, against attention over the whole map that is written down token by token."""

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention
from torch.nn import functional as F

from trainers.models.bias import attached_biases
from trainers.models.feature_maps import FeatureMaps
from trainers.models.gaussian import GaussianBias
from trainers.models.timm_model import TimmConfig

WINDOW, SHIFT = 4, 2
SMALL = {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": WINDOW}


def small_swin(name="swin_tiny_patch4_window7_224", image_size_px=32):
    torch.manual_seed(0)
    model = TimmConfig(name=name, image_size_px=image_size_px, arguments=SMALL)
    return FeatureMaps(model.for_maps().build_fresh(0)).eval()


def bias_of(attention, first, second):
    """[heads] of the table, and the Gaussian, at the distance of two places of a window."""
    down, right = (a - b + WINDOW - 1 for a, b in zip(first, second, strict=True))
    table = attention.relative_position_bias_table[down * (2 * WINDOW - 1) + right]
    if not hasattr(attention, "gaussian"):
        return table
    (bias,) = attached_biases(attention)
    # A exp(-d^2 / 2 sigma^2): the paper's.
    squared = sum((a - b) ** 2 for a, b in zip(first, second, strict=True))
    return table + bias.amplitude().flatten() * torch.exp(-squared / (2 * bias.sigma().flatten() ** 2))


def by_the_reference(block, x):
    """mmdetection's and the Swin paper's order: norm, fill up with zeros, shift, attend where window and region agree.

    Over all pairs of tokens of the filled-up, shifted map [H, W, C] of one image.
    """
    height, width, channels = x.shape
    shift = SHIFT if any(block.shift_size) else 0
    tall, wide = (-(-side // WINDOW) * WINDOW for side in (height, width))
    filled = torch.zeros(tall, wide, channels)
    filled[:height, :width] = block.norm1(x)
    places = [(row, column) for row in range(tall) for column in range(wide)]
    # What stands at each place after the shift.
    tokens = torch.stack([filled[(row + shift) % tall, (column + shift) % wide] for row, column in places])

    def group(place):
        """Window and region: places of one window that the shift has brought together see nothing of each other."""
        regions = [
            0 if shift == 0 or at < side - WINDOW else 1 if at < side - shift else 2
            for at, side in zip(place, (tall, wide), strict=True)
        ]
        return (*(at // WINDOW for at in place), *regions)

    attention = block.attn
    heads = attention.num_heads
    queries, keys, values = attention.qkv(tokens).reshape(len(places), 3, heads, -1).permute(1, 2, 0, 3)
    logits = queries @ keys.transpose(1, 2) * queries.shape[-1] ** -0.5
    groups = [group(place) for place in places]
    for i, first in enumerate(places):
        for j, second in enumerate(places):
            if groups[i][:2] != groups[j][:2]:
                logits[:, i, j] = -torch.inf
                continue
            within = [(at[0] % WINDOW, at[1] % WINDOW) for at in (first, second)]
            logits[:, i, j] += bias_of(attention, *within) - 100 * (groups[i] != groups[j])
    mixed = attention.proj((logits.softmax(dim=-1) @ values).transpose(0, 1).flatten(1))
    back = torch.empty(tall, wide, channels)
    for (row, column), token in zip(places, mixed, strict=True):
        back[(row + shift) % tall, (column + shift) % wide] = token
    x = x + back[:height, :width]
    return x + block.mlp(block.norm2(x))


@pytest.mark.parametrize("has_gaussian", [False, True], ids=["control", "gaussian"])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (3, 5)])
def test_blocks_are_the_references_at_every_size_on_both_arms(size, has_gaussian):
    features = small_swin()
    if has_gaussian:
        GaussianBias(sigma=1.5).attach(features.backbone)
    x = torch.randn(2, *size, 8, generator=torch.Generator().manual_seed(1))
    for block in features.backbone.layers[0].blocks:
        with torch.no_grad():
            # Fresh tables and biases of layers are next to nothing.
            block.attn.relative_position_bias_table.normal_(std=0.5)
            block.attn.qkv.bias.normal_()
            found = block(x)
            expected = torch.stack([by_the_reference(block, each) for each in x])
        assert torch.allclose(found, expected, atol=2e-5)


def test_timms_own_order_is_another_one_where_a_side_is_no_multiple_of_the_window():
    """So the test above can fail."""
    block = small_swin().backbone.layers[0].blocks[1]
    for size, is_equal in (((8, 8), True), ((7, 10), False)):
        x = torch.randn(1, *size, 8, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            block.attn.qkv.bias.normal_()
            block.dynamic_mask = True
            theirs = SwinTransformerBlock._attn(block, x)
            assert torch.allclose(block._attn(x), theirs, atol=1e-6) == is_equal


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"])
def test_windows_are_as_large_and_shift_in_every_stage_at_every_size(name):
    features = small_swin(name, image_size_px=32)
    seen = set()
    for module in features.modules():
        if isinstance(module, WindowAttention):
            module.register_forward_hook(lambda *arguments: seen.add(arguments[1][0].shape[1]))
    blocks = [block for stage in features.backbone.layers for block in stage.blocks]
    # A map of 4 x 4 tokens is one window of timm's, and would not shift.
    assert [block.shift_size for block in blocks] == [(0, 0), (SHIFT, SHIFT)] * 2
    for size in ((32, 32), (64, 96), (40, 52)):
        maps = features(torch.rand(1, 3, *size))
        assert [each.shape[-2:] for each in maps] == [
            torch.Size([-(-size[0] // stride), -(-size[1] // stride)]) for stride in features.strides_px
        ]
    assert seen == ({WINDOW**2} if "v2" not in name else set())


def test_an_image_of_the_published_size_gives_what_timm_gives():
    """At 224 every side is a multiple of 7, and a stage as large as a window has nothing to shift to."""
    torch.manual_seed(0)
    config = TimmConfig(name="swin_tiny_patch4_window7_224", arguments={"embed_dim": 12, "num_heads": [1, 1, 1, 1]})
    plain = config.build_fresh(0).eval()
    kept = config.for_maps().build_fresh(0)
    kept.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = plain.forward_intermediates(image, intermediates_only=True)
        ours = FeatureMaps(kept).eval()(image)
    for level in range(3):
        assert torch.allclose(ours[level], theirs[level], atol=1e-5)
    # The last stage shifts its only window, as in the reference's dense code; timm's does not.
    assert not torch.allclose(ours[3], theirs[3], atol=1e-5)
    assert F.cosine_similarity(ours[3].flatten(), theirs[3].flatten(), dim=0) > 0.9
