"""Images that only one arm got right: counted by hand."""

import numpy as np

from orchestrator.statistics.discordant import discordant_images
from trainers.tasks.evidence import ImageScores


def scored(bits: str, start: int = 0) -> ImageScores:
    return ImageScores(np.arange(start, start + len(bits)), np.array([bit == "1" for bit in bits]))


def test_discordant_images_are_pooled_over_pairs() -> None:
    found = discordant_images([(scored("110000"), scored("101111")), (scored("01"), scored("11"))])
    assert (found.num_pairs, found.num_images) == (2, 8)
    assert (found.only_treatment, found.only_control) == (5, 1)


def test_images_are_matched_by_index() -> None:
    found = discordant_images([(scored("111"), scored("000", start=2))])
    assert (found.num_images, found.only_control, found.only_treatment) == (1, 1, 0)


def test_nothing_to_tell() -> None:
    assert discordant_images([]) is None
    alike = discordant_images([(scored("11"), scored("11"))])
    assert (alike.only_treatment, alike.only_control) == (0, 0)
