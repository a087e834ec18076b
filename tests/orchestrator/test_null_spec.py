"""The control against itself: the same question with nothing changed, and trials that are really trained twice."""

from orchestrator.null_spec import null_spec
from orchestrator.planning.expansion import Expansion
from orchestrator.spec.experiment import parse_spec
from tests.orchestrator.small_experiments import TINY
from trainers.config import canonical_json

TUNED = {
    **TINY,
    "arms": [
        {
            "name": "base",
            "label": "as it is",
            "role": "control",
            "patch": {"optimization": {"optimizer": {"lr": 0.01}}},
            "search": {"space": {"optimization.optimizer.lr": {"kind": "choice", "values": [0.1, 0.2]}}},
        },
        TINY["arms"][1],
    ],
    "looks": {"at": [2]},
    "equivalence_margin": 0.5,
    "expected_effects": [1.0],
}


def test_both_arms_are_the_control_and_two_trials() -> None:
    spec = parse_spec(null_spec(TUNED))
    assert [(arm.name, arm.role, arm.search) for arm in spec.arms] == [
        ("base", "control", None),
        ("null", "treatment", None),
    ]
    assert (spec.name, spec.reuse, spec.looks, spec.equivalence_margin) == ("tiny-null", "never", None, 0)
    control, again, *_ = Expansion(spec, data_root=None).confirm_trials({})
    assert control.config.optimization.optimizer.lr == again.config.optimization.optimizer.lr == 0.01
    assert again.config.model_copy(update={"replica": 0}) == control.config
    assert again.identity != control.identity


def test_pairs_are_not_shared_out() -> None:
    asked = TINY | {"seeds": {"total": 30, "allocate": "by_variance"}, "datasets": [{"kind": "digits"}] * 2}
    stored = asked | {"seeds": list(range(23)), "allocation": {"allocate": "by_variance", "total": 30, "first": 7}}
    for document in (asked, stored):
        spec = parse_spec(null_spec(document) | {"datasets": TINY["datasets"]})
        assert (spec.seeds, spec.allocation) == ((0, 1, 2, 3, 4, 5), None)
    assert null_spec(stored | {"seeds": [4, 5]})["seeds"] == [4, 5]


def test_a_spec_that_names_no_replica_has_the_identities_that_it_had() -> None:
    config = Expansion(parse_spec(TINY), data_root=None).confirm_trials({})[0].config
    assert "replica" not in canonical_json(config)
    assert canonical_json(config.model_copy(update={"replica": 1})) != canonical_json(config)


def test_what_is_no_spec_stays_for_the_specs_own_rules() -> None:
    for odd in (3, [], {}, {"name": "x"}, {"name": "x", "arms": 3}, {"name": "x", "arms": [3, {"role": "treatment"}]}):
        assert null_spec(odd) == odd


def test_names_make_room() -> None:
    arms = [{"name": "null", "role": "control"}]
    found = null_spec({"name": "x" * 64, "arms": arms})
    assert len(found["name"]) == 64
    assert found["arms"][1]["name"] == "null-arm"
