"""COCO's run lengths against cocoapi's own code."""

import numpy as np
import pytest
from pycocotools import mask as rle

from trainers.data.run_lengths import counts_of, mask_of, num_ones, require_fit


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 23), (700, 500)])
def test_compressed_text_is_what_cocoapi_reads(share, size):
    random = np.random.RandomState(int(100 * share) + sum(size))
    for _ in range(3):
        mask = (random.uniform(size=size) < share).astype(np.uint8)
        # Long runs, too: numbers of several digits, and differences of both signs.
        mask[: size[0] // 2] = random.randint(2)
        counts = counts_of(rle.encode(np.asfortranarray(mask))["counts"].decode())
        require_fit(counts, *size)
        assert np.array_equal(mask_of(counts, *size), mask)
        assert num_ones(counts) == mask.sum()
        assert np.array_equal(mask_of(counts_of(counts.tolist()), *size), mask)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([3, 5], "its counts are 8 pixels together, and 4 x 3 are 12"),
        ([20, -8], "it has a negative count"),
        ("zzzz", "its counts are not compressed run lengths"),
        ("12\x7f", "its counts are not compressed run lengths"),
        ("1é", "its counts are not compressed run lengths"),
        ("ooooooooooo1", "its counts are too large"),
        ("", "its counts are 0 pixels together"),
        ([1.5, 10.5], "its counts are not whole numbers"),
        ([[1], 2], "its counts are not whole numbers"),
        ([2**70, 1], "its counts are not whole numbers"),
        (["a"], "its counts are not whole numbers"),
    ],
)
def test_others_are_refused_before_anything_is_made_of_them(written, message):
    with pytest.raises(ValueError, match=message):
        require_fit(counts_of(written), 3, 4)
