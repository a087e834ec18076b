"""Two stages in a driver: the first pairs decide who gets the others.

All trainings are finished already, with planted accuracies, and stand in; so nothing is trained, and no Ray is needed.
"""

import pytest

from orchestrator.driving import driver
from orchestrator.errors import SpecError
from orchestrator.planning.plan import make_plan
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.service.experiments import _with_seeds
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from orchestrator.statistics.comparison import Basis, Verdict
from orchestrator.status import ExperimentStatus, Phase
from orchestrator.stored.report import inference_of, read_experiment, report_of
from tests.orchestrator.small_experiments import (
    TINY,
    begin,
    experiment_of,
    finish_all,
    rows_of,
    settings_in,
    spec_of,
    submit,
)

ARMS = [*TINY["arms"], {"name": "wide", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 4.0}}}]
SHARED = {"total": 20, "allocate": "by_variance", "first": 4}
CALM = [0.10, 0.11, 0.09, 0.10] * 4
WILD = [0.00, 0.20, -0.10, 0.30] * 4


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    monkeypatch.setattr(driver, "connect", lambda: None)


def test_the_row_that_varies_gets_the_pairs(database, tmp_path):
    settings = settings_in(tmp_path)
    effects = {"gaussian": CALM, "wide": WILD, "control": [0.0] * 16}
    everything = spec_of(name="planted", arms=ARMS, seeds=list(range(16)))
    finish_all(database, settings, everything, lambda arm, seed: 0.5 + effects[arm][seed])
    lines: list[str] = []
    experiment_id = submit(database, settings, spec_of(arms=ARMS, seeds=SHARED))
    row = experiment_of(database, experiment_id)
    assert (row.num_pairs, len(rows_of(database, experiment_id))) == (20, 12)
    driver.run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=lines.append)
    counts = dict.fromkeys(effects, 0)
    for trial in rows_of(database, experiment_id, Phase.CONFIRM):
        counts[trial.arm] += 1
    assert counts == {"control": 16, "gaussian": 4, "wide": 16}
    row = experiment_of(database, experiment_id)
    assert (row.status, row.reason, row.num_pairs, row.num_confirm_trials) == ("succeeded", "", 20, 36)
    assert any(line.endswith("an sd of 18.3 pp over 4 pairs, so 16 in all") for line in lines)
    with database.read() as session:
        report = report_of(read_experiment(session, experiment_id))
    gaussian, wide = report.comparisons
    assert (gaussian.basis, gaussian.num_pairs, gaussian.verdict) == (Basis.TWO_STAGES, 4, Verdict.IMPROVED)
    assert (wide.num_pairs, wide.verdict) == (16, Verdict.INCONCLUSIVE)
    assert not report.exclusions
    text = to_markdown(report)
    assert "20 pairs were shared out by the sd of each row's first 4: 4 to 16 a row." in text
    # While it runs, and after a cancel, it says no more than any-time intervals do.
    spec = spec_of(arms=ARMS, seeds=SHARED)
    assert inference_of(ExperimentStatus.CANCELLED, 0, None, spec.allocation).basis is Basis.ANYTIME
    with pytest.raises(SpecError, match="would void its intervals"):
        _with_seeds(spec, [99], set())


def test_a_spec_says_it_in_place_of_its_seeds_and_is_stored_with_the_plan():
    spec = spec_of(arms=ARMS, seeds=SHARED)
    assert (spec.seeds, spec.num_pairs, spec.num_confirm_trials) == (tuple(range(16)), 20, 36)
    assert parse_spec(spec.model_dump(mode="json")) == spec
    plan = make_plan(spec, data_root=None)
    assert (plan.num_pairs, len(plan.trials), plan.cost.num_trials) == (20, 12, 30)
    assert {forecast.num_pairs for forecast in plan.power} == {10}
    assert not any("sign-flip" in warning for warning in plan.warnings)
    assert {forecast.num_pairs for forecast in plan.power_of_equal_pairs} == {10}
    for shared, equal in zip(plan.power, plan.power_of_equal_pairs, strict=True):
        assert shared.confirmable_effect > equal.confirmable_effect
        assert equal.p_floor == 2 / 2**10
    (warning,) = [warning for warning in plan.warnings if "by variance" in warning]
    factor = shared.confirmable_effect / shared.assumed_sd
    assert (
        f"they confirm effects from {factor:.2f} sds of a pair, while 10 pairs in each row would confirm effects from "
        in warning
    )
    assert make_plan(spec_of(arms=ARMS), data_root=None).power_of_equal_pairs == ()
    schema = ExperimentSpec.model_json_schema()
    assert {"$ref": "#/$defs/AllocatedSeeds"} in schema["properties"]["seeds"]["anyOf"]


@pytest.mark.parametrize(
    ("seeds", "pointer", "message"),
    [
        ({"total": 20}, "/seeds/allocate", "is required"),
        ({"total": 20, "allocate": "evenly"}, "/seeds/allocate", "by_variance"),
        ({"total": 20, "allocate": "by_variance", "frst": 3}, "/seeds/frst", "did you mean `first`"),
        (
            {"total": 20, "allocate": "by_variance", "first": 11},
            "/seeds",
            "2 rows of 11 pairs in the first stage are 22",
        ),
        (
            {"total": 20, "allocate": "by_variance", "first": 10},
            "/seeds",
            "2 rows of 10 pairs in the first stage are all 20, and nothing is left to share out",
        ),
    ],
)
def test_what_can_not_be_shared_out_is_refused(seeds, pointer, message):
    with pytest.raises(SpecError) as refused:
        spec_of(arms=ARMS, seeds=seeds)
    (problem,) = refused.value.problems
    assert problem.pointer == pointer
    assert message in problem.message


def test_one_row_has_nobody_to_share_with():
    """Five pairs of one row, by t, would confirm what no exact test of five pairs can."""
    with pytest.raises(SpecError, match="has nobody to share pairs with") as refused:
        spec_of(seeds={"total": 5, "allocate": "by_variance"})
    assert refused.value.problems[0].pointer == "/seeds"


def test_looks_and_pairs_by_variance_exclude_each_other():
    with pytest.raises(SpecError, match="be combined"):
        spec_of(arms=ARMS, seeds=SHARED, looks={"at": [4, 8]})


@pytest.mark.parametrize(
    ("changes", "pointer", "message"),
    [
        ({"seeds": [0, 1, 2]}, "/seeds", "they are 0 to 15, as many as one row could get"),
        ({"seeds": list(range(1, 17))}, "/seeds", "they are 0 to 15"),
        ({"allocation": {"total": 3, "first": 100}}, "/allocation", "2 rows of 100 pairs in the first stage are 200"),
        ({"looks": {"at": [8, 16]}}, "/looks", "be combined"),
    ],
)
def test_an_edited_spec_is_held_to_the_plan_that_it_was_stored_with(changes, pointer, message):
    stored = spec_of(arms=ARMS, seeds=SHARED).model_dump(mode="json")
    with pytest.raises(SpecError) as refused:
        parse_spec(stored | changes)
    (problem,) = refused.value.problems
    assert problem.pointer == pointer
    assert message in problem.message
