"""An experiment's own code: which folders a service takes it from, what is kept, and that nothing of it is imported."""

import json
import sys
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.kept_code import FOLDER, code_at, with_code
from orchestrator.planning.expansion import Expansion
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.spec.code import with_code_beside
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from orchestrator.store.database import Database
from orchestrator.store.tables import ExperimentRow
from tests.orchestrator.own_net import NET
from trainers.own_code.place import own_code_here

SPEC = {
    "name": "own",
    "models": [{"kind": "python", "target": "labk.net:Net", "arguments": {"width": 4}, "image_size_px": 8}],
    "datasets": [{"kind": "digits", "num_train": 40, "num_val": 20, "num_test": 20}],
    "optimization": {"epochs": 1, "global_batch_size": 20},
    "arms": [
        {"name": "narrow", "role": "control"},
        {"name": "wide", "patch": {"model": {"arguments": {"width": 8}}}},
    ],
    "seeds": [0, 1],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine" / "labk").mkdir(parents=True)
    (tmp_path / "mine" / "labk" / "net.py").write_text(NET)
    return tmp_path / "mine"


def spec_of(code: object, **changes: object) -> ExperimentSpec:
    return parse_spec(json.loads(json.dumps(SPEC | {"code": code} | changes)))


def refusal(spec: ExperimentSpec, storage: Path, roots: tuple[Path, ...] | None) -> str:
    with pytest.raises(SpecError) as caught, with_code(spec, storage, roots=roots, keep=True) as pinned:
        Expansion(pinned, data_root=None)
    return "\n".join(f"{problem.pointer}: {problem.message}" for problem in caught.value.problems)


def test_a_plan_keeps_nothing_and_a_submission_keeps_a_snapshot(folder: Path, tmp_path: Path) -> None:
    storage = tmp_path / "trials"
    with with_code(spec_of(str(folder)), storage, roots=None, keep=False) as planned:
        place = own_code_here().folder
        assert place is not None
        assert (place / "labk/net.py").read_text() == NET
    assert planned.code == spec_of(str(folder)).code
    assert not place.exists()
    assert not storage.exists()
    with with_code(spec_of(str(folder)), storage, roots=None, keep=True) as pinned:
        pass
    kept = code_at(pinned, storage)
    assert kept == storage / FOLDER / place.name
    # As a driver and `extend` read it, when the folder has long been edited.
    (folder / "labk/net.py").write_text("raise SystemExit")
    again = ExperimentSpec.model_validate_json(pinned.model_dump_json())
    with with_code(again, storage, roots=None, keep=True) as same:
        assert own_code_here().folder == kept
    assert same == pinned


def test_a_service_runs_code_of_the_listed_folders_only(folder: Path, tmp_path: Path) -> None:
    spec, elsewhere = spec_of(str(folder)), tmp_path / "elsewhere"
    assert "/code: this service does not run code of its users" in refusal(spec, tmp_path, ())
    assert f"outside of the folders whose code this service runs ({elsewhere})" in refusal(spec, tmp_path, (elsewhere,))
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(folder)
    assert "outside of the folders" in refusal(spec_of(str(elsewhere / "link")), tmp_path, (elsewhere,))
    assert "outside of the folders" in refusal(spec_of(f"{elsewhere}/../mine"), tmp_path, (elsewhere,))
    assert "is not a path that can be followed" in refusal(spec_of(f"{folder}\0"), tmp_path, (folder,))
    assert "is a relative path" in refusal(spec_of("mine"), tmp_path, (folder,))
    assert "there is no folder" in refusal(spec_of(f"{folder}/none"), tmp_path, (folder,))
    assert "no code is kept here under" in refusal(
        spec_of({"path": str(folder), "kept": "0" * 20}), tmp_path, (folder,)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"models": [{"kind": "python", "target": "os:system"}]},
        {
            "arms": [
                {"name": "a", "role": "control"},
                {"name": "b", "patch": {"model": {"kind": "python", "target": "os:system"}}},
            ]
        },
        {
            "arms": [
                {"name": "a", "role": "control"},
                {
                    "name": "b",
                    "search": {
                        "space": {
                            "model": {
                                "kind": "choice",
                                "values": [
                                    {"kind": "small_vit", "depth": 1},
                                    {"kind": "python", "target": "os:system"},
                                ],
                            }
                        }
                    },
                },
            ]
        },
        {"models": [{"kind": "python", "target": "labk.net:Net", "arguments": {"x": {"target": "os:getcwd"}}}]},
        {"datasets": [{"kind": "python", "target": "os:listdir"}]},
        {"task": {"kind": "classification", "loss": {"kind": "python", "target": "os:system"}}},
        {"augmentation": {"kind": "python", "target": "os:system"}},
        {"optimization": {"optimizer": {"kind": "python", "target": "os:system"}, "global_batch_size": 20}},
        {
            "arms": [
                {"name": "a", "role": "control"},
                {"name": "b", "patch": {"attention_bias": {"kind": "python", "target": "os:system"}}},
            ]
        },
    ],
)
def test_an_installed_object_is_refused_wherever_it_is_named(
    folder: Path, tmp_path: Path, change: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Modules of Python's own have no place: they lie in no folder, wherever the service was started.
    monkeypatch.chdir(folder)
    plain = {"models": [{"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1, "image_size_px": 16}]}
    assert "this service does not run code of its users" in refusal(spec_of(None, **{**plain, **change}), tmp_path, ())
    assert "os is installed outside of the folders" in refusal(
        spec_of(str(folder), **{**plain, **change}), tmp_path, (folder,)
    )


def test_a_relative_folder_starts_where_the_spec_lies(tmp_path: Path) -> None:
    for code in (".", {"path": "."}):
        placed = with_code_beside({"name": "x", "code": code}, tmp_path)["code"]
        assert placed == (str(tmp_path) if code == "." else {"path": str(tmp_path)})
    assert with_code_beside({"name": "x"}, tmp_path) == {"name": "x"}


def test_the_service_plans_and_takes_in_without_importing_it(
    folder: Path, tmp_path: Path, database: Database, dashboard
) -> None:
    settings = Settings(home=tmp_path, data_root=tmp_path, ray_dashboard_url=dashboard.url, allow_code=(folder,))
    service, spec = Experiments(database, settings), spec_of(str(folder))
    plan = service.plan(spec)
    # Multiply-adds of the wide arm are twice as many.
    assert plan.cost.num_trials == 4
    experiment = service.submit(spec)
    with database.read() as session:
        row = session.get_one(ExperimentRow, experiment.id)
        stored = ExperimentSpec.model_validate_json(row.spec)
    kept = code_at(stored, settings.effective_storage)
    assert kept is not None
    assert (kept / "labk/net.py").read_text() == NET
    assert "labk" not in sys.modules
    # Where the folder was is not the question: the copy asks the same.
    copy = tmp_path / "mine" / "copy"
    (folder / "labk").rename(copy)
    (folder / "labk").mkdir()
    copy.rename(folder / "labk" / "labk")
    (folder / "labk" / "README").touch()
    twin = service.submit(spec_of(str(folder / "labk")))
    with database.read() as session:
        assert session.get_one(ExperimentRow, twin.id).digest == row.digest


def test_what_does_not_fit_stands_at_the_model_of_its_arm(folder: Path, tmp_path: Path) -> None:
    wrong = [{"name": "a", "role": "control"}, {"name": "b", "patch": {"model": {"arguments": {"widht": 8}}}}]
    assert "/arms/1/patch/model: " in (told := refusal(spec_of(str(folder), arms=wrong), tmp_path, None))
    assert "labk.net:Net takes no argument `widht`; it takes width" in told


DATA_AND_LOSSES = """
import torch
from torch.nn import functional as F
from torch.utils.data import Dataset

class Squares(Dataset):
    classes = ["dark", "light"]

    def __init__(self, num=40):
        self.targets = [place % 2 for place in range(num)]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, place):
        return torch.full((3, 8, 8), place / 100 + self.targets[place] / 2), self.targets[place]

def weighted(logits, labels):
    return F.cross_entropy(logits, labels, weight=torch.tensor([1.0, 2.0]))

def of_each(logits, labels):
    return F.cross_entropy(logits, labels, reduction="none")
"""


def test_own_data_and_losses_are_asked_in_a_process_of_their_own(folder: Path, tmp_path: Path) -> None:
    (folder / "labk" / "parts.py").write_text(DATA_AND_LOSSES)

    def loss(name: str) -> dict[str, object]:
        return {"name": name, "patch": {"task": {"loss": {"kind": "python", "target": f"labk.parts:{name}"}}}}

    changes = {
        "models": [{"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1, "image_size_px": 8}],
        "datasets": [{"kind": "python", "target": "labk.parts:Squares"}],
        "optimization": {"epochs": 1, "global_batch_size": 10},
    }
    arms = [{"name": "a", "role": "control"}, loss("weighted")]
    with with_code(spec_of(str(folder), arms=arms, **changes), tmp_path, roots=None, keep=False) as spec:
        # A loss with a weight for each class is tried with as many classes as the data have.
        expansion = Expansion(spec, data_root=None)
    assert expansion.data_found == {"Squares": "2 classes, 28/6/6 images"}
    told = refusal(spec_of(str(folder), arms=[*arms, loss("of_each")], **changes), tmp_path, None)
    assert told.startswith("/arms/2/patch/task: ")
    assert "labk.parts:of_each gives [2] for logits [2, 2] and labels [2], where a scalar is needed" in told
    broken = [{"kind": "python", "target": "labk.parts:Squares", "arguments": {"num": 2}}]
    told = refusal(spec_of(str(folder), arms=arms, **changes | {"datasets": broken}), tmp_path, None)
    assert told == (
        "/datasets/0: labk.parts:Squares has no image left for val: 2 images can't be shared out so; give a part for "
        "val, or change val_fraction and test_fraction"
    )
    assert "labk.parts" not in sys.modules
