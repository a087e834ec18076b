"""Recipes under a spec: what they change, what they leave, and where errors point."""

import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import get_args

import pytest

from orchestrator.errors import SpecError
from orchestrator.planning.expansion import Expansion
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from orchestrator.spec.recipes import RECIPES, RecipeName
from trainers.config import canonical_json

SPEC = {
    "name": "named",
    "models": [{"kind": "small_vit"}],
    "datasets": [{"kind": "digits"}],
    "arms": [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian"}}},
    ],
    "seeds": [0, 1],
}


def spec(recipe, **fields):
    return parse_spec({**deepcopy(SPEC), "recipe": recipe, **fields})


def problems(recipe, **fields):
    with pytest.raises(SpecError) as caught:
        Expansion(spec(recipe, **fields), data_root=None)
    return [tuple(problem) for problem in caught.value.problems]


def identities(experiment):
    return [trial.identity for trial in Expansion(experiment, data_root=None).confirm_trials({})]


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_of_a_recipe_arrives(name):
    recipe, read = RECIPES[name], spec(name).model_dump(mode="json")
    assert recipe.decides(("optimization",), read)

    def leaves(value, path=()):
        if not isinstance(value, dict):
            return [(path, value)]
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]

    for path, value in leaves(recipe.patch):
        place = read
        for key in path:
            place = place[key]
        assert place == value, path
    # And nothing else is touched, but for the metric that follows the task.
    plain = parse_spec(SPEC).model_dump(mode="json")
    assert {field for field in read if read[field] != plain[field]} <= {*recipe.patch, "recipe", "primary_metric"}


def test_the_papers_fine_tuning_is_what_the_paper_says():
    read = spec("paper-finetune")
    optimizer, schedule = read.optimization.optimizer, read.optimization.schedule
    assert (optimizer.kind, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.01, 0.9, 5e-4)
    assert (schedule.kind, schedule.warmup_epochs, schedule.final_lr_fraction) == ("cosine", 0, 0)
    assert (read.optimization.epochs, read.optimization.global_batch_size) == (200, 64)
    assert (read.augmentation.kind, read.normalization, read.mixing.kind) == ("paper", "imagenet", "none")
    assert read.task.label_smoothing == 0


def test_what_the_user_writes_stands_above_the_recipe():
    changed = {
        "normalization": "imagenet",
        "mixing": {"switch_probability": 0.1},
        "augmentation": {"kind": "crop_flip"},
        "optimization": {"epochs": 7, "optimizer": {"lr": 0.003}, "clip_grad_norm": None},
    }
    read = spec("modern", **changed)
    assert (read.normalization, read.optimization.epochs) == ("imagenet", 7)
    # A part of an object changes that part of the recipe's object, an object with its kind stands for itself.
    assert (read.mixing.switch_probability, read.mixing.mixup_alpha) == (0.1, 0.8)
    assert (read.optimization.optimizer.lr, read.optimization.optimizer.weight_decay) == (0.003, 0.05)
    assert read.augmentation.min_scale_fraction == 0.8
    # `null` takes back what the recipe set.
    assert read.optimization.clip_grad_norm is None
    assert read.optimization.layer_decay == 0.75


@pytest.mark.parametrize("name", [*RECIPES, None])
def test_a_stored_spec_is_complete(name):
    read = spec(name, optimization={"epochs": 40, "clip_grad_norm": None})
    stored = canonical_json(read)
    again = parse_spec(stored.encode())
    assert again == read == ExperimentSpec.model_validate_json(stored)
    assert canonical_json(again) == stored


def test_a_recipe_makes_the_same_trials_as_its_values_written_out():
    small = {"optimization": {"global_batch_size": 50}}
    written = deepcopy(RECIPES["modern"].patch)
    written["optimization"] |= small["optimization"]
    assert identities(spec("modern", **small)) == identities(spec(None, **written))
    assert len(set(identities(spec("modern", **small)) + identities(spec(None, **small)))) == 8


def test_an_unknown_recipe_names_the_nearest():
    (problem,) = problems("paper-finetun")
    assert problem == (
        "/recipe",
        '"paper-finetun" is not valid; did you mean `paper-finetune`? Valid: ' + ", ".join(RECIPES),
    )
    assert problems(3)[0][0] == "/recipe"
    assert tuple(RECIPES) == get_args(RecipeName)


@pytest.mark.parametrize(
    ("recipe", "fields", "pointer", "message"),
    [
        # the user's own
        ("modern", {"optimization": {"epochs": "many"}}, "/optimization/epochs", 'must be a whole number, not "many"'),
        ("modern", {"optimization": {"lr": 1}}, "/optimization/lr", "unknown field `lr`"),
        ("modern", {"mixing": {"mixup_alpha": -1}}, "/mixing/mixup_alpha", "must be at least 0, not -1"),
        ("modern", {"augmentation": 3}, "/augmentation", "must be an object, not 3"),
        ("modern", {"normalization": "model5"}, "/normalization", '"model5" is not valid; did you mean `model`?'),
        ("modern", {"models": None}, "/models", "must be a list, not null"),
        ("modern", {"optimization": {"global_batch_size": 400}}, "/optimization/global_batch_size", "400 is larger"),
        # the user's epochs against the recipe's warm-up
        ("modern", {"optimization": {"epochs": 5}}, "/optimization", "warmup_epochs 5 must be less than epochs 5"),
        (
            "modern",
            {"optimization": {"accumulation_steps": 3}},
            "/optimization",
            "not a multiple of accum",
        ),
        # the recipe's own value does not fit the user's data
        ("paper-imagenet", {}, "/recipe", "a global batch of 1024 is larger than the training set of 300 images"),
        ("modern", {"resources": {"num_workers": 3}}, "/recipe", "a global batch of 128 can't be shared by 3 workers"),
        ("modern", {"resources": {"num_workers": 128}}, "/recipe", "and 1 (a global batch of 128 over 128 workers"),
        # a patch on the recipe's object
        (
            "modern",
            {"cell_patches": [{"patch": {"optimization": {"global_batch_size": 301}}}]},
            "/cell_patches/0/patch/optimization/global_batch_size",
            "mixing pairs the images of a batch, and 301",
        ),
    ],
)
def test_problems_point_at_what_the_user_wrote(recipe, fields, pointer, message):
    found = problems(recipe, **fields)
    assert any(place == pointer and message in text for place, text in found), found


def test_the_page_shows_what_each_recipe_sets():
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
    shown = re.findall(r"^## `([a-z0-9-]+)`$.*?^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert {name: json.loads(text) for name, text in shown} == {name: each.patch for name, each in RECIPES.items()}


def test_recipes_can_be_listed_without_torch():
    code = "import sys, api.cli.recipes; assert not {'torch', 'ray', 'sqlalchemy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
