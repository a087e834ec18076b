"""The report says whether pairs started alike, and names those that did not."""

from orchestrator.report.formats.markdown import to_markdown
from tests.orchestrator.synthetic import make_records, make_spec, report_on
from trainers.data.crop_flip import CropFlipAugmentation

SPEC = make_spec()
SAME = {"start_weights": "aa", "start_batches": "bb", "start_random": "cc"}


def records(start_of):
    """Synthetic trials with a start of (arm, seed)."""
    return [
        record.model_copy(
            update={
                "result": record.result.model_copy(
                    update={"provenance": record.result.provenance | start_of(record.arm, record.seed)}
                )
            }
        )
        for record in make_records(SPEC, num_epochs=5)
    ]


def told(report):
    return [caveat for caveat in report.caveats if "did not start alike" in caveat]


def test_pairs_that_start_alike_are_a_fact_of_the_report():
    report = report_on(SPEC, records(lambda arm, seed: SAME | {"start_weights": f"{seed}"}))
    num_pairs = sum(comparison.num_pairs for comparison in report.comparisons)
    expected = f"the same initial weights, first batches, random state in {num_pairs} of {num_pairs} pairs"
    assert report.provenance.facts["pairs start from"] == (expected,)
    assert told(report) == []
    assert expected in to_markdown(report)
    # Seeds differ in them: that is no caveat, and no row of the provenance.
    assert not any("start_" in caveat for caveat in report.caveats)
    assert "start_weights" not in report.provenance.facts


def test_a_pair_that_does_not_is_named_with_what_differs():
    treatment = next(arm.name for arm in SPEC.treatments)
    report = report_on(
        SPEC, records(lambda arm, seed: SAME | ({"start_batches": "other"} if (arm, seed) == (treatment, 1) else {}))
    )
    (caveat,) = told(report)
    assert caveat.startswith(treatment)
    assert "(first batches in 1 pair), though gaussian changes the attention bias alone: these pairs" in caveat


def test_what_an_arm_changes_is_no_caveat_and_still_counted():
    treatment = next(arm.name for arm in SPEC.treatments)
    flips = CropFlipAugmentation()
    trials = [
        trial.model_copy(update={"config": trial.config.model_copy(update={"augmentation": flips})})
        if trial.arm == treatment
        else trial
        for trial in records(lambda arm, seed: SAME | ({"start_batches": "flipped"} if arm == treatment else {}))
    ]
    report = report_on(SPEC, trials)
    assert told(report) == []
    num_pairs = 2 * len(SPEC.seeds)
    counts = f"initial weights in {num_pairs}, first batches in {len(SPEC.seeds)}, random state in {num_pairs}"
    assert report.provenance.facts["pairs start from"] == (f"the same {counts} of {num_pairs} pairs",)
    # Flips draw no weight.
    others = [
        trial.model_copy(
            update={
                "result": trial.result.model_copy(
                    update={"provenance": trial.result.provenance | {"start_weights": trial.arm}}
                )
            }
        )
        for trial in trials
    ]
    first, *_ = told(report_on(SPEC, others))
    assert (
        f"(initial weights in {len(SPEC.seeds)} pairs), though gaussian changes the attention bias and the aug" in first
    )


def test_own_code_is_named_by_its_content():
    spec = make_spec(code={"path": "/here", "kept": "0123456789abcdef0123"})
    assert report_on(spec, make_records(spec)).provenance.facts["own code"] == ("0123456789abcdef0123",)
    assert "own code" not in report_on(SPEC, make_records(SPEC)).provenance.facts


def test_trials_of_older_code_say_nothing():
    report = report_on(SPEC, records(lambda arm, seed: {}))
    assert "pairs start from" not in report.provenance.facts
    assert told(report) == []
