"""Names, params and links, without a server."""

from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.status import Phase
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.tracking.backoff import pause_after
from orchestrator.tracking.mlflow.links import chart_link, experiment_link
from orchestrator.tracking.mlflow.naming import run_tags, tracked_key
from orchestrator.tracking.naming import delta_key, pair_name, params_of, run_name, trial_tags
from orchestrator.tracking.tracker import NewRun
from tests.orchestrator.synthetic import START, make_record


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


def test_tags_say_role_and_pair() -> None:
    experiment = ExperimentRow(id="e1", control="base", digest="d")
    tags = {name: trial_tags(row(arm=name), experiment) for name in ("gaussian", "base", "placebo")}
    assert [each["arm"] for each in tags.values()] == list(tags)
    assert tags["base"]["role"] == "control"
    assert tags["gaussian"]["role"] == "treatment"
    assert tags["gaussian"]["pair"] == tags["base"]["pair"]
    assert tags["gaussian"]["sigmalab.trial"] == "e1/7"
    assert "pair" not in trial_tags(row(phase=Phase.SEARCH), experiment)


def test_mlflow_s_pages_are_told_name_and_colour() -> None:
    run = NewRun("e1", "e1/7", "Ours, σ/seed3", {"arm": "gaussian"}, START, "#0072b2")
    tags = run_tags(run)
    assert (tags["mlflow.runName"], tags["mlflow.runColor"], tags["arm"]) == ("Ours, σ/seed3", "#0072b2", "gaussian")
    assert "mlflow.runColor" not in run_tags(run._replace(color=None))


def test_params_are_flat_few_and_readable() -> None:
    params = params_of(make_record("gaussian", 5).config)
    assert params["attention_bias.sigma"] == 2.0
    assert params["attention_bias.kind"] == "gaussian"
    assert params["seed"] == 5
    assert "score_test" not in params
    # One request holds 100.
    assert len(params) <= 100


@pytest.mark.parametrize(
    ("key", "tracked"), [("amplitude/00", "gaussian_amplitude/00"), ("sigma/00_head1", "sigma/00_head1"), ("lr", "lr")]
)
def test_only_amplitudes_are_renamed(key: str, tracked: str) -> None:
    assert tracked_key(key) == tracked


def test_keys_hold_only_what_mlflow_takes() -> None:
    assert tracked_key("delta/vit/pets&100%/g") == "delta/vit/pets_100_/g"
    assert delta_key("test/top1") == "delta/test_top1"


def test_links() -> None:
    base = "http://127.0.0.1:5000/"
    assert experiment_link(base, "3") == "http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning"
    query = parse_qs(urlsplit(chart_link(base, "3", "e1").replace("#/", "")).query)
    assert query["searchFilter"] == ["tags.`sigmalab.experiment_id` = 'e1' and tags.phase = 'confirm'"]


def test_pauses_double_up_to_ten_minutes() -> None:
    assert [pause_after(refusals) for refusals in (1, 2, 3, 9, 10, 5000)] == [2.0, 4.0, 8.0, 512.0, 600.0, 600.0]
