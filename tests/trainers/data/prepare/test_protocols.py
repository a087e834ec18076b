"""The splits, against an independent construction."""

import numpy as np
import pytest

from trainers.data.prepare import SETS
from trainers.data.prepare.caltech101 import CALTECH_101
from trainers.data.prepare.imagenet import IMAGENET
from trainers.data.prepare.oxford_pet import OXFORD_PET
from trainers.data.prepare.protocols import assign, paper_split, split_rule

# SCIENCE: n -> training, validation, test.
PAPER = {
    "oxford_pet": (7349, 5144, 1102, 1102),
    "caltech101": (9144, 6400, 1371, 1371),
    "stanford_cars": (16185, 11329, 2427, 2427),
    "stanford_dogs": (20580, 14406, 3087, 3087),
}


@pytest.mark.parametrize("published", [one for one in SETS if one.paper_counts], ids=lambda published: published.name)
def test_the_papers_cut(published):
    n, *counts = PAPER[published.name]
    assert sum(published.num_images.values()) == n
    assert published.paper_counts == tuple(counts)
    split = paper_split(n)
    order = list(range(n))
    np.random.RandomState(0).shuffle(order)
    assert sorted(order[: counts[0]]) == np.flatnonzero(split == "train").tolist()
    assert sorted(order[counts[0] : counts[0] + counts[1]]) == np.flatnonzero(split == "val").tolist()
    assert sorted(order[counts[0] + counts[1] : sum(counts)]) == np.flatnonzero(split == "test").tolist()
    assert sorted(order[sum(counts) :]) == np.flatnonzero(split == "unused").tolist()
    assert n - sum(counts) == {"oxford_pet": 1, "caltech101": 2, "stanford_cars": 2, "stanford_dogs": 0}[published.name]


def test_official_parts_with_validation_from_training():
    parts = np.array(["trainval"] * 370 + ["test"] * 100)
    labels = np.concatenate([np.arange(370) % 37, np.arange(100) % 37])
    split = assign(OXFORD_PET, "official", labels, parts.tolist())
    assert ((split == "test") == (parts == "test")).all()
    assert (split == "val").sum() == 37
    # 37 of 370, stratified within one image of a class.
    assert set(np.bincount(labels[split == "val"], minlength=37)) <= {0, 1, 2}
    assert (assign(OXFORD_PET, "official", labels, parts.tolist()) == split).all()


def test_imagenet_keeps_one_percent_of_training_for_validation():
    labels = np.concatenate([np.repeat(np.arange(10), 300), np.arange(10)])
    parts = ["train"] * 3000 + ["val"] * 10
    split = assign(IMAGENET, "official", labels, parts)
    assert [int((split == name).sum()) for name in ("train", "val", "test", "unused")] == [2970, 30, 10, 0]
    assert (split[3000:] == "test").all()


def test_caltechs_usual_thirty_images_a_class():
    labels = np.repeat(np.arange(5), [31, 40, 35, 800, 60])
    split = assign(CALTECH_101, "official", labels, ["all"] * len(labels))
    assert np.bincount(labels[split == "test"]).tolist() == [1, 10, 5, 770, 30]
    assert int((split == "val").sum()) == 15
    assert np.bincount(labels[split == "val"]).max() <= 5
    first, second = (np.flatnonzero(split[labels == label] == "test") for label in (1, 4))
    # Drawn, not the last ones.
    assert first.tolist() != list(range(30, 40))
    assert second.tolist() != list(range(30, 60))


def test_rules_in_words():
    assert split_rule(IMAGENET, "official") == (
        "the publisher's parts: test is 'val', training 'train'; validation is a seeded, stratified 1 % of training"
    )
    assert "30 training images of each class" in split_rule(CALTECH_101, "official")
    assert "RandomState(0)" in split_rule(OXFORD_PET, "paper")
