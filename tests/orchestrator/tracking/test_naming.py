"""Names, params and links, without a server."""

import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.spec import Arm
from orchestrator.status import Phase
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.tracking.links import chart_link, compare_link, experiment_link, run_link
from orchestrator.tracking.naming import (
    delta_key,
    metric_key,
    pair_name,
    params_of,
    run_name,
    tracked_key,
    trial_tags,
)
from orchestrator.tracking.patience import Patience
from tests.orchestrator.synthetic import make_record


def row(**changes: object) -> TrialRow:
    values = {
        "id": 7,
        "experiment_id": "e1",
        "identity": "abc",
        "cell": "small_vit/digits-300",
        "arm": "gaussian",
        "seed": 3,
        "phase": Phase.CONFIRM,
        "params": {},
    }
    return TrialRow(**(values | changes))


def test_names_begin_with_what_people_look_for() -> None:
    assert run_name(row(), {}) == "gaussian/seed3/small_vit/digits-300"
    assert run_name(row(), {"gaussian": "Ours, σ"}) == "Ours, σ/seed3/small_vit/digits-300"
    assert pair_name(row()) == "small_vit/digits-300/seed3"


def test_search_runs_are_told_apart_by_their_params() -> None:
    trial = row(phase=Phase.SEARCH, params={"attention_bias.sigma": 2.123456})
    assert run_name(trial, {}) == "search/gaussian/seed3/small_vit/digits-300/sigma=2.123"


def test_tags_say_role_pair_and_colour() -> None:
    experiment = ExperimentRow(id="e1", control="base", digest="d")
    names = ["gaussian", "base", "placebo"]
    arms = [Arm(name=name, label="Ours, σ" if name == "gaussian" else None) for name in names]
    tags = {name: trial_tags(row(arm=name), experiment, arms) for name in names}
    assert tags["gaussian"]["mlflow.runName"] == "Ours, σ/seed3/small_vit/digits-300"
    assert [tags[name]["arm"] for name in names] == names
    assert tags["base"]["role"] == "control"
    assert tags["gaussian"]["role"] == "treatment"
    assert len({tag["mlflow.runColor"] for tag in tags.values()}) == 3
    assert tags["gaussian"]["pair"] == tags["base"]["pair"]
    assert tags["gaussian"]["sigmalab.trial"] == "e1/7"


def test_params_are_flat_few_and_readable() -> None:
    params = params_of(make_record("gaussian", 5).config)
    assert params["attention_bias.sigma"] == "2.0"
    assert params["attention_bias.kind"] == "gaussian"
    assert params["seed"] == "5"
    assert "score_test" not in params
    # One request holds 100.
    assert len(params) <= 100


@pytest.mark.parametrize(
    ("key", "tracked"), [("amplitude/00", "gaussian_amplitude/00"), ("sigma/00_head1", "sigma/00_head1"), ("lr", "lr")]
)
def test_only_amplitudes_are_renamed(key: str, tracked: str) -> None:
    assert tracked_key(key) == tracked


def test_keys_hold_only_what_mlflow_takes() -> None:
    assert metric_key("delta", "vit/pets&100%", "g") == "delta/vit/pets_100_/g"
    assert delta_key("test/top1") == "delta/test_top1"


def test_links() -> None:
    base = "http://127.0.0.1:5000/"
    assert experiment_link(base, "3") == "http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning"
    assert run_link(base, "3", "abc").startswith("http://127.0.0.1:5000/#/experiments/3/runs/abc?")
    query = parse_qs(urlsplit(compare_link(base, "3", ["a", "b"]).replace("#/", "")).query)
    assert json.loads(query["runs"][0]) == ["a", "b"]
    assert json.loads(query["experiments"][0]) == ["3"]
    query = parse_qs(urlsplit(chart_link(base, "3", "e1").replace("#/", "")).query)
    assert query["searchFilter"] == ["tags.`sigmalab.experiment_id` = 'e1' and tags.phase = 'confirm'"]


def test_patience_doubles_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    patience = Patience()
    assert patience.may_try("a")
    assert [patience.postpone("a") for _ in range(3)] == [2.0, 4.0, 8.0]
    assert not patience.may_try("a")
    assert patience.may_try("b")
    now = 108.0
    assert patience.may_try("a")
    patience.forget("a")
    assert patience.postpone("a") == 2.0
