"""From a spec to its trials: order, identities, and every implied trial validated with its place in the spec."""

import hashlib
import json
from copy import deepcopy

import pytest

from orchestrator.errors import SpecError
from orchestrator.planning.cells import labels_of
from orchestrator.planning.expansion import Expansion
from orchestrator.spec.experiment import parse_spec
from orchestrator.status import Phase
from trainers.config import canonical_json, trial_identity
from trainers.export_note import NOTE
from trainers.models.gaussian import GaussianBias
from trainers.models.timm_model import TimmConfig
from trainers.version import code_version

GAUSSIAN = {"kind": "gaussian", "sigma": 2.0}
SPEC = {
    "name": "digits",
    "models": [{"kind": "small_vit"}, {"kind": "small_vit", "width": 24}],
    "datasets": [{"kind": "digits"}, {"kind": "digits", "num_train": 100}],
    "optimization": {"global_batch_size": 50},
    "arms": [
        {"name": "gaussian", "patch": {"attention_bias": GAUSSIAN}},
        {"name": "control", "role": "control"},
        {"name": "placebo", "patch": {"attention_bias": {"kind": "permuted_gaussian"}}},
    ],
    "seeds": [3, 1],
}
SEARCH = {"space": {"attention_bias.sigma": {"kind": "log_uniform", "low": 0.5, "high": 8}}, "seeds": [10]}


def expand(data_root=None, **changes):
    return Expansion(parse_spec({**deepcopy(SPEC), **changes}), data_root=data_root)


def weights_in(file, content, **note):
    """A file of safetensors with a header and something behind it, with or without an export's note."""
    metadata = {"about": content, **({NOTE: json.dumps(note)} if note else {})}
    header = json.dumps({"__metadata__": metadata}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    return {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def problems(data_root=None, **changes):
    with pytest.raises(SpecError) as caught:
        expand(data_root, **changes)
    return [tuple(problem) for problem in caught.value.problems]


def with_arm(**arm):
    """The arms of SPEC with the treatment `gaussian` replaced."""
    return [{"name": "gaussian", **arm}, *deepcopy(SPEC["arms"][1:])]


# ---- what a valid spec expands to ----


def test_pair_order_is_seed_by_seed_cell_by_cell_control_first():
    trials = expand().confirm_trials({})
    cells = [
        f"{model}/{data}"
        for model in ("small_vit_48x3_rel_bias", "small_vit_24x3_rel_bias")
        for data in ("digits-300", "digits-100")
    ]
    assert [(trial.seed, trial.cell.key, trial.arm) for trial in trials] == [
        (seed, cell, arm) for seed in (3, 1) for cell in cells for arm in ("control", "gaussian", "placebo")
    ]


def test_identities_equal_trial_identity_and_differ():
    expansion = expand()
    trials = expansion.confirm_trials({})
    assert len({trial.identity for trial in trials}) == len(trials) == 24
    for trial in trials:
        fingerprint = expansion.dataset_fingerprints[trial.cell.dataset]
        expected = trial_identity(trial.config, code_version=code_version(trial.config), data_fingerprint=fingerprint)
        assert trial.identity == expected
        assert trial.config.seed == trial.seed
        assert trial.config.score_test
        assert trial.phase is Phase.CONFIRM


def test_a_trial_is_base_then_cell_patch_then_arm_patch():
    patches = [
        {"patch": {"optimization": {"optimizer": {"kind": "sgd", "lr": 0.5}}}},
        {"model": "small_vit_24x3_rel_bias", "patch": {"optimization": {"optimizer": {"lr": 0.25}}}},
        {"dataset": "digits-100", "patch": {"optimization": {"epochs": 7}}},
    ]
    arms = with_arm(patch={"attention_bias": GAUSSIAN, "optimization": {"epochs": 9}})
    expansion = expand(cell_patches=patches, arms=arms)
    seen = {
        (trial.cell.key, trial.arm): (
            trial.config.optimization.optimizer.kind,
            trial.config.optimization.optimizer.lr,
            trial.config.optimization.epochs,
        )
        for trial in expansion.confirm_trials({})
    }
    assert seen["small_vit_48x3_rel_bias/digits-300", "control"] == ("sgd", 0.5, 20)
    assert seen["small_vit_24x3_rel_bias/digits-300", "control"] == ("sgd", 0.25, 20)
    assert seen["small_vit_24x3_rel_bias/digits-100", "placebo"] == ("sgd", 0.25, 7)
    assert seen["small_vit_24x3_rel_bias/digits-100", "gaussian"] == ("sgd", 0.25, 9)


def test_only_the_bias_differs_within_a_pair():
    control, gaussian, _ = (trial.config.model_dump() for trial in expand().confirm_trials({})[:3])
    assert control.pop("attention_bias") == {"kind": "none"}
    assert gaussian.pop("attention_bias")["sigma"] == 2.0
    assert control == gaussian


def test_searched_arms_wait_for_their_params():
    arms = with_arm(patch={"attention_bias": GAUSSIAN}, search=SEARCH)
    expansion = expand(arms=arms, datasets=[{"kind": "digits"}])
    assert [(search.cell.key, search.arm, search.num_candidates, search.seeds) for search in expansion.searches] == [
        ("small_vit_48x3_rel_bias/digits-300", "gaussian", 8, (10,)),
        ("small_vit_24x3_rel_bias/digits-300", "gaussian", 8, (10,)),
    ]
    assert {trial.arm for trial in expansion.confirm_trials({})} == {"control", "placebo"}
    chosen = {("small_vit_24x3_rel_bias/digits-300", "gaussian"): {"attention_bias.sigma": 3.5}}
    trials = expansion.confirm_trials(chosen)
    assert [trial.arm for trial in trials] == ["control", "placebo", "control", "gaussian", "placebo"] * 2
    searched = trials[3]
    assert searched.params == {"attention_bias.sigma": 3.5}
    assert searched.config.attention_bias.sigma == 3.5


def test_a_search_trial_never_scores_the_test_split():
    arms = with_arm(patch={"attention_bias": GAUSSIAN}, search=SEARCH)
    expansion = expand(arms=arms)
    trial = expansion.search_trial(expansion.cells[0], "gaussian", {"attention_bias.sigma": 3.5}, 10)
    assert (trial.phase, trial.seed, trial.config.seed) == (Phase.SEARCH, 10, 10)
    assert not trial.config.score_test
    assert trial.config.attention_bias.sigma == 3.5
    fingerprint = expansion.dataset_fingerprints["digits-300"]
    expected = trial_identity(trial.config, code_version=code_version(trial.config), data_fingerprint=fingerprint)
    assert trial.identity == expected


def test_params_that_make_no_trial_name_arm_cell_and_params():
    arms = with_arm(patch={"attention_bias": GAUSSIAN}, search=SEARCH)
    expansion = expand(arms=arms)
    with pytest.raises(SpecError, match=r"arm `gaussian` in cell `small_vit_48x3.*-1.*must be above 0\.01, not -1"):
        expansion.search_trial(expansion.cells[0], "gaussian", {"attention_bias.sigma": -1}, 10)
    with pytest.raises(SpecError, match="there is no field `sigm`; did you mean `sigma`"):
        expansion.confirm_trials({(expansion.cells[0].key, "gaussian"): {"attention_bias.sigm": 1.0}})


def test_the_digest_names_spec_and_data():
    digest = expand().digest
    assert len(digest) == 20
    assert expand().digest == digest
    assert expand(seeds=[3, 1, 2]).digest != digest
    # What is written out and what is a default are one spec.
    assert expand(confidence=0.95).digest == digest


def test_a_spec_without_planned_looks_is_the_text_that_it_always_was():
    assert '"looks"' not in canonical_json(expand().spec)
    looks = {"kind": "obrien_fleming", "at": [2, 3]}
    expansion = expand(seeds=[3, 1, 2], looks=looks)
    assert '"looks"' in canonical_json(expansion.spec)
    assert {trial.seed for trial in expansion.confirm_trials({}, expansion.first_reach)} == {3, 1}
    assert expansion.confirm_trials({}) == expand(seeds=[3, 1, 2]).confirm_trials({})
    with pytest.raises(SpecError, match=r"/seeds: no look is planned after 4 pairs.*list 2 or 3 seeds"):
        expand(seeds=[0, 1, 2, 3], looks=looks)


def test_the_digest_changes_with_the_data(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / "pets" / name / f"{index}.png")
    datasets = [{"kind": "folder", "path": "pets"}]
    small = {"global_batch_size": 8}
    before = expand(tmp_path, datasets=datasets, optimization=small)
    Image.new("RGB", (9, 9)).save(tmp_path / "pets" / "a" / "0.png")
    after = expand(tmp_path, datasets=datasets, optimization=small)
    assert before.digest != after.digest
    assert before.confirm_trials({})[0].identity != after.confirm_trials({})[0].identity


def test_labels_are_made_different():
    assert labels_of(["a", "b", "a", "a"]) == ["a", "b", "a-2", "a-3"]
    assert labels_of(["a", "a", "a-2"]) == ["a", "a-3", "a-2"]


# ---- what is refused, and where it points ----


def test_a_bad_arm_names_arm_cell_and_place():
    arms = with_arm(patch={"attention_bias": {"kind": "gaussian", "sigma": -1, "ampltude": 2}})
    where = "arm `gaussian` in cell `small_vit_48x3_rel_bias/digits-300` (and 3 more): "
    assert problems(arms=arms) == [
        ("/arms/0/patch/attention_bias/sigma", f"{where}must be above 0.01, not -1"),
        (
            "/arms/0/patch/attention_bias/ampltude",
            f"{where}unknown field `ampltude`; did you mean `amplitude`? Valid: {', '.join(GaussianBias.model_fields)}",
        ),
    ]


def test_types_in_patches_are_taken_at_their_word():
    arms = with_arm(patch={"attention_bias": {"kind": "gaussian", "sigma": "2"}})
    ((pointer, message),) = problems(arms=arms)
    assert pointer == "/arms/0/patch/attention_bias/sigma"
    assert message.endswith('must be a number, not "2"')


@pytest.mark.parametrize(
    ("patch", "pointer", "message"),
    [
        ({"atention_bias": GAUSSIAN}, "/arms/0/patch/atention_bias", "did you mean `attention_bias`?"),
        ({"attention_bias": {"kind": "gausian"}}, "/arms/0/patch/attention_bias/kind", "did you mean `gaussian`?"),
        ({"attention_bias": {"sigma": 2}}, "/arms/0/patch/attention_bias", "the field `kind` is required"),
        ({"seed": 3}, "/arms/0/patch/seed", "the plan gives every trial its seed; list seeds under `seeds`"),
        ({"score_test": False}, "/arms/0/patch/score_test", "the phase decides this"),
        ({"model": {"kind": "timm"}}, "/arms/0/patch/model/name", "the field `name` is required"),
        ({"model": {"depth": 0}}, "/arms/0/patch/model/depth", "must be at least 1, not 0"),
        ({"model": None}, "/arms/0/patch/model", "the field `model` is required"),
        ({"model": 3}, "/arms/0/patch/model", "must be an object, not 3"),
        ({"optimization": {"global_batch_size": 101}}, "/arms/0/patch/optimization/global_batch_size", "larger than"),
    ],
)
def test_a_bad_patch_points_at_itself(patch, pointer, message):
    (found,) = problems(arms=with_arm(patch=patch))
    assert found[0] == pointer
    assert message in found[1]
    assert "arm `gaussian` in cell `small_vit_" in found[1]


def test_a_bad_cell_patch_points_at_itself_and_a_later_patch_takes_the_blame():
    patches = [{"dataset": "digits-100", "patch": {"optimization": {"epochs": -1}}}]
    ((pointer, message),) = problems(cell_patches=patches)
    assert pointer == "/cell_patches/0/patch/optimization/epochs"
    assert message.startswith("arm `control` in cell `small_vit_48x3_rel_bias/digits-100` (and 5 more): ")
    patches = [{"patch": {"optimization": {"epochs": 3}}}, {"patch": {"optimization": {"epochs": -2}}}]
    ((pointer, _),) = problems(cell_patches=patches)
    assert pointer == "/cell_patches/1/patch/optimization/epochs"


def test_a_cell_patch_that_selects_nothing():
    (found,) = problems(cell_patches=[{"dataset": "digits-30", "patch": {}}])
    assert found == (
        "/cell_patches/0/dataset",
        "no cell has the label `digits-30`; did you mean `digits-300`? Valid: digits-300, digits-100",
    )


def test_a_model_or_data_set_that_is_listed_twice():
    twice = [{"kind": "small_vit"}, {"kind": "small_vit", "depth": 3}]
    assert problems(models=twice) == [("/models/1", "this model is listed already, at /models/0")]
    assert problems(datasets=[{"kind": "digits"}] * 2) == [
        ("/datasets/1", "this data set is listed already, at /datasets/0")
    ]


def test_an_arm_that_is_the_control_in_disguise():
    arms = with_arm(patch={"attention_bias": {"kind": "none"}})
    ((pointer, message),) = problems(arms=arms)
    assert pointer == "/arms/0/patch"
    assert message.endswith(
        "(and 3 more): this patch makes the same trial as arm `control`, so there is nothing to compare"
    )


def test_kinds_that_do_not_fit_together_are_told_once_each_at_the_one_that_has_to_give_way():
    """Not once for each arm, and all at a time."""
    found = dict(
        problems(
            task={"kind": "segmentation"},
            datasets=[{"kind": "digits"}],
            augmentation={"kind": "rand_augment"},
            mixing={"kind": "mixup"},
        )
    )
    assert list(found) == ["/datasets/0", "/augmentation", "/mixing"]
    assert all("(and 5 more): " in message for message in found.values())
    arms = with_arm(patch={"mixing": {"kind": "mixup"}})
    ((pointer, _),) = problems(task={"kind": "segmentation"}, datasets=[{"kind": "shapes"}], arms=arms)
    assert pointer == "/arms/0/patch/mixing"


def test_a_batch_that_the_workers_cannot_share():
    ((pointer, message),) = problems(
        optimization={"global_batch_size": 50, "accumulation_steps": 2}, resources={"num_workers": 4}
    )
    assert pointer == "/optimization/global_batch_size"
    assert message.startswith("arm `control` in cell `small_vit_48x3_rel_bias/digits-300` (and 11 more): ")
    assert message.endswith(
        "a global batch of 50 can't be shared by 4 workers x 2 accumulation steps; 48 or 56 would do"
    )


@pytest.mark.parametrize(
    ("analysis", "message"),
    [
        ({"kind": "receptive_field", "target": {"kind": "token", "row": 20, "column": 2}}, "rows 0 to 7 and"),
        ({"kind": "receptive_field", "target": {"kind": "lattice", "per_side": 9}}, "a grid of 8 x 8 tokens"),
        ({"kind": "receptive_field", "point": {"layer": 3}}, "small_vit_48x3_rel_bias has no layer 3: its layers are"),
        ({"kind": "learned_bias", "query": {"kind": "token", "row": 0, "column": 8}}, "row 0, column 8: the grid has"),
    ],
)
def test_an_analysis_of_what_the_model_has_not(analysis, message):
    """Its trials would train, succeed, and have nothing to show."""
    ((pointer, found),) = problems(models=[{"kind": "small_vit"}], analyses=[analysis])
    assert pointer == "/analyses/0"
    assert message in found


def test_a_query_that_some_layers_have_is_no_mistake():
    """Swin's windows are 7 x 7, but for the last stage of a small image."""
    swin = {"kind": "timm", "name": "swin_tiny_patch4_window7_224", "image_size_px": 128}
    asked = {"kind": "learned_bias", "query": {"kind": "token", "row": 5, "column": 5}}
    assert set(TimmConfig.model_validate(swin).grids().attention) == {(7, 7), (4, 4)}
    assert expand(models=[swin], analyses=[asked])


def test_a_batch_larger_than_the_training_set():
    ((pointer, message),) = problems(optimization={"global_batch_size": 128})
    assert pointer == "/optimization/global_batch_size"
    assert "cell `small_vit_48x3_rel_bias/digits-100` (and 5 more)" in message
    assert message.endswith("a global batch of 128 is larger than the training set of 100 images; take a smaller one")


@pytest.mark.parametrize(
    ("optimization", "message"),
    [
        (
            {"epochs": 5, "schedule": {"kind": "cosine", "warmup_epochs": 6}},
            "warmup_epochs 6 must be less than epochs 5",
        ),
        ({"epochs": 5, "schedule": {"kind": "step", "milestones": [5]}}, "must lie before the end of 5 epochs"),
    ],
)
def test_a_schedule_that_does_not_fit_the_training(optimization, message):
    ((pointer, found),) = problems(optimization={"global_batch_size": 50, **optimization})
    assert pointer == "/optimization"
    assert message in found


def test_a_missing_data_folder_is_one_problem_at_its_data_set(tmp_path):
    datasets = [{"kind": "digits"}, {"kind": "folder", "path": "pets"}]
    ((pointer, message),) = problems(tmp_path, datasets=datasets)
    assert pointer == "/datasets/1"
    assert str(tmp_path / "pets") in message


# ---- spaces ----


@pytest.mark.parametrize(
    ("path", "distribution", "pointer", "message"),
    [
        (
            "attention_bias.sigma",
            {"kind": "log_uniform", "low": 0.001, "high": 8},
            "/low",
            "`attention_bias.sigma` = 0.001: must be above 0.01, not 0.001",
        ),
        (
            "attention_bias.sigma",
            {"kind": "uniform", "low": 1, "high": 5000},
            "/high",
            "`attention_bias.sigma` = 5000.0: must be at most 1000, not 5000.0",
        ),
        (
            "attention_bias.parameterization",
            {"kind": "choice", "values": ["log", "sqare"]},
            "/values/1",
            "did you mean `square`?",
        ),
        (
            "attention_bias.sgma",
            {"kind": "uniform", "low": 1, "high": 2},
            "",
            "is not a field of the trial config: in `attention_bias`: there is no field `sgma`; did you mean `sigma`?",
        ),
        (
            "lr",
            {"kind": "uniform", "low": 1, "high": 2},
            "",
            "`lr` is not a field of the trial config: there is no field",
        ),
        ("optimization.epochs", {"kind": "uniform", "low": 1, "high": 2}, "/low", "must be a whole number, not 1.0"),
        ("seed", {"kind": "int_uniform", "low": 1, "high": 2}, "", "`seed` can't be searched: the plan gives"),
        ("dataset.num_train", {"kind": "int_uniform", "low": 50, "high": 90}, "", "`dataset` can't be searched"),
        (
            "optimization.global_batch_size",
            {"kind": "choice", "values": [50, 101]},
            "/values/1",
            "`optimization.global_batch_size` = 101: a global batch of 101 is larger than the training set of 100",
        ),
    ],
)
def test_a_space_outside_its_domain(path, distribution, pointer, message):
    search = {"space": {path: distribution}}
    found = problems(arms=with_arm(patch={"attention_bias": GAUSSIAN}, search=search))
    assert {place for place, _ in found} == {f"/arms/0/search/space/{path}{pointer}"} | (
        {f"/arms/0/search/space/{path}/high"} if "whole number" in message else set()
    )
    assert message in found[0][1]
    assert found[0][1].startswith("arm `gaussian` in cell `small_vit_")


def test_early_stopping_that_never_acts():
    search = {**SEARCH, "early_stopping": {"kind": "asha", "grace_epochs": 20}}
    ((pointer, message),) = problems(arms=with_arm(patch={"attention_bias": GAUSSIAN}, search=search))
    assert pointer == "/optimization/epochs"
    assert message.endswith("early stopping after 20 epochs (`grace_epochs`) never takes effect in a training of 20")


def test_problems_of_all_kinds_come_together(tmp_path):
    found = problems(
        tmp_path,
        datasets=[{"kind": "digits"}, {"kind": "folder", "path": "pets"}],
        arms=with_arm(patch={"attention_bias": {"kind": "gaussian", "sigma": 0}}),
        cell_patches=[{"model": "x", "patch": {}}],
        resources={"num_workers": 7},
    )
    assert {pointer for pointer, _ in found} == {
        "/datasets/1",
        "/arms/0/patch/attention_bias/sigma",
        "/cell_patches/0/model",
        "/optimization/global_batch_size",
    }


def test_ten_thousand_trials_are_validated_once_per_cell_and_arm():
    arms = [
        SPEC["arms"][1],
        *({"name": f"sigma-{i}", "patch": {"attention_bias": {"kind": "gaussian", "sigma": i + 1}}} for i in range(24)),
    ]
    trials = expand(arms=arms, seeds=list(range(100))).confirm_trials({})
    assert len(trials) == 10_000
    assert len({trial.identity for trial in trials}) == 10_000
    # A planned trial is what its own JSON says, though its config was copied and not validated.
    assert all(type(trial).model_validate_json(trial.model_dump_json()) == trial for trial in trials[::997])
    assert json.loads(trials[-1].config.model_dump_json())["seed"] == 99


def test_a_bias_on_a_model_without_attention_is_refused_with_arm_and_model():
    models = [{"kind": "timm", "name": "test_resnet", "image_size_px": 32}]
    found = problems(models=models)
    assert {pointer for pointer, _ in found} == {f"/arms/{i}/patch/attention_bias" for i in (0, 2)}
    message = found[0][1]
    assert "test_resnet_px32 takes no attention bias: ResNet has no layer that can take an attention bias" in message
    assert "arm `gaussian`" in message
    arms = [
        {"name": "control", "role": "control"},
        {"name": "max", "patch": {"model": {"arguments": {"global_pool": "max"}}}},
    ]
    trials = expand(models=models, arms=arms).confirm_trials({})
    assert trials[1].config.model.arguments == {"global_pool": "max"}
    ((_, message),) = problems(models=models, arms=arms, analyses=[{"kind": "learned_bias"}])[:1]
    assert "has no attention whose position bias could be shown" in message


def test_a_bias_from_weights_needs_a_file_of_weights(tmp_path):
    arms = with_arm(patch={"attention_bias": {"kind": "from_weights"}})
    ((pointer, message),) = problems(arms=arms)
    assert pointer == "/arms/0/patch/attention_bias"
    assert "the model has no file to read sigma and A from: name it (`weights` of a timm model)" in message
    weights, other_weights = (weights_in(tmp_path / f"{name}.safetensors", name) for name in ("mine", "other"))
    models = [{"kind": "timm", "name": "test_vit", "image_size_px": 32, "weights": weights}]
    expansion = expand(models=models, arms=[arms[0], SPEC["arms"][1]])
    control, treated, *_ = expansion.confirm_trials({})
    assert control.cell.model.endswith(f"weights_{weights['sha256'][:8]}")
    assert treated.config.attention_bias.kind == "from_weights"
    other = [{**models[0], "weights": other_weights}]
    assert expand(models=other, arms=[arms[0], SPEC["arms"][1]]).confirm_trials({})[1].identity != treated.identity


@pytest.mark.parametrize(
    ("model", "theirs", "ours", "trouble"),
    [
        ("test_vit", {"kind": "none"}, {}, "can't be read from {path}: it holds none"),
        ("test_vit", {"kind": "permuted_gaussian"}, {}, "in {path} are those of a placebo"),
        ("test_vit", {"kind": "gaussian", "parameterization": "log"}, {}, "of parameterization `log`, and"),
        (
            "test_vit",
            {"kind": "gaussian", "per_head": True},
            {},
            "are of `per_head` true, and `attention_bias` says false",
        ),
        (
            "test_vit2",
            {"kind": "gaussian"},
            {},
            "the weights in {path} are not those of test_vit: they are those of test_vit2",
        ),
        ("test_vit", {"kind": "gaussian", "per_head": True}, {"per_head": True}, None),
        ("test_vit", {"kind": "gaussian"}, {}, None),
    ],
)
def test_what_an_exported_file_says_of_itself_is_asked_before_anything_is_trained(
    tmp_path, model, theirs, ours, trouble
):
    note = {
        "trial": "0" * 20,
        "seed": 0,
        "best_epoch": 1,
        "metrics": {},
        "model": {"kind": "timm", "name": model, "image_size_px": 32},
        "attention_bias": theirs,
        "bias_tensors": [],
        "num_classes": 10,
        "class_names": [],
        "input_size_px": 32,
        "input_mean": [0.5] * 3,
        "input_std": [0.5] * 3,
        "timm": None,
    }
    weights = weights_in(tmp_path / "theirs.safetensors", "theirs", **note)
    asked = {
        "models": [{"kind": "timm", "name": "test_vit", "image_size_px": 32, "weights": weights}],
        "arms": with_arm(patch={"attention_bias": {"kind": "from_weights", **ours}}),
    }
    if trouble is None:
        expand(**asked)
        return
    found = problems(**asked)
    assert {pointer for pointer, _ in found} == {"/models/0/weights"}
    assert all(trouble.format(path=weights["path"]) in message for _, message in found)


def test_a_file_of_weights_that_is_missing_or_another_is_found_before_anything_runs(tmp_path):
    weights = weights_in(tmp_path / "mine.safetensors", "mine")
    model = {"kind": "timm", "name": "test_vit", "image_size_px": 32}
    absent, changed = weights | {"path": str(tmp_path / "absent")}, weights | {"sha256": "0" * 64}
    for wrong, why in ((absent, "there is no file of weights"), (changed, "another file: its sha256 is not 0000")):
        ((pointer, message),) = problems(models=[model | {"weights": wrong}])
        assert pointer == "/models/0/weights"
        assert why in message
        # What it is, whoever asks for it, is nobody's business.
        assert weights["sha256"] not in message


def test_a_bias_on_an_attention_that_arguments_choose_is_refused():
    models = [{"kind": "timm", "name": "test_vit", "image_size_px": 32, "arguments": {"attn_layer": "diff"}}]
    found = problems(models=models)
    assert {pointer for pointer, _ in found} == {f"/arms/{i}/patch/attention_bias" for i in (0, 2)}
    assert "test_vit_px32_attn_layer_diff takes no attention bias: " in found[0][1]
    models[0]["arguments"] = {"qkv_bias": False}
    assert expand(models=models).confirm_trials({})
