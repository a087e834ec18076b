"""Every spec that the repository ships is valid, plans without its data, and can show what it asks."""

import json
from pathlib import Path

import pytest

from orchestrator.planning.plan import make_plan
from orchestrator.spec import parse_spec

EXAMPLES = Path(__file__).parents[2] / "examples"
PAPER = sorted((EXAMPLES / "paper").glob("*.json"))


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.json")), ids=lambda file: file.stem)
def test_an_example_can_be_planned(file, tmp_path):
    spec = parse_spec(file.read_bytes())
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
    plan = make_plan(spec, data_root=tmp_path)
    assert plan.cost.gpu_hours > 1
    assert plan.expected_effects == (0.157, 0.362)
    # The published deltas at sd .1 and .3 pp: SCIENCE.md, section 4.
    assert [forecast.pairs_needed for forecast in plan.power[:2]] == [(6, 3), (31, 8)]
    about_data, *others = plan.warnings
    assert about_data.startswith("not here: ")
    assert not [warning for warning in others if "no p that is corrected" in warning]


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
