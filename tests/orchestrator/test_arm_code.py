"""Commits as arms: which code each arm runs, what its trials are called by it, and what is refused."""

import json
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.kept_code import code_at, with_code
from orchestrator.null_spec import null_spec
from orchestrator.planning.expansion import Expansion
from orchestrator.planning.plan import make_plan
from orchestrator.report.content.code_diff import ChangedFile, CodeDiff
from orchestrator.report.formats.folder import section_file
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.spec.code import ArmCode, with_code_beside
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from orchestrator.stored.code_diffs import code_diffs_of
from tests.orchestrator.own_net import NET
from tests.orchestrator.repositories import TANH, commit_dependencies, git, repository_with_branches
from tests.orchestrator.synthetic import cell_of, make_record, make_records, make_spec, report_on
from trainers.own_code.facts import ModelFacts
from trainers.own_code.place import own_code_here

SPEC = {
    "name": "commits",
    "models": [{"kind": "python", "target": "labg.net:Net", "arguments": {"width": 4}, "image_size_px": 8}],
    "datasets": [{"kind": "digits", "num_train": 40, "num_val": 20, "num_test": 20}],
    "optimization": {"epochs": 1, "global_batch_size": 20},
    "seeds": [0, 1],
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody changes it."""
    place = repository_with_branches(tmp_path_factory.mktemp("lab") / "vit", "labg")
    commit_dependencies(place, "needs", '["torch >= 2.1", "einops"]')
    git(place, "checkout", "--quiet", "-b", "docs")
    (place / "README").write_text("a word")
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message", "words")
    git(place, "checkout", "--quiet", "main")
    return place


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was read of a snapshot once is known."""
    return tmp_path_factory.mktemp("trials")


@pytest.fixture(autouse=True)
def nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether own code fits is asked in a process of its own, seconds for each arm; other tests do."""
    monkeypatch.setattr("orchestrator.planning.expansion.require_it_fits", lambda *given, **named: None)


def spec_of(control: object, treatment: object, **changes: object) -> ExperimentSpec:
    arms = [{"name": "main", "role": "control", "code": control}, {"name": "mine", "code": treatment}]
    return parse_spec(json.loads(json.dumps(SPEC | {"arms": arms} | changes)))


def refusal(spec: ExperimentSpec, storage: Path, roots: tuple[Path, ...] | None = None) -> str:
    with pytest.raises(SpecError) as caught, with_code(spec, storage, roots=roots, keep=True) as pinned:
        Expansion(pinned, data_root=None)
    return "\n".join(f"{problem.pointer}: {problem.message}" for problem in caught.value.problems)


def pinned_in(spec: ExperimentSpec, storage: Path) -> ExperimentSpec:
    with with_code(spec, storage, roots=None, keep=True) as pinned:
        return pinned


def kept(spec: ExperimentSpec, storage: Path) -> tuple[ExperimentSpec, Expansion]:
    with with_code(spec, storage, roots=None, keep=True) as pinned:
        expansion = Expansion(pinned, data_root=None)
        expansion.confirm_trials({})
    return pinned, expansion


def test_each_arm_runs_its_commit_and_the_report_has_the_difference(repository: Path, storage: Path) -> None:
    pinned, expansion = kept(spec_of({"repo": str(repository), "ref": "main"}, {"ref": "tanh"}), storage)
    places = [code_at(pinned, storage, arm) for arm in ("main", "mine")]
    assert [(place / "labg/net.py").read_text() for place in places if place] == [NET, TANH]
    assert [arm.code.commit for arm in pinned.arms] == [
        git(repository, "rev-parse", branch).strip() for branch in ("main", "tanh")
    ]
    # One config, two codes: so two results.
    trials = expansion.confirm_trials({})
    assert len({trial.identity for trial in trials}) == 4
    assert len({trial.config.model_dump_json() for trial in trials}) == 2
    (diff,) = code_diffs_of(pinned, storage)
    assert [(file.name, file.num_added, file.num_removed) for file in diff.files] == [("labg/net.py", 1, 1)]
    assert diff.text.startswith("--- a/labg/net.py\n+++ b/labg/net.py\n@@ ")
    assert [line.strip()[:10] for line in diff.text.splitlines() if "self.layers =" in line] == [
        "-        s",
        "+        s",
    ]
    assert diff.code.startswith("vit at tanh (")
    # As a driver or `extend` reads it, when the branches are gone.
    again = ExperimentSpec.model_validate_json(pinned.model_dump_json())
    same, as_before = kept(again, storage)
    assert same == pinned
    assert as_before.digest == expansion.digest


def test_a_plan_keeps_nothing_and_counts_each_arms_own_network(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def facts(model: object) -> ModelFacts:
        folder = own_code_here().folder
        assert folder is not None
        asked.append((folder / "labg/net.py").read_text())
        return ModelFacts(forward_flops_per_image=1e6)

    monkeypatch.setattr("trainers.models.python_model.model_facts", facts)
    spec = spec_of({"repo": str(repository), "ref": "main"}, {"ref": "tanh"})
    with with_code(spec, tmp_path / "trials", roots=None, keep=False) as planned:
        plan = make_plan(planned, data_root=None)
    assert plan.cost.num_trials == 4
    assert set(asked) == {NET, TANH}
    assert planned == spec
    assert not (tmp_path / "trials").exists()


def test_which_arm_has_which_commit_is_in_the_digest(repository: Path, storage: Path) -> None:
    one, other = {"repo": str(repository), "ref": "main"}, {"repo": str(repository), "ref": "tanh"}
    digests = [kept(spec_of(*codes), storage)[1].digest for codes in ((one, other), (other, one))]
    assert digests[0] != digests[1]
    # The commit by another name is the same question.
    commit = {"repo": str(repository), "ref": git(repository, "rev-parse", "--short", "main").strip()}
    assert kept(spec_of(commit, other), storage)[1].digest == digests[0]


def test_a_patch_goes_on_top_of_the_controls_commit(repository: Path, tmp_path: Path) -> None:
    patch = tmp_path / "mine.diff"
    patch.write_text(git(repository, "diff", "main", "tanh"))
    pinned = pinned_in(spec_of({"repo": str(repository), "ref": "main"}, {"patch": str(patch)}), tmp_path)
    place = code_at(pinned, tmp_path, "mine")
    assert place is not None
    assert (place / "labg/net.py").read_text() == TANH
    assert pinned.arms[1].code.words.endswith("with mine.diff")
    told = refusal(spec_of({"repo": str(repository), "ref": "tanh"}, {"patch": str(patch)}), tmp_path)
    assert told.startswith("/arms/1/code: the patch mine.diff can't be applied to tanh (")
    assert "labg/net.py" in told


def test_a_package_in_a_folder_of_the_repository(tmp_path: Path) -> None:
    place = repository_with_branches(tmp_path / "vit", "labg", folder="src")
    patch = tmp_path / "mine.diff"
    patch.write_text(git(place, "diff", "main", "tanh"))
    for treatment in ({"ref": "tanh"}, {"patch": str(patch)}):
        pinned = pinned_in(spec_of({"repo": str(place / "src"), "ref": "main"}, treatment), tmp_path)
        snapshot = code_at(pinned, tmp_path, "mine")
        assert snapshot is not None
        assert (snapshot / "labg/net.py").read_text() == TANH
    assert "vit has no folder" not in refusal(
        spec_of({"repo": str(place / "src"), "ref": "main"}, {"ref": "x"}), tmp_path
    )


def test_a_work_tree_with_changes_counts_as_it_lies(tmp_path: Path) -> None:
    place = repository_with_branches(tmp_path / "vit", "labg")
    (place / "labg/net.py").write_text(NET.replace("GELU", "SiLU"))
    spec = spec_of({"repo": str(place), "ref": "main"}, {"repo": str(place)})
    pinned = pinned_in(spec, tmp_path)
    assert pinned.arms[1].code.words.endswith("with uncommitted changes")
    (diff,) = code_diffs_of(pinned, tmp_path)
    assert "+        self.layers" in diff.text
    assert "SiLU" in diff.text
    assert git(place, "status", "--porcelain").strip() == "M labg/net.py"


def test_commits_that_train_the_same_are_no_question(repository: Path, storage: Path) -> None:
    told = refusal(spec_of({"repo": str(repository), "ref": "main"}, {"ref": "docs"}), storage)
    assert told.startswith("/arms/1/code: ")
    assert "this code makes the same trial as arm `main`" in told


def test_an_arm_that_needs_other_libraries_is_refused_with_their_names(repository: Path, tmp_path: Path) -> None:
    told = refusal(spec_of({"repo": str(repository), "ref": "main"}, {"ref": "needs"}), tmp_path)
    assert told.startswith(
        "/arms/1/code: it declares other dependencies than `main`: einops (new: einops), torch (torch>=2.1, there "
        "torch>=2). Both arms run in one environment"
    )


def test_what_is_not_there_is_said_with_what_is(repository: Path, tmp_path: Path) -> None:
    main = {"repo": str(repository), "ref": "main"}
    told = refusal(spec_of(main, {"ref": "tahn"}), tmp_path)
    assert told == "/arms/1/code: there is no commit 'tahn' in vit: the nearest are tanh, main"
    bare = tmp_path / "plain"
    bare.mkdir()
    told = refusal(spec_of(main, {"repo": str(bare), "ref": "main"}), tmp_path)
    assert told.startswith(f"/arms/1/code: {str(bare)!r} is not a folder of a git repository: ")
    assert "there is no folder" in refusal(spec_of(main, {"repo": f"{bare}/none", "ref": "main"}), tmp_path)
    assert "there is no patch" in refusal(spec_of(main, {"patch": f"{bare}/none.diff"}), tmp_path)
    assert "/arms/1: the arm `mine` names no code, and others do" in refusal(spec_of(main, None), tmp_path)
    assert "/arms/1/code: no repository is named" in refusal(spec_of(None, {"ref": "x"}), tmp_path)
    with pytest.raises(SpecError, match="/arms/1/code/ref"):
        spec_of(main, {"ref": "--output=x"})


def test_a_service_reads_repositories_of_its_folders_only(tmp_path: Path) -> None:
    place = repository_with_branches(tmp_path / "vit", "labg", folder="src")
    spec = spec_of({"repo": str(place / "src"), "ref": "main"}, {"ref": "tanh"})
    assert "this service does not run code of its users" in refusal(spec, tmp_path, ())
    # The folder may be read, the repository around it may not.
    assert "lies outside of the folders" in refusal(spec, tmp_path, (place / "src",))
    with with_code(spec, tmp_path, roots=(place,), keep=True) as pinned:
        assert all(arm.code and arm.code.kept for arm in pinned.arms)
    patch = tmp_path / "mine.diff"
    patch.write_text("")
    patched = spec_of({"repo": str(place / "src"), "ref": "main"}, {"patch": str(patch)})
    assert "lies outside of the folders" in refusal(patched, tmp_path, (place,))


def test_the_control_twice_is_of_one_code(repository: Path, tmp_path: Path) -> None:
    asked = spec_of({"repo": str(repository), "ref": "main"}, {"ref": "tanh"})
    assert pinned_in(asked, tmp_path).of_other_code == {"mine"}
    twice = pinned_in(parse_spec(null_spec(asked.model_dump(mode="json"))), tmp_path)
    assert twice.of_other_code == frozenset()
    assert code_diffs_of(twice, tmp_path) == ()


def test_a_commit_repeats_nothing() -> None:
    # Trials of both arms have one config: what differs is not in it.
    spec = make_spec(arms=[{"name": "control", "role": "control"}, {"name": "mine"}])
    controls = [make_record("control", seed, cell_of(spec)) for seed in spec.seeds]
    records = [*controls, *(record.model_copy(update={"arm": "mine"}) for record in controls)]
    report = report_on(spec, records)
    assert report.repeats
    control, mine = spec.arms
    by_code = spec.model_copy(
        update={
            "arms": (
                control.model_copy(update={"code": ArmCode(kept="0" * 20)}),
                mine.model_copy(update={"code": ArmCode(kept="1" * 20)}),
            )
        }
    )
    assert not report_on(by_code, records).repeats
    assert report_on(by_code, records).provenance.facts["own code"] == (f"control: {'0' * 20}, mine: {'1' * 20}",)


def test_paths_start_where_the_spec_lies(tmp_path: Path) -> None:
    arms = [{"name": "a", "code": {"repo": "../vit", "ref": "main"}}, {"name": "b", "code": {"patch": "b.diff"}}]
    placed = with_code_beside({"name": "x", "arms": arms}, tmp_path / "specs")
    assert placed["arms"] == [
        {"name": "a", "code": {"repo": f"{tmp_path}/vit", "ref": "main"}},
        {"name": "b", "code": {"patch": f"{tmp_path}/specs/b.diff"}},
    ]


def test_specs_without_commits_are_written_as_ever() -> None:
    assert "code" not in parse_spec(SPEC | {"arms": [{"name": "a", "role": "control"}, {"name": "b"}]}).arms[
        0
    ].model_dump(mode="json")
    assert ArmCode(repo="/x/vit", ref="main").words == "vit at main"


def test_the_report_shows_some_lines_and_has_the_whole_as_a_file() -> None:
    lines = tuple(f"+{i}" for i in range(20))
    changed = ChangedFile(name="labg/net.py", num_added=20, num_removed=0, lines=lines)
    other = ChangedFile(name="labg/table.bin", num_added=0, num_removed=0, note="new")
    diff = CodeDiff(
        arm="mine",
        control="main",
        code="vit at tanh (0123)",
        control_code="vit at main (4567)",
        files=(changed, other),
        text="all of it",
        file="code-mine.diff",
    )
    spec = make_spec()
    report = report_on(spec, make_records(spec)).model_copy(update={"code_diffs": (diff,)})
    shown = " ".join(to_text(report).split())
    assert "Code of mine against main" in shown
    assert "labg/net.py +0" in shown
    assert "+15" in shown
    assert "+16" not in shown
    assert "5 further lines in code-mine.diff" in shown
    assert (
        "mine ran vit at tanh (0123), main ran vit at main (4567): 2 files differ, 20 lines added, 0 removed" in shown
    )
    assert section_file(report, "diff_mine") == b"all of it"
    assert "code-mine.diff" in to_markdown(report)
