"""A user's own names for models, data sets and arms: in tables and cell patches, never in a trial's identity."""

from copy import deepcopy

import pytest
from jsonschema import Draft202012Validator

from orchestrator.errors import SpecError
from orchestrator.overrides import with_overrides
from orchestrator.planning.expansion import Expansion
from orchestrator.spec.experiment import ExperimentSpec, parse_spec

SPEC = {
    "name": "labels",
    "models": [{"kind": "small_vit", "label": "Ours (σ 2)"}, {"kind": "small_vit", "width": 24}],
    "datasets": [{"kind": "digits", "label": "Digits, 300"}],
    "cell_patches": [{"model": "Ours (σ 2)", "dataset": "Digits, 300", "patch": {"optimization": {"epochs": 3}}}],
    "arms": [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian"}}},
    ],
}


def expand(spec):
    return Expansion(parse_spec(spec), data_root=None)


def without_labels():
    spec = deepcopy(SPEC)
    del spec["models"][0]["label"], spec["datasets"][0]["label"]
    spec["cell_patches"][0] |= {"model": "small_vit_48x3_rel_bias", "dataset": "digits-300"}
    return spec


def problems(**changes):
    with pytest.raises(SpecError) as caught:
        expand({**deepcopy(SPEC), "cell_patches": [], **changes})
    return dict(caught.value.problems)


def test_cells_bear_the_labels_and_cell_patches_name_them():
    expansion = expand(SPEC)
    assert [cell.key for cell in expansion.cells] == ["Ours (σ 2)/Digits, 300", "small_vit_24x3_rel_bias/Digits, 300"]
    assert [expansion.config_of(cell, "control").optimization.epochs for cell in expansion.cells] == [3, 20]


def test_a_label_changes_no_trial():
    labelled, plain = (expand(spec).confirm_trials({}) for spec in (SPEC, without_labels()))
    assert [trial.identity for trial in labelled] == [trial.identity for trial in plain]
    assert [trial.config for trial in labelled] == [trial.config for trial in plain]


def test_a_stored_spec_is_read_again_with_its_labels():
    spec = parse_spec(SPEC)
    assert spec.model_labels == ("Ours (σ 2)", None)
    assert ExperimentSpec.model_validate_json(spec.model_dump_json()) == spec
    assert parse_spec(spec.model_dump_json().encode()) == spec


def test_a_label_is_unique():
    twice = [{"kind": "small_vit", "label": "a"}, {"kind": "small_vit", "width": 24, "label": "a"}]
    assert problems(models=twice) == {
        "/models/0/label": "/models/1 is called `a` too; cells need two names",
        "/models/1/label": "/models/0 is called `a` too; cells need two names",
    }
    automatic = [{"kind": "digits"}, {"kind": "digits", "num_train": 200, "label": "digits-300"}]
    assert list(problems(datasets=automatic)) == ["/datasets/1/label"]


@pytest.mark.parametrize("label", ["a/b", "", " a", "..", "a\nb", "x" * 65, "<b>", "a=b", 5])
def test_a_label_that_no_key_can_hold_is_refused(label):
    ((pointer, message),) = problems(models=[{"kind": "small_vit", "label": label}]).items()
    assert pointer == "/models/0/label"
    assert message == "must be text, not 5" if label == 5 else "is not a label" in message


def test_labels_stand_in_one_place():
    assert "leave `model_labels` out" in problems(model_labels=["a", "b"])["/model_labels"]
    two = [{"kind": "small_vit"}, {"kind": "small_vit", "width": 24}]
    assert problems(models=two, model_labels=["a"]) == {
        "/model_labels": "it names 1 of 2 models; `null` stands for no label"
    }


ARMS = [
    {"name": "control", "role": "control"},
    {"name": "gaussian", "label": "Für σ_2 (ours)", "patch": {"attention_bias": {"kind": "gaussian"}}},
]


def test_an_arm_s_label_changes_no_trial_but_what_the_question_is_called():
    labelled, plain = (expand({**deepcopy(SPEC), "arms": arms}) for arms in (ARMS, SPEC["arms"]))
    ours, theirs = (expansion.confirm_trials({}) for expansion in (labelled, plain))
    assert [(trial.arm, trial.identity, trial.config) for trial in ours] == [
        (trial.arm, trial.identity, trial.config) for trial in theirs
    ]
    assert {trial.arm for trial in ours} == {"control", "gaussian"}
    # As with models and data sets: the digest names the spec as a whole, and what its report says.
    assert labelled.digest != plain.digest
    stored = labelled.spec.model_dump_json()
    assert parse_spec(stored.encode()) == ExperimentSpec.model_validate_json(stored) == labelled.spec


def test_no_two_arms_are_called_alike():
    def labels(*given):
        names = ("control", "gaussian", "other")
        return [
            {"name": name, "role": "treatment" if i else "control", "label": label}
            for i, (name, label) in enumerate(zip(names, given, strict=True))
        ]

    told = "is called `A b` too; readers could not tell them apart"
    assert problems(arms=labels("A b", None, "A b")) == {
        "/arms/0/label": f"the arm `other` {told}",
        "/arms/2/label": f"the arm `control` {told}",
    }
    # A name stays taken even where a label stands in tables.
    assert problems(arms=labels("Base", "control", None)) == {
        "/arms/1/label": "the arm `control` is called `control` too; readers could not tell them apart"
    }
    own_name = parse_spec({**deepcopy(SPEC), "arms": labels("control", "Control", None)})
    assert own_name.control.label == "control"
    ((pointer, message),) = problems(arms=labels(None, "a/b", None)).items()
    assert pointer == "/arms/1/label"
    assert "is not a label" in message


def test_the_schema_and_overrides_know_labels():
    assert Draft202012Validator(ExperimentSpec.model_json_schema()).is_valid(SPEC)
    assert with_overrides(SPEC, ["models.Ours (σ 2).depth=2"])["models"][0]["depth"] == 2
    schema = Draft202012Validator(ExperimentSpec.model_json_schema())
    assert schema.is_valid({**SPEC, "arms": ARMS})
    assert not schema.is_valid({**SPEC, "arms": [{**ARMS[0], "label": "x" * 65}, ARMS[1]]})
    assert with_overrides({**SPEC, "arms": ARMS}, ["arms.gaussian.label=Ours"])["arms"][1]["label"] == "Ours"
    assert parse_spec(with_overrides(SPEC, ["models.1.label=Small"])).model_labels == ("Ours (σ 2)", "Small")
