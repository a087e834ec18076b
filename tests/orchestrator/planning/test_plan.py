"""What a plan says: counts, reuse, cost, power and warnings."""

from copy import deepcopy

import pytest
from PIL import Image

from orchestrator.errors import SpecError
from orchestrator.planning.cost import CPU_FLOPS_PER_SECOND
from orchestrator.planning.expansion import Expansion
from orchestrator.planning.gpu_rates import MEASURED, UNKNOWN_GPU, UTILISATION, gpu_rate
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.plan_warnings import warnings_of
from orchestrator.spec.experiment import parse_spec
from trainers.data.digits import DigitsConfig

NUM_TEST = DigitsConfig().num_test
CELL = "small_vit_48x3_rel_bias/digits-300"
SEARCH = {"space": {"attention_bias.sigma": {"kind": "uniform", "low": 1, "high": 8}}, "seeds": [10, 11]}
LR_SEARCH = {
    "space": {"optimization.optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1e-2}},
    "seeds": [10, 11],
}
SPEC = {
    "name": "digits",
    "models": [{"kind": "small_vit"}],
    "datasets": [{"kind": "digits"}],
    "arms": [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian"}}},
    ],
}


def plan_with(finished=frozenset(), seconds_per_trial=None, **changes):
    spec = parse_spec({**deepcopy(SPEC), **changes})
    return make_plan(spec, data_root=None, finished=finished, seconds_per_trial=seconds_per_trial)


def searched(arm):
    return {**arm, "search": SEARCH}


def test_counts_without_a_search():
    plan = plan_with()
    assert (plan.num_confirm_trials, plan.num_search_trials, len(plan.trials), plan.cost.num_trials) == (12, 0, 12, 12)
    assert (plan.control, plan.treatments, plan.seeds) == ("control", ("gaussian",), (0, 1, 2, 3, 4, 5))
    assert [cell.key for cell in plan.cells] == [CELL]
    assert plan.warnings == ()


def test_counts_with_a_search():
    plan = plan_with(arms=[searched(arm) for arm in SPEC["arms"][1:]] + SPEC["arms"][:1])
    assert (plan.num_confirm_trials, plan.num_search_trials, len(plan.trials), plan.cost.num_trials) == (12, 16, 6, 28)


def test_finished_trials_are_reused_and_cost_nothing():
    identities = [trial.identity for trial in plan_with().trials]
    plan = plan_with(finished={*identities[:5], "another experiment's"})
    assert plan.reusable == tuple(identities[:5])
    assert plan.cost.num_trials == 7
    complete = plan_with(finished=set(identities))
    assert (complete.cost.num_trials, complete.cost.cpu_hours) == (0, 0)
    assert complete.cost.basis == "nothing remains to be done"


def test_never_means_never():
    identities = {trial.identity for trial in plan_with().trials}
    plan = plan_with(finished=identities, reuse="never")
    assert plan.reusable == ()
    assert plan.cost.num_trials == 12


def test_cost_from_measured_seconds():
    cost = plan_with(seconds_per_trial={CELL: 90.0}, resources={"num_workers": 2, "cpus_per_worker": 3}).cost
    assert cost.cpu_hours == pytest.approx(12 * 90 * 6 / 3600)
    assert cost.gpu_hours == 0
    assert cost.basis == "12 trials by the median of finished trials of their cell"


def test_cost_from_floating_point_operations():
    plan = plan_with()
    flops = plan.trials[0].config.model.forward_flops_per_image() * (20 * (3 * 300 + 300) + 300 + NUM_TEST)
    assert plan.cost.cpu_hours == pytest.approx(12 * flops / CPU_FLOPS_PER_SECOND / 3600)
    assert plan.cost.basis.startswith(
        "12 trials by floating-point operations at an assumed 3e+10 per second and CPU core"
    )
    on_gpus = plan_with(resources={"num_workers": 2, "gpus_per_worker": 1}).cost
    # Twice the GPUs, half the time: the same GPU hours.
    assert on_gpus.gpu_hours == pytest.approx(12 * flops / UNKNOWN_GPU / 3600)
    assert "2e+13 per second and GPU (right within a factor of ten; `resources.accelerator_type` would" in on_gpus.basis


def test_the_cost_of_a_gpu_is_that_of_its_model_and_precision(monkeypatch):
    on_h100 = {"gpus_per_worker": 1, "accelerator_type": "H100"}

    def cost(precision):
        plan = plan_with(optimization={"precision": precision}, resources=on_h100)
        return plan.cost.gpu_hours, plan.cost.basis

    hours, basis = cost("bf16")
    # NVIDIA's data sheet: 1,979 TFLOP/s with sparsity, half of it dense; 989 for TF32; 67 for fp32.
    assert "an assumed 3e+14 per second and H100 in bf16 (30 % of the published 9.9e+14, right" in basis
    assert cost("tf32")[0] == pytest.approx(2 * hours, rel=1e-3)
    assert cost("fp32")[0] == pytest.approx(hours * 1979 / 2 / 67)
    monkeypatch.setitem(MEASURED, ("H100", "bf16"), 4e14)
    measured_hours, basis = cost("bf16")
    assert measured_hours == pytest.approx(hours * UTILISATION * 1979e12 / 2 / 4e14)
    assert "4e+14 per second and H100 in bf16 (as measured)" in basis
    # What one precision reached says nothing of another.
    assert "of the published" in cost("tf32")[1]


def test_a_gpu_that_nobody_knows_is_named():
    rate = gpu_rate("Intel-GPU-Max-1550", "bf16")
    assert (rate.flops_per_second, rate.unit) == (UNKNOWN_GPU, "GPU")
    assert rate.ground.endswith("nothing is known of Intel-GPU-Max-1550")
    assert gpu_rate("A100-80G", "bf16") == gpu_rate("A100", "bf16")
    for typed in ("H20O", "h200"):
        assert gpu_rate(typed, "bf16").ground.endswith(f"nothing is known of {typed}; did you mean H200?")


def test_a_trial_without_epochs_costs_its_scoring_and_its_analysis():
    look = {"kind": "receptive_field", "num_images": 64, "every_epochs": 1}
    plan = plan_with(optimization={"epochs": 0}, analyses=[look])
    forward = plan.trials[0].config.model.forward_flops_per_image()
    expected = 12 * (300 + NUM_TEST + 3 * 64) * forward / CPU_FLOPS_PER_SECOND / 3600
    assert plan.cost.cpu_hours == pytest.approx(expected)


def test_the_images_of_a_folder_are_counted(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(10):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / name / f"{index}.png")
    spec = parse_spec(
        {**SPEC, "datasets": [{"kind": "folder", "path": "."}], "optimization": {"global_batch_size": 14}}
    )
    cost = make_plan(spec, data_root=tmp_path).cost
    # 20 images: 3 for validation, 3 for test, 14 to train on; a step is three forward passes.
    forward = spec.models[0].forward_flops_per_image()
    # At the end validation and test are scored once.
    passes = spec.optimization.epochs * (3 * 14 + 3) + 3 + 3
    expected = 12 * passes * forward / CPU_FLOPS_PER_SECOND / 3600
    assert cost.cpu_hours == pytest.approx(expected)


def test_a_published_set_is_planned_before_it_is_there(tmp_path):
    spec = parse_spec({**SPEC, "datasets": [{"kind": "manifest", "path": "oxford_pet-paper.manifest.parquet"}]})
    plan = make_plan(spec, data_root=tmp_path)
    forward = spec.models[0].forward_flops_per_image()
    passes = spec.optimization.epochs * (3 * 5144 + 1102) + 1102 + 1102
    expected = 12 * passes * forward / CPU_FLOPS_PER_SECOND / 3600
    assert plan.cost.cpu_hours == pytest.approx(expected)
    assert plan.warnings[0].startswith("not here: oxford_pet-paper; images are counted as published")
    assert "sigmalab data prepare" in plan.warnings[0]
    # What is about to run must have its data.
    with pytest.raises(SpecError, match="no manifest"):
        Expansion(spec, data_root=tmp_path)
    misspelt = parse_spec({**SPEC, "datasets": [{"kind": "manifest", "path": "oxford_pets-paper.manifest.parquet"}]})
    with pytest.raises(SpecError, match="no manifest"):
        make_plan(misspelt, data_root=tmp_path)


def test_power_is_forecast_for_the_plans_pairs_and_metric():
    assert [forecast.assumed_sd for forecast in plan_with().power] == [0.1, 0.3, 1.0, 3.0]
    assert {forecast.num_pairs for forecast in plan_with().power} == {6}
    assert [forecast.assumed_sd for forecast in plan_with(primary_metric="test/loss").power] == [0.01, 0.03, 0.1]


def test_pairs_for_the_published_effects():
    # SCIENCE: pairs for 80 % power at sd .1 and .3 pp: .157 takes 6 and 31, .362 takes 3 and 8.
    plan = plan_with(expected_effects=[0.157, 0.362])
    assert [forecast.pairs_needed for forecast in plan.power[:2]] == [(6, 3), (31, 8)]
    assert plan.expected_effects == (0.157, 0.362)


def test_a_plan_is_deterministic_and_survives_json():
    plan = plan_with()
    assert plan == plan_with()
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


# ---- warnings ----


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"seeds": [0]}, "one seed makes one pair: there is no interval"),
        ({"seeds": [0, 1, 2]}, "3 seeds can't give a sign-flip p below 0.25, however large the effect; 6 seeds could"),
        ({"seeds": [0, 1, 2, 3, 4]}, "5 seeds can't give a sign-flip p below 0.0625"),
        ({"seeds": list(range(6)), "confidence": 0.99}, "6 seeds can't give a sign-flip p below 0.0312"),
        (
            {"datasets": [{"kind": "digits"}, {"kind": "digits", "num_train": 100}]},
            "with 2 comparisons and 6 seeds, no p that is corrected for their number can fall below 0.0625; 7 seeds",
        ),
        (
            {"arms": [SPEC["arms"][0], searched(SPEC["arms"][1])]},
            "the control is not tuned, but `gaussian` is: part of the effect may come from the search alone",
        ),
        ({"primary_metric": "best_val/top1"}, "`best_val/top1` is taken at the epoch that was chosen by validation"),
        (
            {"arms": [SPEC["arms"][0], {"name": "more", "patch": {"dataset": {"num_train": 500}}}]},
            "`more` and the control `control` differ in the data: a pair shares its seed, not its images",
        ),
        (
            {
                "arms": [
                    SPEC["arms"][0],
                    {"name": "more", "patch": SPEC["arms"][1]["patch"] | {"optimization": {"epochs": 50}}},
                ]
            },
            "`more` and the control `control` differ in the attention bias and the optimization: the effect is that of",
        ),
    ],
)
def test_what_weakens_the_result_is_said(changes, warning):
    (found,) = plan_with(**changes).warnings
    assert found.startswith(warning)


def test_unequal_and_thin_searches_are_said():
    learning_rate = {"space": {"optimization.optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1e-2}}}
    control = {**SPEC["arms"][0], "search": {**learning_rate, "num_candidates": 2, "seeds": [10]}}
    unequal, thin = plan_with(arms=[control, searched(SPEC["arms"][1])]).warnings
    assert unequal.startswith(
        "the searches of `gaussian` and the control `control` differ in trials per cell (16 against 2), candidates "
        "(8 against 2), seeds per candidate (2 against 1), `optimization.optimizer.lr` (fixed against searched); an "
        "arm that is searched longer, or better, looks better"
    )
    assert thin.startswith("the search of `control` judges each candidate by a single seed")
    equal = {**SPEC["arms"][0], "search": {**learning_rate, "seeds": [10, 11]}}
    (fixed,) = plan_with(arms=[equal, searched(SPEC["arms"][1])]).warnings
    assert "differ in `optimization.optimizer.lr` (fixed against searched);" in fixed
    both = {**SPEC["arms"][1], "search": {**SEARCH, "space": {**SEARCH["space"], **learning_rate["space"]}}}
    assert plan_with(arms=[equal, both]).warnings == ()


def test_searches_of_equal_size_may_be_unequal_too():
    decay = {"kind": "log_uniform", "low": 1e-4, "high": 1e-1}
    control = {**SPEC["arms"][0], "search": {**LR_SEARCH, "num_candidates": 4, "seeds": [10, 11, 12, 13]}}
    optuna = {"kind": "optuna", "sampler": "cma_es"}
    gaussian = {**SPEC["arms"][1], "search": {**SEARCH, "algorithm": optuna, "early_stopping": {"kind": "asha"}}}
    gaussian["search"]["space"] = {**SEARCH["space"], "optimization.optimizer.weight_decay": decay}
    unequal, few = plan_with(arms=[control, gaussian]).warnings
    assert "trials per cell" not in unequal
    for difference in (
        "candidates (8 against 4)",
        "seeds per candidate (2 against 4)",
        "algorithm (optuna (cma_es) against random)",
        "early stopping (asha from epoch 1, 1 in 3 goes on against none)",
        "`optimization.optimizer.weight_decay` (searched against fixed)",
    ):
        assert difference in unequal
    # cmaes: 4 + 3 ln(2) candidates in a generation.
    assert few.startswith("the search of `gaussian` proposes 8 candidates by CMA-ES, which learns only after each")
    assert "generation of 6; give it at least 18" in few


def test_as_many_candidates_over_another_range_are_another_search():
    def planned(low, high):
        rates = {"optimization.optimizer.lr": {"kind": "log_uniform", "low": low, "high": high}}
        control = {**SPEC["arms"][0], "search": {"space": rates, "seeds": [10, 11]}}
        return plan_with(arms=[control, {**SPEC["arms"][1], "search": LR_SEARCH}]).warnings

    assert planned(1e-4, 1e-2) == ()
    (warning,) = planned(1e-6, 1e-5)
    assert (
        "differ in `optimization.optimizer.lr` (log uniform from 0.0001 to 0.01 against log uniform from 1e-06 to "
        "1e-05);"
    ) in warning


def test_a_treatment_that_is_not_tuned_is_said():
    untuned = {"name": "wide", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 8.0}}}
    (warning,) = plan_with(arms=[searched(SPEC["arms"][0]) | {"search": LR_SEARCH}, untuned]).warnings
    assert warning.startswith("`wide` is not tuned, but the control `control` is: part of the effect may be hidden")


# ---- a training is planned once ----


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        ({"gpus_per_worker": 1}, "`resources.loader_workers` is 0: the GPU waits while its own process decodes"),
        (
            {"loader_workers": 7},
            "`resources.loader_workers` is 7, but each training process reserves 1 CPU: where a cluster is full",
        ),
        ({"gpus_per_worker": 1, "loader_workers": 7, "cpus_per_worker": 8}, ""),
        ({}, ""),
    ],
)
def test_a_gpu_that_would_wait_for_images_and_loaders_without_a_cpu_are_named(resources, told):
    def warnings(dataset: dict[str, object]) -> list[str]:
        spec = parse_spec({**deepcopy(SPEC), "datasets": [dataset], "resources": resources})
        return [warning for warning in warnings_of(spec) if "loader_workers" in warning]

    found = warnings({"kind": "folder", "path": "photos"})
    assert [warning[: len(told)] for warning in found] == ([told] if told else [])
    # In memory as a whole.
    assert warnings({"kind": "digits"}) == []


def test_a_sweep_needs_one_control_per_cell_and_seed():
    sweep = [
        {"name": f"sigma-{sigma}", "patch": {"attention_bias": {"kind": "gaussian", "sigma": sigma}}}
        for sigma in (1.0, 2.0, 4.0, 8.0, 16.0)
    ]
    cells = [{"kind": "digits"}, {"kind": "digits", "num_train": 100}]
    plan = plan_with(arms=[SPEC["arms"][0], *sweep], datasets=cells, seeds=[0, 1, 2])
    identities = [trial.identity for trial in plan.trials]
    assert len(set(identities)) == len(identities) == plan.cost.num_trials == 2 * 3 * (5 + 1)
    assert [(trial.cell, trial.seed) for trial in plan.trials if trial.arm == "control"] == [
        (cell, seed) for seed in (0, 1, 2) for cell in plan.cells
    ]
    # The same sweep as five experiments, one after another: the control is there already.
    num_trained, finished = 0, set()
    for arm in sweep:
        alone = plan_with(arms=[SPEC["arms"][0], arm], datasets=cells, seeds=[0, 1, 2], finished=finished)
        num_trained += alone.cost.num_trials
        finished |= {trial.identity for trial in alone.trials}
    assert num_trained == len(identities)
    assert finished == set(identities)


def test_a_set_that_is_not_whole_is_named():
    manifest = {"kind": "manifest", "path": "oxford_pet-paper-incomplete.manifest.parquet"}
    spec = parse_spec({**deepcopy(SPEC), "datasets": [manifest]})
    assert warnings_of(spec) == (
        "the data set oxford_pet-paper-incomplete is incomplete: no result on it can be compared with published ones",
    )


def test_seeds_that_measure_the_same_number_again_are_named():
    def about(**analysis):
        changes = {
            "models": [{"kind": "timm", "name": "vit_tiny_patch16_224", "pretrained": True}],
            "optimization": {"epochs": 0},
            "analyses": [{"kind": "receptive_field", **analysis}],
        }
        document = {**deepcopy(SPEC), **changes}
        return [text for text in warnings_of(parse_spec(document)) if "nothing is trained" in text], document

    (found,), document = about()
    assert "vit_tiny_patch16_224_pretrained brings its weights" in found
    assert 'ask for `"images": "by_seed"`' in found
    assert about(images="by_seed")[0] == []
    trained = {**document, "optimization": {"epochs": 1}}
    drawn = {**document, "models": [{"kind": "timm", "name": "vit_tiny_patch16_224"}]}
    for other in (trained, drawn, {**document, "seeds": [0]}):
        assert not any("nothing is trained" in text for text in warnings_of(parse_spec(other)))


def test_arms_with_other_tokens_are_named():
    coarse = {"name": "coarse", "patch": {"model": {"patch_size_px": 8}}}
    fine = {"name": "fine", "patch": {"model": {"num_heads": 4}}}
    plan = plan_with(arms=[*SPEC["arms"], coarse, fine], analyses=[{"kind": "receptive_field"}])
    (found,) = [text for text in plan.warnings if "tokens are not" in text]
    assert found.startswith(f"{CELL}: `coarse` 4 x 4 tokens are not the control's 8 x 8:")
    assert not any("tokens are not" in text for text in plan_with(arms=[*SPEC["arms"], coarse]).warnings)


def test_fields_of_fresh_weights_that_show_no_attention_are_named():
    def about(name, *, pretrained=False, **point):
        model = {"kind": "timm", "name": name, "pretrained": pretrained}
        analysis = {"kind": "receptive_field", "images": "by_seed", "point": point}
        spec = parse_spec({**deepcopy(SPEC), "models": [model], "analyses": [analysis]})
        return " ".join(text for text in warnings_of(spec) if "rounding noise" in text)

    assert "after the final norm" in about("vit_tiny_patch16_224", norm="after")
    assert "the blocks of swinv2_tiny_window8_256 end in norms" in about("swinv2_tiny_window8_256")
    assert about("vit_tiny_patch16_224") == about("swin_tiny_patch4_window7_224") == ""
    assert about("swinv2_tiny_window8_256", pretrained=True, norm="after") == ""


def paint(folder, *, num_images=10, names=("cat", "dog")):
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(num_images):
            Image.new("RGB", (9, 9), (number, label, 0)).save(folder / name / f"{number}.png")


def test_a_plan_says_in_one_line_what_was_found_of_each_data_set(tmp_path):
    paint(tmp_path / "pets")
    paint(tmp_path / "cars", names=("audi", "bmw", "volvo"))
    (tmp_path / "cars" / "audi" / "notes.txt").touch()
    folders = [{"kind": "folder", "path": str(tmp_path / name)} for name in ("pets", "cars")]
    small = {"global_batch_size": 8}
    plan = plan_with(datasets=[{"kind": "digits"}, *folders], optimization=small)
    assert plan.data_found == {
        "pets": "2 classes, 14/3/3 images",
        "cars": "3 classes, 22/4/4 images, 1 file of another kind (.txt 1)",
    }
    # What an arm changes is told apart.
    dataset = {"kind": "folder", "path": str(tmp_path / "pets"), "val_fraction": 0.3}
    arms = [*SPEC["arms"], {"name": "more-val", "patch": {"dataset": dataset}}]
    found = plan_with(datasets=folders[:1], arms=arms, optimization=small).data_found
    assert found == {
        "pets": "2 classes, 14/3/3 images",
        "small_vit_48x3_rel_bias/pets/more-val": "2 classes, 11/6/3 images",
    }


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (["cat", "dog", "bird"], "has no image of bird: remove this folder"),
        (["train/cat", "train/dog", "val/cat", "val/dog", "val/bird"], "val has no image of bird"),
        (["."], "holds 1 image in no class folder"),
        (["pets/cat", "pets/dog"], "has 1 class, pets; did you mean"),
        (["cat"], "has 1 class, and training needs two or more"),
        (["cat", "dog"], "split of"),
        ([], "no folder"),
    ],
)
@pytest.mark.parametrize("is_preview", [False, True])
def test_a_folder_that_can_not_be_loaded_is_a_problem_of_that_data_set(tmp_path, folders, told, is_preview):
    for folder in folders:
        (tmp_path / "set" / folder).mkdir(parents=True)
        if not folder.endswith("bird"):
            Image.new("RGB", (9, 9)).save(tmp_path / "set" / folder / "1.png")
    for number in range(20 if folders == ["cat"] else 0):
        Image.new("RGB", (9, 9)).save(tmp_path / "set" / "cat" / f"more{number}.png")
    datasets = [{"kind": "digits"}, {"kind": "folder", "path": "set"}]
    spec = parse_spec({**deepcopy(SPEC), "datasets": datasets, "optimization": {"global_batch_size": 8}})
    with pytest.raises(SpecError) as caught:
        Expansion(spec, data_root=tmp_path, is_preview=is_preview)
    (problem,) = caught.value.problems
    assert problem.pointer == "/datasets/1"
    assert told in problem.message


def test_files_that_are_no_images_are_a_problem_before_a_trial_meets_them(tmp_path):
    paint(tmp_path / "pets", num_images=20)
    for name in ("zero.png", "half.jpg", *(f"{number}.gif" for number in range(5))):
        (tmp_path / "pets" / "cat" / name).write_bytes(b"\xff\xd8" if name == "half.jpg" else b"")
    spec = {"datasets": [{"kind": "folder", "path": str(tmp_path / "pets")}], "optimization": {"global_batch_size": 8}}
    with pytest.raises(SpecError) as caught:
        plan_with(**spec)
    (problem,) = caught.value.problems
    assert problem.pointer == "/datasets/0"
    assert problem.message.startswith("7 files of pets can't be read as images, and trials would fail there: ")
    assert f"{tmp_path}/pets/cat/0.gif" in problem.message
    assert problem.message.endswith(" and 2 more; repair or remove them")


def test_a_batch_larger_than_a_folder_is_a_problem_before_a_trial_meets_it(tmp_path):
    paint(tmp_path / "pets")
    folder = [{"kind": "folder", "path": str(tmp_path / "pets")}]
    with pytest.raises(
        SpecError, match="a global batch of 15 is larger than the training set of 14 images; take a smaller one"
    ):
        plan_with(datasets=folder, optimization={"global_batch_size": 15})
    assert plan_with(datasets=folder, optimization={"global_batch_size": 15, "epochs": 0})


def test_a_plan_tells_what_one_image_of_a_small_split_weighs(tmp_path):
    paint(tmp_path / "pets", num_images=30)
    folder = [{"kind": "folder", "path": str(tmp_path / "pets")}]
    small = {"global_batch_size": 8}
    weighed = [text for text in plan_with(datasets=folder, optimization=small).warnings if "pp, and the arms" in text]
    assert len(weighed) == 1
    assert "the test split of pets has 9 images: one of them is 11 pp" in weighed[0]
    for metric, count in (("best_val/top1", 1), ("test/loss", 0)):
        found = plan_with(datasets=folder, optimization=small, primary_metric=metric).warnings
        assert sum("pp, and the arms" in text for text in found) == count


def test_one_class_is_enough_where_nothing_is_trained(tmp_path):
    paint(tmp_path / "any", num_images=30, names=("all",))
    optimization = {"epochs": 0}
    plan = plan_with(datasets=[{"kind": "folder", "path": str(tmp_path / "any")}], optimization=optimization)
    assert plan.data_found == {"any": "1 class, 22/4/4 images"}


def test_a_manifest_that_is_there_and_broken_is_no_absent_one(tmp_path):
    (tmp_path / "imagenet-official.manifest.parquet").write_text("no manifest")
    dataset = {"kind": "manifest", "path": "imagenet-official.manifest.parquet"}
    spec = parse_spec({**deepcopy(SPEC), "datasets": [dataset]})
    with pytest.raises(SpecError, match=r"/datasets/0: .* is not a manifest"):
        make_plan(spec, data_root=tmp_path)


def test_a_plan_says_what_its_looks_ask_for_and_take():
    looks = {"kind": "obrien_fleming", "at": [6, 9, 12]}
    plan = plan_with(seeds=list(range(12)), looks=looks)
    fixed = plan_with(seeds=list(range(12)))
    assert fixed.looks is None
    assert plan.num_confirm_trials == fixed.num_confirm_trials == 24
    assert [look.num_pairs for look in plan.looks.looks] == [6, 9, 12]
    assert [look.p_bound for look in plan.looks.looks] == pytest.approx([0.0038, 0.018, 0.0405], rel=0.02)
    assert plan.looks.mean_pairs_without_effect == pytest.approx(11.9, abs=0.1)
    # At d near .9 (80 % power) a look saves two of twelve pairs, and hardly any power.
    assert plan.looks.confirmable_effect_per_sd == pytest.approx(0.91, abs=0.03)
    assert plan.looks.mean_pairs_with_effect == pytest.approx(10.3, abs=0.2)
    assert plan.power[0].confirmable_effect == pytest.approx(plan.looks.confirmable_effect_per_sd * 0.1)
    assert plan.power[0].p_floor == 0.0
    assert plan.power[0].half_width > fixed.power[0].half_width


def test_looks_at_few_pairs_are_no_reason_to_warn_of_the_sign_flip_floor():
    spec = {**SPEC, "seeds": [0, 1, 2, 3], "looks": {"kind": "pocock", "at": [3, 4]}}
    assert not any("sign-flip" in warning for warning in warnings_of(parse_spec(spec)))
    assert any("sign-flip" in warning for warning in warnings_of(parse_spec({**SPEC, "seeds": [0, 1, 2, 3]})))
