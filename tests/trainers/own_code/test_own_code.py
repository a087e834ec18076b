"""Code of the user's own: what of it is kept and counts, and what is said where it does not fit."""

import os
import select
import sys
from pathlib import Path

import pytest
import torch

from trainers.config import TrialConfig
from trainers.errors import OwnCodeError
from trainers.models.python_model import PythonModel
from trainers.own_code.asking import require_it_fits
from trainers.own_code.examining import facts_of, try_trial
from trainers.own_code.place import OwnCode, own_code, running
from trainers.own_code.python_object import own_modules_of
from trainers.own_code.snapshot import MAX_FILES, snapshot
from trainers.version import used_code

NET = """
import torch
from torch import nn
from labx.parts import norm

class Net(nn.Module):
    def __init__(self, num_classes, width=4, act=None):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, width), norm(width), act or nn.GELU())
        self.head = nn.Linear(width, num_classes)

    def forward(self, images):
        return self.head(self.layers(images))

class Broken(Net):
    def __init__(self, num_classes):
        raise KeyError("no such width")

class Narrow(Net):
    def __init__(self):
        super().__init__(3)

class Pair(Net):
    def forward(self, images):
        return super().forward(images), images

class Blind(Net):
    def forward(self, images):
        return self.head(images)

class Held(Net):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.hook = lambda: None

class Still(Net):
    def forward(self, images):
        return super().forward(images).detach().requires_grad_()

def frozen(num_classes):
    return Net(num_classes).requires_grad_(False)

def number(num_classes):
    return num_classes

class Act(nn.Module):
    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return torch.nn.functional.leaky_relu(x, self.slope)

five = 5
"""
SEEDS = """
import random

import numpy
import torch
from labx.net import Net

random.seed(0)
numpy.random.seed(0)
torch.manual_seed(0)
drawn = torch.rand(1).item()

class Seeded(Net):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.of_numpy, self.of_python, self.on_import = numpy.random.rand(), random.random(), drawn
"""
FILES = {
    "labx/__init__.py": "",
    "labx/net.py": NET,
    "labx/parts.py": "from torch import nn\n\ndef norm(width):\n    return nn.LayerNorm(width)\n",
    "labx/unused.py": "import shared\n",
    "labx/table.txt": "kept beside the modules",
    "labx/breaks.py": "import os\n\ndef loads():\n    return os.environ['NOT_SET_ANYWHERE']\n\nloads()\n",
    "labx/.hidden": "not kept",
    "shared.py": "",
    "other/huge.py": "raise SystemExit",
    "data.bin": "not kept",
}
MODEL = {"kind": "python", "target": "labx.net:Net", "image_size_px": 8}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "mine"


def kept(folder: Path, *modules: str) -> Path:
    return snapshot(folder, modules or ("labx.net",), folder.parent / "store")


def config(**model: object) -> TrialConfig:
    return TrialConfig.model_validate({"model": MODEL | model, "dataset": {"kind": "digits"}})


def names(snapshot: Path) -> set[str]:
    return {file.relative_to(snapshot).as_posix() for file in snapshot.rglob("*") if file.is_file()}


# ---- what is kept ----


def test_whole_packages_are_kept_that_are_used_and_nothing_else(folder: Path) -> None:
    of_labx = {name for name in FILES if name.startswith("labx/")} - {"labx/.hidden"}
    assert names(kept(folder)) == of_labx
    assert names(kept(folder, "labx.unused")) == of_labx | {"shared.py"}


def test_the_same_content_is_kept_once_and_another_beside_it(folder: Path) -> None:
    first = kept(folder)
    (folder / "data.bin").write_text("grown")
    assert kept(folder) == first
    (folder / "labx/table.txt").write_text("changed")
    second = kept(folder)
    assert second != first
    assert (first / "labx/table.txt").read_text() == FILES["labx/table.txt"]
    assert sorted(first.parent.iterdir()) == sorted([first, second])


def _leads_out(folder: Path) -> None:
    (folder / "labx/link.py").symlink_to(Path(os.__file__))


def _breaks_off(folder: Path) -> None:
    (folder / "labx/net.py").write_text("def f(:\n")


def _grows(folder: Path) -> None:
    for number in range(MAX_FILES + 1):
        (folder / f"labx/{number}.txt").touch()


def _links(folder: Path) -> None:
    (folder / "labx/sub").symlink_to(folder / "other")


def _stands_in(folder: Path) -> None:
    (folder / "labx/net.py").write_text("import timm\n")
    (folder / "timm.py").touch()


def _hides(folder: Path) -> None:
    (folder / "labx/net.py").write_text("import json\n")
    (folder / "json.py").touch()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_leads_out, "labx/link.py is a link that leads out"),
        (_breaks_off, "labx/net.py line 1 is not Python: "),
        (_grows, "hold 5,007 files"),
        (_links, "labx/sub is a link to a folder"),
        (_stands_in, "timm is the name of a library that sigmalab computes with"),
        (_hides, "json is the name of one of Python's package"),
    ],
)
def test_what_can_not_be_kept_is_refused(folder: Path, spoil, message: str) -> None:
    spoil(folder)
    with pytest.raises(OwnCodeError, match=message):
        kept(folder)
    assert not (folder.parent / "store").exists()


# ---- what counts ----


def code(folder: Path, **model: object) -> str:
    with own_code(OwnCode(kept(folder, *own_modules_of(config(**model))))):
        return used_code(config(**model)).version


def test_an_edit_counts_where_the_model_imports_it(folder: Path) -> None:
    before = code(folder)
    for name, text in {"labx/unused.py": "raise SystemExit", "data.bin": "new", "shared.py": "x = 1"}.items():
        (folder / name).write_text(text)
        assert code(folder) == before, name
    (folder / "labx/net.py").write_text(f"# why\n{NET}")
    assert code(folder) == before
    (folder / "labx/parts.py").write_text("from torch import nn\n\ndef norm(width):\n    return nn.Identity()\n")
    assert code(folder) != before


def test_a_table_in_a_package_that_is_used_counts(folder: Path) -> None:
    before = code(folder)
    (folder / "labx/table.txt").write_text("new")
    assert code(folder) != before


def test_an_argument_that_is_an_object_counts_too(folder: Path) -> None:
    arguments = {"act": {"target": "labx.unused:anything"}}
    before = code(folder, arguments=arguments)
    (folder / "shared.py").write_text("x = 1")
    assert code(folder, arguments=arguments) != before


def test_reading_code_runs_none_of_it(folder: Path) -> None:
    (folder / "labx/net.py").write_text(f"raise SystemExit\n{NET}")
    code(folder)
    assert "labx" not in sys.modules


# ---- what runs ----


def test_two_versions_of_one_package_run_one_after_another(folder: Path) -> None:
    first = kept(folder)
    (folder / "labx/parts.py").write_text("from torch import nn\n\ndef norm(width):\n    return nn.Identity()\n")
    second = kept(folder)
    for place, norm in ((first, "LayerNorm"), (second, "Identity"), (first, "LayerNorm")):
        with running(place):
            network = PythonModel.model_validate(MODEL).build(3)
        assert type(network.layers[2]).__name__ == norm


def test_arguments_may_be_objects(folder: Path) -> None:
    model = PythonModel.model_validate(
        MODEL | {"arguments": {"width": 6, "act": {"target": "labx.net:Act", "arguments": {"slope": 0.2}}}}
    )
    with running(kept(folder)):
        network = model.build(5)
    assert (network.head.in_features, network.head.out_features, network.layers[3].slope) == (6, 5, 0.2)
    assert model.label == "Net_width6_act_Act"


def test_looking_at_a_model_moves_no_random_number(folder: Path) -> None:
    with running(kept(folder)):
        torch.manual_seed(0)
        built = PythonModel.model_validate(MODEL).build(3)
        after = torch.rand(1)
        torch.manual_seed(0)
        from labx.net import Net  # type: ignore[import-not-found]

        plain = Net(3)
        assert torch.equal(torch.rand(1), after)
    assert all(torch.equal(weight, plain.state_dict()[name]) for name, weight in built.state_dict().items())


def test_weights_follow_the_seed_whatever_is_set_or_drawn_on_import(folder: Path) -> None:
    (folder / "labx/seeds.py").write_text(SEEDS)
    drawn = []
    for seed in (1, 2, 1):
        # Imported anew each time, as in a trial's own process.
        with running(None):
            pass
        with running(kept(folder, "labx.seeds")):
            torch.manual_seed(seed)
            network = PythonModel.model_validate(MODEL | {"target": "labx.seeds:Seeded"}).build(3)
        drawn.append((network.head.weight[0, 0].item(), network.of_numpy, network.of_python, network.on_import))
    (first, second, again) = drawn
    assert first == again
    assert [one == other for one, other in zip(first, second, strict=True)] == [False, False, False, True]


def test_its_operations_are_counted(folder: Path) -> None:
    with running(kept(folder)):
        facts = facts_of(PythonModel.model_validate(MODEL))
    assert facts.forward_flops_per_image == 2 * (3 * 8 * 8 * 4 + 4 * 10)
    assert facts.no_grids is not None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("labx.nat:Net", "there is no module labx.nat: labx has labx, labx.breaks, labx.net"),
        ("laby:Net", "no package laby is in the folder"),
        (
            "labx.breaks:x",
            r"does not import: KeyError: 'NOT_SET_ANYWHERE' \[labx/breaks.py line 4, in loads: .*labx/breaks.py line 6",
        ),
        ("labx.net:Nat", "labx.net has no Nat; it has Net"),
        ("labx.net:five", "is an object of the type int"),
        (
            "labx.net:Broken",
            r"Broken\(num_classes=10\) can't be built: KeyError: 'no such width' \[labx/net.py line 17, in __init__",
        ),
        ("labx.net:Narrow", r"gives \[2, 3\] for 2 images and 10 classes"),
        ("labx.net:Pair", "gives an object of the type tuple for a batch"),
        ("labx.net:Blind", r"can't see images \[2, 3, 8, 8\]: RuntimeError: .*labx/net.py line 29, in forward"),
        ("labx.net:Held", "can't be pickled: "),
        ("labx.net:Still", "moves none of its parameters"),
        ("labx.net:frozen", "has no parameter to train"),
        ("labx.net:number", "gives an object of the type int; a model is an nn.Module"),
    ],
)
def test_what_does_not_fit_says_whose_and_what(folder: Path, target: str, message: str) -> None:
    with running(kept(folder)), pytest.raises(OwnCodeError, match=message):
        try_trial(config(target=target), None)


def test_an_argument_that_it_does_not_take_names_the_nearest(folder: Path) -> None:
    with running(kept(folder)), pytest.raises(OwnCodeError, match="takes no argument `widht`; it takes width"):
        try_trial(config(arguments={"widht": 4}), None)


def test_a_module_that_is_not_there_is_said_before_a_process_is_asked() -> None:
    with pytest.raises(OwnCodeError, match=r"there is no source of trainers\.nothere in"):
        require_it_fits(config(target="trainers.nothere:Net"), None)


def test_what_looks_at_own_code_is_ended_with_what_it_started_and_is_told_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMALAB_API_TOKEN", "secret")
    monkeypatch.setenv("ELSE", "told")
    held = tmp_path / "held"
    os.mkfifo(held)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "starts.py").write_text(
        "import os, subprocess\n"
        f"subprocess.Popen(['sleep', '600'], stdout=open({str(held)!r}, 'w'), stderr=subprocess.DEVNULL)\n"
        "raise ValueError(' '.join(os.environ))\n"
    )
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    with own_code(OwnCode(tmp_path / "own")), pytest.raises(OwnCodeError, match=r"ValueError: .*\bELSE\b") as caught:
        require_it_fits(config(target="starts:Net"), None)
    assert "SIGMALAB_API_TOKEN" not in str(caught.value)
    # Nobody writes there any more.
    assert select.select([reader], [], [], 30)[0] == [reader]
    os.close(reader)


def test_computing_activations_again_needs_a_way(folder: Path) -> None:
    again = config().model_dump() | {"optimization": {"activation_checkpointing": True}}
    with running(kept(folder)), pytest.raises(OwnCodeError, match="Net can't compute its activations again"):
        try_trial(TrialConfig.model_validate(again), None)


def test_a_bias_needs_attention_that_it_knows(folder: Path) -> None:
    treated = TrialConfig.model_validate(config().model_dump() | {"attention_bias": {"kind": "gaussian"}})
    with running(kept(folder)), pytest.raises(OwnCodeError, match="Net has no layer that can take an attention bias"):
        try_trial(treated, None)


@pytest.mark.parametrize("target", ["mylab.vit.MyViT", "mylab:", ":x", "my lab:x", "mylab/vit.py:x"])
def test_a_target_names_module_and_object(target: str) -> None:
    with pytest.raises(ValueError, match="write the module, a colon and the name in it"):
        PythonModel(target=target)
