"""Training scripts as arms: what a plan says of them, what is refused, and what makes another trial."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.kept_code import FOLDER, with_code
from orchestrator.null_spec import null_spec
from orchestrator.planning.expansion import Expansion
from orchestrator.planning.plan import Plan, make_plan, plan_of
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from trainers.strict_json import JsonObject
from trainers.version import used_code

TOP1: JsonObject = {"column": "top1", "unit": "percent", "better": "higher"}
SPEC: JsonObject = {
    "name": "script",
    "task": {"kind": "command", "results": {"kind": "csv", "file": "summary.csv", "metrics": {"test/top1": TOP1}}},
    "models": [
        {
            "kind": "command",
            "argv": ["python", "tools/train.py", "--seed={seed}", "--lr={lr}", "--data", "{data}"],
            "arguments": {"lr": 0.1},
            "label": "net",
        }
    ],
    "datasets": [
        {"kind": "command", "arguments": {"data": "/data/pets"}, "label": "pets"},
        {"kind": "command", "arguments": {"data": "/data/cars"}, "label": "cars"},
    ],
    "arms": [
        {"name": "small", "role": "control"},
        {"name": "large", "patch": {"model": {"arguments": {"lr": 0.2}}}},
    ],
    "seeds": [0, 1],
}
FILES = {
    "tools/train.py": "import mylab.net\n",
    "mylab/__init__.py": "",
    "mylab/net.py": "",
    "timm/__init__.py": "# a fork\n",
    "unused.py": "",
    "configs/a.yaml": "a",
    "configs/b.yaml": "b",
    "notes.txt": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "mine"


def spec_of(folder: Path | None, **changes: object) -> ExperimentSpec:
    code = {} if folder is None else {"code": str(folder)}
    return parse_spec(json.loads(json.dumps(SPEC | code | changes)))


@contextmanager
def expanded(spec: ExperimentSpec, tmp_path: Path) -> Iterator[Expansion]:
    with with_code(spec, tmp_path / "trials", roots=None, keep=True) as pinned:
        yield Expansion(pinned, data_root=None)


def refusal(tmp_path: Path, folder: Path | None, roots: tuple[Path, ...] | None = None, **changes: object) -> str:
    def expand() -> None:
        with with_code(spec_of(folder, **changes), tmp_path / "trials", roots=roots, keep=True) as pinned:
            Expansion(pinned, data_root=None)

    with pytest.raises(SpecError) as caught:
        expand()
    return "\n".join(f"{problem.pointer}: {problem.message}" for problem in caught.value.problems)


def model(**changes: object) -> list[JsonObject]:
    (asked,) = json.loads(json.dumps(SPEC["models"]))
    return [asked | changes]


def identities(spec: ExperimentSpec, tmp_path: Path) -> dict[tuple[str, str, int], str]:
    with expanded(spec, tmp_path) as expansion:
        return {(trial.cell.key, trial.arm, trial.seed): trial.identity for trial in expansion.confirm_trials({})}


def test_a_plan_counts_cells_arms_and_seeds_and_says_what_it_can_not_see(folder: Path, tmp_path: Path) -> None:
    with expanded(spec_of(folder, resources={"max_trial_minutes": 30}), tmp_path) as expansion:
        plan: Plan = plan_of(expansion)
    assert [cell.key for cell in plan.cells] == ["net/pets", "net/cars"]
    assert len({trial.identity for trial in plan.trials}) == plan.num_confirm_trials == 8
    assert plan.unit == "pp"
    assert plan.cost.cpu_hours == 8 * 0.5
    assert "8 trials by the time limit of a command" in plan.cost.basis
    (warning,) = [each for each in plan.warnings if "the script trains by itself" in each]
    assert "can't see whether the arms of a pair start from the same weights" in warning


def test_the_first_metric_of_the_test_split_carries_the_claim_unless_another_is_named(folder: Path) -> None:
    assert spec_of(folder).primary_metric == "test/top1"
    metrics = {"val/top1": TOP1, "test/loss": {"better": "lower"}}
    task = {"kind": "command", "results": {"kind": "csv", "file": "a.csv", "metrics": metrics, "row": "best"}}
    assert spec_of(folder, task=task).primary_metric == "test/loss"
    assert spec_of(folder, task=task, primary_metric="best_val/top1").primary_metric == "best_val/top1"
    with pytest.raises(SpecError, match=r"does not measure `test/top1`.*alid: test/loss, best_val/top1"):
        spec_of(folder, task=task, primary_metric="test/top1")
    # Where validation chooses nothing, a claim on it would be told with a caveat that is not true.
    task["results"] = {"kind": "csv", "file": "a.csv", "metrics": metrics, "row": "last"}
    with pytest.raises(SpecError, match="does not measure `best_val/top1`"):
        spec_of(folder, task=task, primary_metric="best_val/top1")


def test_what_runs_is_kept_and_no_more(folder: Path, tmp_path: Path) -> None:
    flags = model(argv=[*model()[0]["argv"], "--config=configs/a.yaml", "{more}"], arguments={"lr": 1, "more": []})
    arms = [SPEC["arms"][0], {"name": "b", "patch": {"model": {"arguments": {"more": ["configs/b.yaml"]}}}}]
    spec = spec_of(folder, models=flags, arms=arms)
    with with_code(spec, tmp_path / "trials", roots=None, keep=True) as pinned:
        assert pinned.code is not None
        kept = tmp_path / "trials" / FOLDER / str(pinned.code.kept)
    files = {str(file.relative_to(kept)) for file in kept.rglob("*") if file.is_file()}
    assert files == {"tools/train.py", "mylab/__init__.py", "mylab/net.py", "configs/a.yaml", "configs/b.yaml"}


def test_a_fork_may_hide_a_library_from_its_script_alone(folder: Path, tmp_path: Path) -> None:
    (folder / "tools/train.py").write_text("import timm\n")
    with expanded(spec_of(folder), tmp_path) as expansion:
        parts = used_code(expansion.confirm_trials({})[0].config).parts
    assert "file timm/__init__.py" in parts


def test_an_edit_of_what_is_kept_makes_other_trials_and_no_other_edit(folder: Path, tmp_path: Path) -> None:
    before = identities(spec_of(folder), tmp_path)
    (folder / "unused.py").write_text("x = 1")
    (folder / "notes.txt").write_text("x")
    assert identities(spec_of(folder), tmp_path) == before
    (folder / "mylab/net.py").write_text("x = 1")
    after = identities(spec_of(folder), tmp_path)
    assert not set(after.values()) & set(before.values())


@pytest.mark.parametrize("file", ["configs/a.yaml", "statistics.py", "tools/beside.py"])
def test_every_file_that_runs_makes_another_trial(folder: Path, tmp_path: Path, file: str) -> None:
    """Named by the data, bearing a name of Python's own, or beside the script: all that is copied for a trial."""
    (folder / file).write_text("a = 1\n")
    (folder / "tools/train.py").write_text("import statistics, beside\n")
    spec = spec_of(folder, datasets=[{"kind": "command", "arguments": {"data": "configs/a.yaml"}, "label": "pets"}])
    before = identities(spec, tmp_path)
    (folder / file).write_text("a = 2\n")
    assert not set(identities(spec, tmp_path).values()) & set(before.values())


@pytest.mark.parametrize("script", ["train_v1.2.py", "exp.1/train.py", "trainers/train.py", "orchestrator.py"])
def test_a_script_may_bear_any_name(folder: Path, tmp_path: Path, script: str) -> None:
    (folder / script).parent.mkdir(exist_ok=True)
    (folder / script).write_text("import mylab.net\n")
    argv = ["python", script, "--seed={seed}", "--lr={lr}", "--data", "{data}"]
    with expanded(spec_of(folder, models=model(argv=argv)), tmp_path) as expansion:
        parts = used_code(expansion.confirm_trials({})[0].config).parts
    assert {name for name in parts if name.startswith("file ")} == {
        f"file {name}" for name in (script, "mylab/__init__.py", "mylab/net.py")
    }


def test_a_word_that_no_program_can_be_called_with(folder: Path, tmp_path: Path) -> None:
    assert "holds a NUL character" in refusal(tmp_path, folder, models=model(arguments={"lr": "a\0b"}))


def test_a_script_is_not_a_program(folder: Path, tmp_path: Path) -> None:
    (folder / "run.sh").write_text("")
    argv = ["./run.sh", "{seed}", "{lr}", "{data}"]
    assert "write `bash ./run.sh`, as two words" in refusal(tmp_path, folder, models=model(argv=argv))


def test_a_file_counts_for_the_arms_that_name_it(folder: Path, tmp_path: Path) -> None:
    arms = [
        {"name": "a", "role": "control", "patch": {"model": {"arguments": {"lr": "configs/a.yaml"}}}},
        {"name": "b", "patch": {"model": {"arguments": {"lr": "configs/b.yaml"}}}},
    ]
    before = identities(spec_of(folder, arms=arms), tmp_path)
    (folder / "configs/b.yaml").write_text("other")
    after = identities(spec_of(folder, arms=arms), tmp_path)
    # `--lr={lr}` names it through its argument.
    assert {key[1] for key in before if before[key] != after[key]} == {"b"}


def test_arguments_metrics_and_the_template_make_other_trials_and_a_time_limit_none(
    folder: Path, tmp_path: Path
) -> None:
    before = set(identities(spec_of(folder), tmp_path).values())
    assert set(identities(spec_of(folder, resources={"max_trial_minutes": 9}), tmp_path).values()) == before
    declared = {"kind": "csv", "file": "summary.csv", "metrics": {"test/top1": TOP1 | {"column": "other"}}}
    # The arm that sets its own learning rate has it whatever the base says.
    of_both = set(identities(spec_of(folder, models=model(arguments={"lr": 0.3})), tmp_path).values()) & before
    assert len(of_both) == 4
    for changes in (
        {"models": model(argv=[*model()[0]["argv"], "--amp"])},
        {"task": {"kind": "command", "results": declared}},
    ):
        assert not set(identities(spec_of(folder, **changes), tmp_path).values()) & before


def test_the_control_against_itself_is_the_same_command_again(folder: Path, tmp_path: Path) -> None:
    spec = parse_spec(null_spec(json.loads(json.dumps(SPEC | {"code": str(folder)}))))
    with expanded(spec, tmp_path) as expansion:
        trials = expansion.confirm_trials({})
    by_arm = {(trial.cell.key, trial.arm, trial.seed): trial for trial in trials}
    repeats = [key for key, trial in by_arm.items() if trial.config.replica]
    assert len(repeats) == 4
    for cell, arm, seed in repeats:
        trial, twin = by_arm[cell, arm, seed], by_arm[cell, "small", seed]
        assert trial.identity != twin.identity
        assert trial.config.model == twin.config.model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": model(argv=["python", "tools/train.py", "{sed}"])}, "nothing is called {sed}; there are {output}"),
        ({"models": model(argv=["python", "tools/train.py", "{lr}", "{data}"])}, "the command does not say {seed}"),
        (
            {"models": model(argv=["python", "tools/train.py", "{seed}", "{data}"])},
            "/models/0/arguments/lr: arm `small` in cell `net/pets` (and 1 more): the command does not say {lr}, so",
        ),
        ({"models": model(arguments={"lr": [1, 2]})}, "{lr} is a list, which stands for words of its own"),
        ({"models": model(arguments={"lr": 1, "data": "x"})}, "`data` is an argument of the model, too"),
        ({"models": model(arguments={"seed": 1})}, "`seed` is given to every command"),
        (
            {"models": model(argv=["python", "tools/trian.py", "{seed}", "{lr}", "{data}"])},
            "there is no tools/trian.py in",
        ),
        ({"models": model(argv=["echo", "{seed}", "{lr}", "{data}"])}, "the command names no file in the folder"),
        (
            {"models": model(argv=["python", "tools/train.py", "more.py", "{seed}", "{lr}", "{data}"])},
            "there is no more.py in the folder that `code` names",
        ),
        ({"models": model(files=["../secret"])}, "is not a path inside of the folder that `code` names"),
        ({"models": model(files=["nothere"])}, "there is no 'nothere' in the folder of code, which `files` names"),
        ({"optimization": {"epochs": 3}}, "/optimization: arm `small`"),
        ({"attention_bias": 1}, "unknown field"),
        ({"analyses": [{"kind": "receptive_field"}]}, "nothing of `analyses` would reach it"),
        (
            {"arms": [SPEC["arms"][0], {"name": "b", "patch": {"attention_bias": {"kind": "gaussian"}}}]},
            "/arms/1/patch/attention_bias: arm `b`",
        ),
        ({"datasets": [{"kind": "digits"}]}, "the task command learns what a command reads"),
        (
            {"models": [{"kind": "small_vit"}], "arms": [SPEC["arms"][0], {"name": "b"}]},
            "the model small_vit is trained here: take a model of the kind command",
        ),
        ({"task": {"kind": "classification"}}, "and the task is classification: take the task command"),
        (
            {"arms": [SPEC["arms"][0], {"name": "b", "patch": {"task": {"results": {"row": "last"}}}}]},
            "what is read of a command is one for all arms",
        ),
        (
            {
                "arms": [
                    SPEC["arms"][0],
                    {"name": "b", "search": {"space": {"model.arguments.lr": {"kind": "choice", "values": [1, 2]}}}},
                ]
            },
            "arguments of a command can't be searched yet",
        ),
        ({"resources": {"num_workers": 2}}, "`resources.num_workers` has to be 1"),
        ({"arms": [SPEC["arms"][0], {"name": "b"}]}, "makes the same trial as arm `small`"),
    ],
)
def test_what_is_refused(changes: JsonObject, message: str, folder: Path, tmp_path: Path) -> None:
    assert message in refusal(tmp_path, folder, **changes)


def test_a_service_runs_scripts_of_the_listed_folders_only(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert "this service does not run code of its users" in refusal(tmp_path, folder, ())
    assert "this service does not run code of its users" in refusal(tmp_path, None, ())
    assert "outside of the folders whose code this service runs" in refusal(tmp_path, folder, (elsewhere,))
    assert "name it as `code` of the experiment" in refusal(tmp_path, None, (folder,))


HOSTILE = [
    *("/etc/passwd", "/", "/dev/zero", "../../etc/passwd", "tools/../../secret", "~root", "-", "x" * 300, "x/" * 2000),
    *("a\0b", "pipe", "loop", "out", "out/passwd", "dead"),
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_nothing_outside_of_the_folder_is_kept(name: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root:")
    (folder / "out").symlink_to("/etc")
    (folder / "loop").symlink_to("loop")
    (folder / "dead").symlink_to("/nowhere/else")
    os.mkfifo(folder / "pipe")
    of_files = [SPEC["arms"][0], {"name": "b", "patch": {"model": {"files": [name], "arguments": {"lr": 2}}}}]
    told = refusal(tmp_path, folder, (folder,), arms=of_files)
    assert "in the folder of code, which `files` names" in told
    assert "/nowhere/else" not in told
    # As an argument it is a text like any other: whatever it names stays where it is.
    of_arguments = [SPEC["arms"][0], {"name": "b", "patch": {"model": {"arguments": {"lr": name}}}}]
    with suppress(SpecError), expanded(spec_of(folder, arms=of_arguments), tmp_path):
        pass
    kept = [file for file in (tmp_path / "trials").rglob("*") if file.is_file()]
    assert all("root:" not in file.read_text() for file in kept)


def test_only_commands_have_a_time_limit() -> None:
    spec = json.loads(Path("examples/tiny.json").read_text()) | {"resources": {"max_trial_minutes": 3}}
    with pytest.raises(SpecError, match="only a command has a time limit"):
        parse_spec(spec)


def test_a_plan_without_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="name it as `code`"):
        make_plan(spec_of(None), data_root=None)


def specs_in(page: Path) -> dict[str, JsonObject]:
    """Specs that a page shows, by their names."""
    blocks = re.findall(r"^    (\{\"name\".*?\})\n\n", page.read_text(), re.MULTILINE | re.DOTALL)
    return {spec["name"]: spec for spec in map(json.loads, blocks)}


def test_the_page_shows_the_example_and_timms_form_as_they_plan(tmp_path: Path) -> None:
    shown = specs_in(Path("docs/your-own-change.md"))
    example = json.loads(Path("examples/scripts/digits/width.json").read_text())
    del example["question"]
    assert shown["script-width"] == example
    (tmp_path / "train.py").write_text("")
    with expanded(parse_spec(shown["timm-script"] | {"code": str(tmp_path)}), tmp_path) as expansion:
        plan = plan_of(expansion)
    assert plan.num_confirm_trials == 12
    assert expansion.spec.primary_metric == "test/top1"


@pytest.mark.parametrize(("row", "is_refused"), [("last", True), ("best", False)])
def test_a_script_without_a_test_split_is_told_how_to_claim(row: str, is_refused: bool) -> None:
    results = {"kind": "csv", "file": "summary.csv", "row": row, "metrics": {"val/top1": TOP1}}
    document = {**SPEC, "task": {"kind": "command", "results": results}}
    if not is_refused:
        assert parse_spec(document).primary_metric == "best_val/top1"
        return
    with pytest.raises(SpecError) as refusal:
        parse_spec(document)
    (problem,) = refusal.value.problems
    assert problem.pointer == "/task/results/metrics"
    assert "call what chose nothing `test/...`" in problem.message
    assert '"row": "best"' in problem.message
