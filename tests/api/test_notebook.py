"""`import sigmalab`: what a notebook asks and sees. Drivers are played: `sigmalab run` itself is tested elsewhere."""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sigmalab
from api.notebook.question import spec_document
from orchestrator.errors import SpecError
from orchestrator.spec.experiment import parse_spec
from tests.orchestrator.synthetic import make_records, make_spec, report_on
from trainers.config import TrialConfig
from trainers.data.digits import DigitsConfig
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.optimization.recipe import OptimizationConfig
from trainers.optimization.sgd import SgdConfig

VIT = {"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1, "image_size_px": 16, "patch_size_px": 4}
CONTROL = {"model": VIT, "dataset": {"kind": "digits", "num_train": 60}, "optimization": {"global_batch_size": 20}}
CHANGE = {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}
PAGE = Path("docs/your-own-change.md").read_text()


def document(spec=None, *, control=None, treatment=None, treatments=None, seeds=None, **fields):
    return spec_document(spec, control=control, treatment=treatment, treatments=treatments, seeds=seeds, fields=fields)


# ---- what is asked ----


def test_a_control_and_what_changes_it_are_a_spec() -> None:
    spec = parse_spec(document(control=CONTROL, treatment=CHANGE, seeds=4, primary_metric="test/top1"))
    assert (spec.control.name, [arm.name for arm in spec.treatments]) == ("control", ["treatment"])
    assert spec.treatments[0].patch == CHANGE
    assert (spec.seeds, spec.optimization.global_batch_size) == ((0, 1, 2, 3), 20)
    several = parse_spec(
        document(control=CONTROL, treatments={"narrow": CHANGE, "mixed": {"mixing": {"kind": "mixup"}}})
    )
    assert [arm.name for arm in several.treatments] == ["narrow", "mixed"]
    assert len(several.seeds) == 6


def test_a_bias_of_the_control_is_its_arms() -> None:
    spec = parse_spec(document(control=CONTROL | CHANGE, treatment={"attention_bias": {"kind": "none"}}, seeds=[3, 5]))
    assert spec.control.patch == CHANGE
    assert spec.seeds == (3, 5)


def test_configs_are_taken_as_objects_too() -> None:
    trial = TrialConfig.model_validate(CONTROL)
    spec = document(control=trial, treatment={"attention_bias": GaussianBias(sigma=2.0)})
    # Only what was set: the rest is left to the spec's defaults.
    assert parse_spec(spec).optimization.global_batch_size == 20
    assert spec["arms"][1]["patch"]["attention_bias"]["sigma"] == 2.0


def test_configs_that_are_made_as_objects_say_their_kinds() -> None:
    control = TrialConfig(
        model=SmallVitConfig(width=24, depth=1, num_heads=2),
        dataset=DigitsConfig(num_train=100),
        optimization=OptimizationConfig(optimizer=SgdConfig(lr=0.1)),
    )
    spec = document(control=control, treatment={"attention_bias": GaussianBias()})
    # No more than was set: what a default says may become better.
    assert spec["models"] == [{"kind": "small_vit", "width": 24, "depth": 1, "num_heads": 2}]
    assert spec["datasets"] == [{"kind": "digits", "num_train": 100}]
    assert spec["optimization"] == {"optimizer": {"kind": "sgd", "lr": 0.1}}
    parse_spec(spec)


def test_a_spec_in_a_file_is_taken_as_it_is_and_own_code_starts_beside_it(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(document(control=CONTROL, treatment=CHANGE) | {"code": "lib"}))
    assert document(tmp_path / "spec.json", seeds=2)["code"] == str(tmp_path / "lib")
    assert document(str(tmp_path / "spec.json"), seeds=2)["seeds"] == [0, 1]
    assert document(control=CONTROL, treatment=CHANGE, code=".")["code"] == str(Path.cwd())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "say what changes: `treatment=\\{...\\}`"),
        ({"control": CONTROL, "treatment": CHANGE, "treatments": {"a": CHANGE}}, "say what changes"),
        ({"control": {"model": VIT}, "treatment": CHANGE}, "`control` says what is trained, and lacks `dataset`"),
        ({"control": CONTROL | {"seed": 3}, "treatment": CHANGE}, "`seed` is not a part of `control`: .* see `seeds`"),
        ({"spec": "no/such.json"}, "can't read no/such.json: No such file"),
        ({"spec": {"name": "x"}, "treatment": CHANGE}, "give a spec, or `control` with `treatment`, and not both"),
        ({"control": CONTROL | {"dataset": {"kind": "digits", "num_train": {1}}}, "treatment": CHANGE}, "is not JSON"),
    ],
)
def test_what_is_no_question_is_said(asked: dict, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        document(**asked)
    assert re.search(message, caught.value.problems[0].message), caught.value.problems


def test_a_plan_is_shown_as_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path))
    plan = sigmalab.plan(control=CONTROL, treatment=CHANGE, seeds=6)
    assert plan.view.num_pairs == 6
    assert "12 trials make 6 pairs" in repr(plan)
    # No line runs out of the page.
    assert max(map(len, repr(plan).splitlines())) <= 120
    assert "What it can show, before anything is spent" in plan._repr_html_()


# ---- what is answered ----

FAKE = """#!{python}
import json, pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
(folder / "arguments").write_text(json.dumps(sys.argv[1:]))
(folder / "spec").write_bytes(pathlib.Path(sys.argv[4]).read_bytes())
def end(number, frame):
    (folder / "terminated").touch()
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("experiment 1", file=sys.stderr, flush=True)
{rest}
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Plays `python -m orchestrator run`; says what it was asked in its folder."""

    def play(rest: str) -> Path:
        program = tmp_path / "python"
        program.write_text(FAKE.format(python=sys.executable, folder=str(tmp_path), rest=rest))
        program.chmod(0o700)
        monkeypatch.setenv("RAY_ADDRESS", "http://nobody.example")
        monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path / "home"))
        monkeypatch.setattr(sys, "executable", str(program))
        return tmp_path

    return play


def reported(folder: Path) -> str:
    """Python that writes a report of made-up results."""
    spec = make_spec(seeds=[0, 1, 2])
    (folder / "report").write_text(report_on(spec, make_records(spec, num_epochs=2)).model_dump_json())
    return 'print((folder / "report").read_text())'


def test_the_page_s_example_gives_what_it_says(driver, tmp_path: Path) -> None:
    folder, said = driver(reported(tmp_path)), []
    example = re.search(r"\n    import sigmalab\n(.*?)\n\n`control`", PAGE, re.DOTALL)[1].replace("\n    ", "\n")
    names: dict[str, object] = {"sigmalab": sigmalab, "print": said.append}
    exec(example.rpartition("\n")[0], names)
    answer = names["answer"]
    assert json.loads((folder / "arguments").read_text())[:3] == ["-m", "orchestrator", "run"]
    spec = parse_spec((folder / "spec").read_bytes())
    assert spec.treatments[0].patch == names["change"]
    assert answer.comparisons == answer.report.comparisons
    assert answer.comparisons[0].effect == answer.document["comparisons"][0]["effect"]
    assert answer.folder == folder / "home" / "reports" / answer.document["experiment"]["id"]
    for text in (repr(answer), answer._repr_html_()):
        assert answer.report.answers[0].split(",")[0][:40] in text.replace("\n", " ")


def test_progress_is_said_line_by_line_and_files_go_where_they_are_wanted(driver, tmp_path: Path) -> None:
    folder, said = driver(reported(tmp_path)), []
    answer = sigmalab.compare(control=CONTROL, treatment=CHANGE, output=tmp_path / "out", say=said.append)
    assert said == ["experiment 1"]
    assert answer.folder == tmp_path / "out"
    assert json.loads((folder / "arguments").read_text())[-2:] == ["--output", str(tmp_path / "out")]


def test_a_driver_without_a_report_is_an_error_in_its_own_words(driver) -> None:
    driver('print("spec.json can\'t be run: /models/0: no such model", file=sys.stderr)\nsys.exit(2)')
    with pytest.raises(
        sigmalab.NoReportError, match=r"experiment 1\nspec\.json can't be run: /models/0: no such model"
    ):
        sigmalab.compare(control=CONTROL, treatment=CHANGE, say=lambda line: None)


def test_others_run_meanwhile_and_who_is_cancelled_cancels(driver) -> None:
    folder = driver("time.sleep(600)")

    async def ask() -> None:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        asking = asyncio.ensure_future(
            sigmalab.compare_async(
                control=CONTROL, treatment=CHANGE, say=lambda line: loop.call_soon_threadsafe(begun.set)
            )
        )
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(ask())
    assert (folder / "terminated").exists()


def test_async_gives_the_same_answer(driver, tmp_path: Path) -> None:
    driver(reported(tmp_path))
    answer = asyncio.run(sigmalab.compare_async(control=CONTROL, treatment=CHANGE, say=lambda line: None))
    assert answer.comparisons
