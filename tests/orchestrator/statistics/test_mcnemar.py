"""McNemar's exact test: counted by hand, p from the binomial's own sum."""

from math import comb

import numpy as np
import pytest

from orchestrator.statistics.mcnemar import Scored, mcnemar


def scored(bits: str, start: int = 0) -> Scored:
    return Scored(np.arange(start, start + len(bits)), np.array([bit == "1" for bit in bits]))


def test_discordant_images_are_pooled_over_pairs() -> None:
    found = mcnemar([(scored("110000"), scored("101111")), (scored("01"), scored("11"))])
    assert (found.num_pairs, found.num_images) == (2, 8)
    assert (found.only_treatment, found.only_control) == (5, 1)
    assert found.p_value == pytest.approx(2 * (comb(6, 0) + comb(6, 1)) / 2**6)


def test_images_are_matched_by_index() -> None:
    found = mcnemar([(scored("111"), scored("000", start=2))])
    assert (found.num_images, found.only_control, found.only_treatment) == (1, 1, 0)


def test_nothing_to_tell() -> None:
    assert mcnemar([]) is None
    assert mcnemar([(scored("11"), scored("11"))]).p_value == 1
