"""What the schema says of a patch: all that a trial may be asked, and nothing else."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from trainers.document import read_document

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = read_document(EXAMPLES / "tiny.json")
SCHEMA = ExperimentSpec.model_json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def with_patch(patch, where="arms"):
    spec = deepcopy(SPEC)
    if where == "arms":
        spec["arms"][1]["patch"] = patch
    else:
        spec["cell_patches"] = [{"patch": patch}]
    return spec


def test_it_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.json")), ids=lambda file: file.stem)
def test_every_example_is_valid(file):
    document = read_document(file)
    assert not [error.message for error in VALIDATOR.iter_errors(document)]
    # As stored, with every default written out, too.
    assert VALIDATOR.is_valid(json.loads(parse_spec(document).model_dump_json()))


GOOD = [
    {},
    {"attention_bias": {"kind": "none"}},
    {"attention_bias": {"kind": "gaussian"}},
    {"attention_bias": {"kind": "gaussian", "sigma": 2, "lr_multiplier": 1, "per_head": True}},
    {"attention_bias": {"kind": "permuted_gaussian", "permutation_seed": 3}},
    {"attention_bias": {"sigma": 3.5}},
    {"attention_bias": {"sigma": None, "parameterization": "log"}},
    {"attention_bias": None},
    {"model": {"drop_path": 0.1, "position_embedding": "zero"}},
    {"model": {"kind": "timm", "name": "vit_tiny_patch16_224", "arguments": {"drop_rate": 0.1}}},
    {"model": {"weights": {"path": "x.pt", "sha256": "0" * 64}}},
    {"optimization": {"optimizer": {"lr": 0.1}, "epochs": 3, "clip_grad_norm": None}},
    {"optimization": {"optimizer": {"kind": "sgd"}, "schedule": {"kind": "step", "milestones": [1]}}},
    {"augmentation": {"kind": "crop_flip"}, "mixing": {"kind": "mixup"}, "normalization": "imagenet"},
    {"dataset": {"num_train": 50}, "task": {"label_smoothing": 0.1}},
    {"analyses": [{"kind": "receptive_field", "every_epochs": 2}]},
]
BAD = [
    {"attention_bia": {"kind": "none"}},
    {"attention_bias": {"kind": "gausian"}},
    {"attention_bias": {"kind": "gaussian", "sigm": 2}},
    {"attention_bias": {"kind": "gaussian", "permutation_seed": 2}},
    {"attention_bias": {"sigma": "2"}},
    {"attention_bias": {"sigma": 0}},
    {"attention_bias": {"kind": None}},
    {"attention_bias": "gaussian"},
    {"optimization": {"optimizer": {"lr": 0.1, "momentun": 0.9}}},
    {"optimization": {"schedule": {"kind": "step"}}},
    {"model": {"kind": "timm"}},
    {"analyses": [{"kind": "receptive_field", "every_epoch": 2}]},
    {"normalization": "imagnet"},
    {"seed": 3},
    {"score_test": False},
]


@pytest.mark.parametrize("where", ["arms", "cell_patches"])
@pytest.mark.parametrize("patch", GOOD, ids=json.dumps)
def test_a_patch_that_may_be_is_valid(patch, where):
    assert not [error.message for error in VALIDATOR.iter_errors(with_patch(patch, where))]


@pytest.mark.parametrize("where", ["arms", "cell_patches"])
@pytest.mark.parametrize("patch", BAD, ids=json.dumps)
def test_a_patch_with_a_mistake_is_not(patch, where):
    assert not VALIDATOR.is_valid(with_patch(patch, where))


def test_every_field_of_a_patch_is_explained():
    definitions = {name: schema for name, schema in SCHEMA["$defs"].items() if name.endswith("Patch")}
    assert {"TrialPatch", "GaussianBiasPatch", "PermutedGaussianBiasPatch", "SgdConfigPatch"} <= set(definitions)
    for name, schema in definitions.items():
        for field, about in schema["properties"].items():
            assert field == "kind" or about["description"], (name, field)
    assert (
        "multiple of the model's" in SCHEMA["$defs"]["GaussianBiasPatch"]["properties"]["lr_multiplier"]["description"]
    )
