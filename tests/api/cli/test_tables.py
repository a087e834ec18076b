"""Tables in a terminal that is narrow."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from api.cli.planning import plan_here
from api.cli.readings import ReportReading
from api.cli.report_tables import print_report
from api.cli.tables import experiment_table, news_of, print_experiment, print_plan
from orchestrator.report.sections.receptive_fields.tables import WORDS
from orchestrator.service.views import ExperimentView, Progress
from orchestrator.status import ExperimentStatus


def view(name: str, **changes: object) -> ExperimentView:
    return ExperimentView.model_validate(
        {
            "id": "1m82prhyhehjf0v",
            "name": name,
            "digest": "d",
            "status": ExperimentStatus.SUCCEEDED,
            "reason": "",
            "question": "",
            "created_at": datetime(2026, 11, 22, 22, 41, tzinfo=UTC),
            "updated_at": datetime(2026, 11, 22, 22, 45, tzinfo=UTC),
            "ended_at": None,
            "attempt": 1,
            "progress": Progress(
                trials_total=21,
                trials_done=21,
                trials_failed=0,
                trials_reused=0,
                trials_running=0,
                pairs_total=14,
                pairs_complete=14,
            ),
            "conditions": (),
            "mlflow_url": None,
        }
        | changes
    )


def test_only_names_are_cut_in_a_narrow_terminal() -> None:
    text = StringIO()
    Console(file=text, width=80).print(experiment_table([view("n" * 60), view("short")]))
    assert "1m82prhyhehjf0v" in text.getvalue()
    assert "succeeded  14/14  21/21   2026-11-22 22:41" in text.getvalue()
    assert "n…" in text.getvalue()


def test_what_runs_says_why_it_waits_or_when_it_ends() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=12, seconds=10)
    runs = view("a", status="running", expected_end_at=soon, expected_end_basis="an estimate from 3 finished trials")
    assert news_of(runs) == f"ends in about 12 minutes, {soon:%Y-%m-%d %H:%M} UTC (estimate)"
    waits = "waits for 2 CPUs: b holds them"
    assert news_of(view("a", status="running", reason=waits)) == waits
    assert news_of(view("a", status="failed", reason="no luck")) == ""
    text = StringIO()
    print_experiment(Console(file=text, width=200), runs)
    assert "  ends    in about 12 minutes, " in text.getvalue()
    assert "UTC: an estimate from 3 finished trials" in text.getvalue()


def _comparison(model: str, treatment: str, effect: float, num_pairs: int = 10) -> dict[str, object]:
    return {
        "cell": {"model": model, "dataset": "oxford_pets"},
        "treatment": treatment,
        "control": "control",
        "metric": "test/top1",
        "unit": "pp",
        "num_pairs": num_pairs,
        "num_planned_pairs": 10,
        "pairs": [],
        "control_mean": 88.88,
        "control_sd": 1.0,
        "treatment_mean": 88.88 + effect,
        "treatment_sd": 1.0,
        "effect": effect,
        "effect_sd": 1.0,
        "ci_low": effect - 3.21,
        "ci_high": effect + 3.21,
        "confidence": 0.95,
        "p_value": 0.123,
        "p_holm": 0.987,
        "probability_of_superiority": 0.5,
        "equivalence_margin": 0.0,
        "p_holm_floor": 0.0625,
        "verdict": "inconclusive",
        "higher_is_better": True,
    }


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
@pytest.mark.parametrize("num_pairs", [9, 10])
def test_no_number_of_a_report_is_cut(width: int, num_pairs: int) -> None:
    models = ["vit_relpos_small_patch16_224_px64", "beit_base_patch16_224_px64"]
    arms = ["gaussian_sigma_2", "permuted_gaussian"]
    effects = [-12.34, 11.17, -1.05, 2.61]
    places = [(model, arm) for model in models for arm in arms]
    learned = {"quantity": "sigma", "head": None, "is_learned": True, "initial": 5, "final_mean": 3.875, "final_sd": 1}
    level = {"metric": "r_squared", "initial_mean": 0.125, "final_mean": 0.875, "final_sd": 0.25}
    seeds = {"num_seeds": 2, "num_gaussian": 2, "num_not_fitted": 0}
    position = {"part": "own", "sigma_sd": 1, "r_squared_sd": 0.1} | seeds
    cells = [{"model": model, "dataset": "oxford_pets"} for model in models]
    report = ReportReading.model_validate(
        {
            "experiment": {"status": "succeeded"},
            "metric": "test/top1",
            "unit": "pp",
            "decimals": 2,
            "confidence": 0.95,
            "answers": [],
            "remarks": [],
            "caveats": [],
            "comparisons": [
                _comparison(model, arm, effect, num_pairs if effect > 11 else 10)
                for (model, arm), effect in zip(places, effects, strict=True)
            ],
            "bias": [{"cell": cell, "arm": arms[0], "layer": n, **learned} for cell in cells for n in (0, 11)],
            "position": [
                {"cell": cell, "arm": arms[0], "layer": n, "sigma_mean": 2, "r_squared_mean": 0.625, **position}
                for cell in cells
                for n in range(12)
            ],
            "receptive_fields": {"levels": [{"cell": cell, "arm": arm, **level} for cell in cells for arm in arms]},
            "exclusions": [],
        }
    )
    text = StringIO()
    print_report(Console(file=text, width=width, soft_wrap=True), report)
    shown = text.getvalue()
    assert "…" not in shown
    lines = [line for line in shown.splitlines() if "inconclusive" in line]
    for line, effect in zip(lines, effects, strict=True):
        assert f" {effect:+.2f} " in line
        assert f"[{effect - 3.21:+.2f}, {effect + 3.21:+.2f}]" in line
    assert shown.count("5.00 → 3.88 ± 1.00") == 4
    assert shown.count("0.12 → 0.88 ± 0.25") == 4
    assert WORDS["r_squared"] in shown
    assert shown.count("11: 0.62*") == 2
    assert shown.count("●") == 4
    if num_pairs == 10:
        assert "10 pairs of the same seed" in shown.replace("\n", " ")
    else:
        assert "9 of 10" in lines[1]
    tables = shown.partition("no room for")[0]
    assert max(map(len, tables.splitlines())) <= width or width < 80
    for heading in ("control", "treatment", "p Holm"):
        assert heading in shown
    # Whose numbers they are can be read.
    assert all(shown.count(model) >= 4 for model in models)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_an_answer_keeps_its_margin_and_long_names_whole(width: int) -> None:
    name = f"vit_relpos_small_patch16_224-{'-'.join(['layer_scale_1'] * 4)}"
    answer = f"On oxford_pets with {name}, gaussian changed test top-1 by +1.2 pp (95 % CI 0.3 to 2.1): suggestive."
    report = ReportReading.model_validate(
        {
            "experiment": {"status": "succeeded"},
            "metric": "test/top1",
            "unit": "pp",
            "decimals": 2,
            "confidence": 0.95,
            "answers": [answer, answer],
            "remarks": [],
            "caveats": [],
            "comparisons": [_comparison(name, "gaussian", 1.2)],
            "bias": [],
            "exclusions": [],
        }
    )
    text = StringIO()
    print_report(Console(file=text, width=width, soft_wrap=True), report)
    lines = text.getvalue().partition("\nAnswer\n")[2].splitlines()
    starts = [line for line in lines if not line.startswith("    ")]
    assert [line[:16] for line in starts] == ["  On oxford_pets"] * 2
    assert " ".join(text.getvalue().partition("\nAnswer\n")[2].split()) == f"{answer} {answer}"
    assert max(map(len, lines)) <= max(min(width, 100), 4 + len(name) + 1)


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        (1.5, "1.5 CPU core hours"),
        (0.004, "14 CPU core seconds"),
        (5e-9, "less than 1 CPU core second"),
        (0, "no time"),
    ],
)
def test_a_cost_is_told_in_words_that_people_use(hours: float, told: str) -> None:
    plan = plan_here((Path(__file__).parents[3] / "examples" / "tiny.json").read_bytes())
    cost = plan.cost.model_copy(update={"cpu_hours": hours})
    text = StringIO()
    print_plan(Console(file=text, width=100), plan.model_copy(update={"cost": cost}))
    assert f"4 trainings, {told}\n" in text.getvalue()
