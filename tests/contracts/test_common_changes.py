"""README's table of common changes, and the page of the first own experiment: each is planned, word for word."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.planning.plan import make_plan
from orchestrator.spec.experiment import parse_spec

ROW = re.compile(r"^\| ([^|]+) \| `(\{.*\})` \|$", re.MULTILINE)
CHANGES = ROW.findall(Path("README.md").read_text())
PAGE = Path("docs/first-experiment.md").read_text()


def test_the_table_is_found():
    assert len(CHANGES) >= 15


@pytest.mark.parametrize(("change", "patch"), CHANGES)
def test_a_common_change_is_a_patch_that_plans(change, patch):
    spec = json.loads(Path("examples/tiny.json").read_text())
    spec["arms"] = [{"name": "control", "role": "control"}, {"name": "changed", "patch": json.loads(patch)}]
    spec["seeds"] = [0, 1, 2, 3, 4, 5]
    spec["optimization"] = {"epochs": 10, "global_batch_size": 10}
    plan = make_plan(parse_spec(json.dumps(spec).encode()), data_root=None)
    control, changed = plan.trials[:2]
    assert control.config != changed.config, change
    assert plan.num_confirm_trials == 12


def test_the_first_experiment_plans_on_a_folder_of_images(tmp_path):
    text = re.search(r"^    (\{\"name\".*?\]\})\n\n", PAGE, re.MULTILINE | re.DOTALL)[1]
    random = np.random.default_rng(0)
    for place in range(60):
        file = tmp_path / "pets" / ("cat", "dog")[place % 2] / f"{place}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(file)
    plan = make_plan(parse_spec(text.encode()), data_root=tmp_path)
    assert plan.num_confirm_trials == 12
    assert plan.treatments == ("crop_flip",)
