"""Every spec that the repository ships is valid, plans without its data, and can show what it asks."""

import json
from pathlib import Path

import pytest

from orchestrator.kept_code import with_code
from orchestrator.planning.plan import make_plan
from orchestrator.spec.code import with_code_beside
from orchestrator.spec.experiment import parse_spec
from trainers.data.prepare import SETS

EXAMPLES = Path(__file__).parents[2] / "examples"
RECEPTIVE_FIELDS = sorted((EXAMPLES / "paper").glob("receptive-field-*.json"))
RECIPES = {"coco-swin-s": "mask-rcnn-3x", "ade20k-swin-s": "upernet-160k"}
DENSE = {"coco-swin-s": (0.11, 0.1), "ade20k-swin-s": (0.25, 0.27)}
"""Spec -> published effects: AP of boxes and of masks, mIoU and pixel accuracy."""
PAPER = sorted(
    {*(EXAMPLES / "paper").glob("*.json")}
    - {*RECEPTIVE_FIELDS, *(EXAMPLES / "paper" / f"{name}.json" for name in DENSE)}
)


@pytest.fixture(autouse=True)
def folder_of_the_user(tmp_path):
    """What `{"kind": "folder", "path": "images"}` stands for; a plan reads headers only."""
    (tmp_path / "images" / "any").mkdir(parents=True)
    for number in range(100):
        (tmp_path / "images" / "any" / f"{number}.ppm").write_text("P2 1 1 255 0")


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.json")), ids=lambda file: file.stem)
def test_an_example_can_be_planned(file, tmp_path):
    document = with_code_beside(json.loads(file.read_bytes()), file.parent)
    with with_code(parse_spec(document), tmp_path, roots=None, keep=False) as spec:
        plan = make_plan(spec, data_root=tmp_path)
    assert plan.num_confirm_trials == len(plan.cells) * len(spec.arms) * len(spec.seeds)
    assert plan.cost.cpu_hours > 0


@pytest.mark.parametrize("file", PAPER, ids=lambda file: file.stem)
def test_a_spec_of_the_paper(file, tmp_path):
    """The paper's control, its protocol's data, and enough seeds for a corrected p below 0.05."""
    spec = parse_spec(file.read_bytes())
    assert spec.name == f"paper-{file.stem}"
    assert spec.recipe == ("paper-imagenet" if file.stem == "imagenet" else "paper-finetune")
    for model in spec.models:
        assert model.pretrained
        assert model.position_embedding == "reinitialise"
    for arm in spec.treatments:
        # The default is ours (docs/evidence.md).
        assert arm.patch["attention_bias"]["lr_multiplier"] == 1
    plan = make_plan(spec, data_root=tmp_path)
    assert plan.cost.gpu_hours > 1
    assert plan.expected_effects == (0.157, 0.362)
    # The published deltas at sd .1 and .3 pp: SCIENCE.md, section 4.
    assert [forecast.pairs_needed for forecast in plan.power[:2]] == [(6, 3), (31, 8)]
    about_data, *others = plan.warnings
    assert about_data.startswith("not here: ")
    assert not [warning for warning in others if "no p that is corrected" in warning]


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_spec_of_the_paper(name, tmp_path):
    """What `sigmalab data prepare` prints is what it reads, and its plan needs no data."""
    spec = parse_spec((EXAMPLES / "paper" / f"{name}.json").read_bytes())
    assert spec.name == f"paper-{name}"
    # As the reference trains; the epochs of ADE20K are more than the recipe's, as validation is cut out of training.
    assert spec.recipe == RECIPES[name]
    (published,) = (each for each in SETS if each.name == name.partition("-")[0])
    assert spec.datasets == (published.dataset(published.name),)
    num_images = published.sizes("official").train
    steps = spec.optimization.epochs * (num_images // spec.optimization.global_batch_size)
    assert name == "coco-swin-s" or 160_000 <= steps < 161_000
    plan = make_plan(spec, data_root=tmp_path)
    # Hundreds to thousands, by the rate that is assumed where no device is named.
    assert 100 < plan.cost.gpu_hours < 10_000
    assert plan.expected_effects == DENSE[name]
    assert all(min(forecast.pairs_needed) >= 3 for forecast in plan.power)
    (about_data,) = plan.warnings
    assert about_data.startswith(f"not here: {published.name}; images are counted as published")


@pytest.mark.parametrize("file", RECEPTIVE_FIELDS, ids=lambda file: file.stem)
def test_a_spec_of_the_papers_receptive_fields(file, tmp_path):
    """Arms are interventions on published weights that nothing trains; each changes what its name says, and no more."""
    spec = parse_spec(file.read_bytes())
    assert spec.name == f"paper-{file.stem}"
    assert spec.optimization.epochs == 0
    # Where the paper's tool looks, as far as a model has a gradient there.
    assert [analysis.point.norm for analysis in spec.analyses] == ["after_if_trained"]
    assert all(model.pretrained for model in spec.models)
    plan = make_plan(spec, data_root=tmp_path)
    changes: dict[str, set[str]] = {}
    control = next(trial.config for trial in plan.trials if trial.arm == "trained").model_dump()
    for trial in plan.trials:
        if trial.seed == control["seed"] and trial.cell == plan.cells[0]:
            config = trial.config.model_dump()
            model = {f"model.{name}" for name, value in config.pop("model").items() if value != control["model"][name]}
            changes[trial.arm] = model | {name for name, value in config.items() if value != control[name]}
    untrained = changes.pop("untrained")
    assert "model.pretrained" in untrained <= {"model.pretrained", "model.layer_scale"}
    assert changes == {
        "trained": set(),
        "position-redrawn": {"model.position_embedding"},
        "position-zero": {"model.position_embedding"},
        "gaussian": {"attention_bias"},
        "redrawn-gaussian": {"model.position_embedding", "attention_bias"},
    }
    assert not [warning for warning in plan.warnings if "no p that is corrected" in warning]


def test_a_sweep_of_initial_sigmas_needs_one_control(tmp_path):
    spec = parse_spec((EXAMPLES / "paper" / "sigma-initialisation.json").read_bytes())
    trials = make_plan(spec, data_root=tmp_path).trials
    controls = [trial for trial in trials if trial.arm == "control"]
    assert len(controls) == len(spec.datasets) * len(spec.seeds)
    assert len({trial.identity for trial in trials}) == len(trials) == 7 * len(controls)


def test_the_readme_snippet_is_a_spec():
    readme = (EXAMPLES.parent / "README.md").read_text()
    start = readme.index('    {"name": "digits-gaussian-bias"')
    text = readme[start : readme.index("\n\n", start)]
    assert parse_spec(json.dumps(json.loads(text)).encode()).name == "digits-gaussian-bias"
