"""The code in an identity: an edit changes the trials that it may change, no others; nothing that runs is missed."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import get_args

import pytest
import torch

from tests.contracts.test_datasets import EXAMPLES, MASK_EXAMPLES, OBJECT_EXAMPLES
from trainers.closure import Sources
from trainers.config import TrialConfig
from trainers.kinds import (
    ANALYSES,
    TASKS,
    AttentionBiasConfig,
    AugmentationConfig,
    DatasetConfig,
    ModelConfig,
    OptimizerConfig,
)
from trainers.models.gaussian import GaussianBias
from trainers.models.timm_model import TimmConfig
from trainers.version import KINDS, LOOP, PACKAGE, UNCOUNTED, code_version, library_versions, used_code

CONTROL = {
    "model": {"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 2, "image_size_px": 16},
    "dataset": {"kind": "digits", "num_train": 20, "num_val": 10, "num_test": 10},
    "optimization": {"epochs": 1, "global_batch_size": 10},
}
GAUSSIAN = {"attention_bias": {"kind": "gaussian"}}
FIELDS = {"analyses": [{"kind": "receptive_field"}]}


def config(**changes: object) -> TrialConfig:
    return TrialConfig.model_validate(CONTROL | changes)


def versions(package: Path) -> dict[str, str]:
    """Of a control, a treatment, and a control that is asked for its receptive field."""
    asked = {
        "control": {},
        "gaussian": GAUSSIAN,
        "fields": FIELDS,
        "sgd": {"optimization": {"optimizer": {"kind": "sgd"}}},
    }
    return {name: used_code(config(**changes), package).version for name, changes in asked.items()}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return versions(PACKAGE)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("training/trial.py", {"control", "gaussian", "fields", "sgd"}),
        ("training/descent.py", {"control", "gaussian", "fields", "sgd"}),
        ("data/digits.py", {"control", "gaussian", "fields", "sgd"}),
        ("config.py", {"control", "gaussian", "fields", "sgd"}),
        # Every trial looks at its position bias, and finds the layers by their families.
        ("analyses/learned_bias.py", {"control", "gaussian", "fields", "sgd"}),
        ("models/families/swin.py", {"control", "gaussian", "fields", "sgd"}),
        ("models/gaussian.py", {"gaussian"}),
        ("models/gaussian_attention.py", {"gaussian"}),
        ("analyses/receptive_field.py", {"fields"}),
        ("analyses/receptive_field_in_trial.py", {"fields"}),
        ("analyses/map_metrics.py", {"fields"}),
        ("analyses/learned_bias_in_trial.py", set()),
        ("optimization/sgd.py", {"sgd"}),
        ("optimization/adamw.py", {"control", "gaussian", "fields"}),
        # Nothing is mixed.
        ("tasks/classification/mixup.py", set()),
        ("tasks/classification/batch_mixing.py", set()),
        ("models/timm_model.py", set()),
        ("data/folder.py", set()),
        ("data/rand_augment.py", set()),
        ("ray_worker.py", set()),
        *((f"{module.removeprefix('trainers.').replace('.', '/')}.py", set()) for module in sorted(UNCOUNTED)),
    ],
)
def test_an_edit_changes_the_trials_that_use_the_file(
    file: str, changed: set[str], before: dict[str, str], tmp_path: Path
) -> None:
    package = shutil.copytree(PACKAGE, tmp_path / "trainers", ignore=shutil.ignore_patterns("__pycache__", "prepare"))
    with (package / file).open("a") as edited:
        edited.write("\n_EDITED = True\n")
    after = versions(package)
    assert {name for name in after if after[name] != before[name]} == changed


def test_a_new_kind_changes_no_trial(before: dict[str, str], tmp_path: Path) -> None:
    package = shutil.copytree(PACKAGE, tmp_path / "trainers", ignore=shutil.ignore_patterns("__pycache__", "prepare"))
    (package / "data" / "mine.py").write_text("from trainers.data.dataset import Dataset\n")
    kinds = package / "kinds.py"
    kinds.write_text("from trainers.data.mine import Mine\n" + kinds.read_text())
    assert versions(package) == before


def test_words_change_no_trial(before: dict[str, str], tmp_path: Path) -> None:
    package = shutil.copytree(PACKAGE, tmp_path / "trainers", ignore=shutil.ignore_patterns("__pycache__", "prepare"))
    for file in package.rglob("*.py"):
        file.write_text(f'"""Other words."""\n# And a comment.\n\n{file.read_text()}')
    assert versions(package) == before


def test_the_parts_are_told(before: dict[str, str]) -> None:
    code = used_code(config(**GAUSSIAN))
    assert code.version == before["gaussian"] == code_version(config(**GAUSSIAN))
    assert code.parts.items() >= library_versions().items()
    assert {"trainers", "trainers.training.trial", "trainers.models.gaussian_attention"} <= set(code.parts)


def test_a_kind_of_somebody_elses_is_followed_in_its_own_package(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "__init__.py").write_text("")
    (lab / "constants.py").write_text("BARS = 3")
    (lab / "stripes.py").write_text(
        "from lab.constants import BARS\nfrom trainers.data.digits import DigitsConfig\n"
        "class StripesConfig(DigitsConfig):\n    pass\n"
    )
    program = (
        "from lab.stripes import StripesConfig\nfrom trainers.version import used_code\n"
        "print([name for name in used_code(StripesConfig()).parts if name.startswith('lab')])"
    )
    path = os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert (done.stdout.strip(), done.stderr) == ("['lab', 'lab.constants', 'lab.stripes']", "")


def test_all_that_a_kind_of_somebody_elses_imports_counts(tmp_path: Path) -> None:
    """Source beside it module by module, an installed library by its version, Python's own not at all."""
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "__init__.py").write_text("")
    (lab / "stripes.py").write_text(
        "import json\nimport httpx, pydantic\nfrom lab_common import scale\n"
        "from trainers.data.digits import DigitsConfig\nclass StripesConfig(DigitsConfig):\n    pass\n"
    )
    (tmp_path / "lab_common.py").write_text("from lab_numbers.scale import SCALE as scale")
    (tmp_path / "lab_numbers").mkdir()
    program = (
        "import json\nfrom lab.stripes import StripesConfig\nfrom trainers.version import used_code\n"
        "print(json.dumps(dict(used_code(StripesConfig()).parts)))"
    )
    path = os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])
    told: list[dict[str, str]] = []
    for scale in (1, 2):
        (tmp_path / "lab_numbers" / "scale.py").write_text(f"SCALE = {scale}")
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
        )
        assert done.stderr == ""
        told.append(json.loads(done.stdout))
    ours = {*library_versions(), *used_code(config()).parts}
    assert {part for part in told[0] if part not in ours} == {
        *("lab", "lab.stripes", "lab_common", "lab_numbers.scale", "httpx"),
    }
    assert told[0]["httpx"] == metadata.version("httpx")
    assert {part for part in told[0] if told[0][part] != told[1][part]} == {"lab_numbers.scale"}


def test_a_kind_that_lies_in_no_file_is_refused_in_words() -> None:
    program = (
        "from trainers.data.digits import DigitsConfig\nfrom trainers.version import used_code\n"
        "class StripesConfig(DigitsConfig):\n    pass\nused_code(StripesConfig())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.stderr.splitlines()[-1].startswith(
        "trainers.errors.ConfigError: a kind was made in __main__, which is not a file of source"
    )


def test_files_that_change_later_do_not_change_what_a_process_says_of_its_code(tmp_path: Path) -> None:
    package = shutil.copytree(PACKAGE, tmp_path / "trainers", ignore=shutil.ignore_patterns("__pycache__", "prepare"))
    program = (
        "import trainers.version as v\nfrom trainers.data.digits import DigitsConfig\n"
        "for name in ('training/trial.py', 'data/digits.py', 'new.py'):\n"
        "    with (v.PACKAGE / name).open('a') as file: file.write('EDITED = 1')\n"
        "(v.PACKAGE / 'training' / 'descent.py').unlink()\n"
        "print(v.code_version(DigitsConfig()), v.source_version())"
    )
    expected = subprocess.run(
        [sys.executable, "-c", program.replace("for name in ", "for name in () and ").replace(".unlink()", "")],
        capture_output=True, text=True, cwd=package.parent,
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=package.parent)
    assert (done.stdout, done.stderr) == (expected.stdout, "")
    assert len(done.stdout.split()) == 2


def test_what_does_not_count_hides_nothing() -> None:
    """All that only a module beside the count imports would go unseen."""
    sources = Sources({"trainers": PACKAGE})
    # The task is a kind of the config's, which is where losses are named.
    start = [LOOP, "trainers.config", "trainers.tasks.classification.task"]
    everything = sources.closure(start, but=[KINDS])
    assert everything > UNCOUNTED - {KINDS}
    # Of losses only one counts: that of the config.
    losses = sources.closure(
        ["trainers.tasks.classification.losses"], but=UNCOUNTED - {"trainers.tasks.classification.losses"}
    )
    assert sources.closure(start, but=UNCOUNTED) | losses == everything - UNCOUNTED | losses


_AT_RUN_TIME = {"importlib", "runpy", "pkgutil", "imp", "zipimport"}
_BY_NAME = {"__import__", "__builtins__", "exec", "eval", "resolve_name", "ImportString"}
_OF_MODULES = {"sys": ("modules",), "builtins": ("exec", "eval", "__import__"), "pydoc": ("locate",)}


def _imports_by_name(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.partition(".")[0] in _AT_RUN_TIME)
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] in _AT_RUN_TIME:
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                named = {*_BY_NAME, *_OF_MODULES.get(module, ())}
                yield from (alias.name for alias in names if alias.name in named)
            case ast.Name(id=name) if name in _BY_NAME:
                yield name
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in _OF_MODULES.get(module, ()):
                yield f"{module}.{name}"


@pytest.mark.parametrize(
    "text",
    [
        "import importlib",
        "from importlib import import_module as load",
        "from importlib.util import find_spec",
        "import runpy",
        "load = __import__",
        "exec('import os')",
        "sys.modules['trainers.kinds']",
        "from sys import modules",
        "from pydantic import ImportString",
    ],
)
def test_an_import_by_name_is_found(text: str) -> None:
    assert list(_imports_by_name(ast.parse(text)))


def test_no_module_is_imported_by_a_name_made_at_run_time() -> None:
    """Such an import would be missed."""
    found = {
        file.relative_to(PACKAGE).as_posix(): sorted({*_imports_by_name(ast.parse(file.read_bytes()))})
        for file in PACKAGE.rglob("*.py")
    }
    assert {file: names for file, names in found.items() if names} == {
        # Nothing is imported by these: they ask where things lie, and what their versions are.
        "data/digits.py": ["importlib.util.find_spec"],
        "own_code/snapshot.py": ["importlib.metadata.packages_distributions"],
        "own_code/place.py": ["importlib", "importlib.util.find_spec", "sys.modules"],
        # What a config names of the user's own: its module is one of the kinds whose code counts.
        "own_code/loading.py": ["importlib"],
        "version.py": [
            "importlib.metadata.PackageNotFoundError",
            "importlib.metadata.packages_distributions",
            "importlib.metadata.version",
            "importlib.util.find_spec",
            "sys.modules",
        ],
    }


def test_only_what_reads_configs_names_the_registry() -> None:
    """Whoever took a kind from there to build with it would hide it: the registry's imports are not followed."""
    imports = "from trainers.kinds import "
    found = {file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py") if imports in file.read_text()}
    assert found == {
        # Fields of a trial's config: their values are walked.
        "config.py",
        "optimization/recipe.py",
        # Fields of what a file of weights says of itself, which is compared with the trial's own.
        "export_note.py",
        "models/bias_from_weights.py",
        # Looking at a model without a trial.
        "analyses/subject.py",
        "analyses/__main__.py",
        "own_code/__main__.py",
    }


# ---- what runs is in it ----

AUGMENTATIONS = ("crop_flip", "paper", "rand_augment", "scale_crop")
LINEAR_SEGMENTATION = {"kind": "segmentation", "head": {"kind": "linear"}}
SMALL_DETECTION = {
    "kind": "detection",
    **dict.fromkeys(("channels", "box_channels", "mask_channels"), 8),
    **dict.fromkeys(("num_proposals", "regions_per_image"), 10),
    "mask_layers": 1,
}
RUNS: dict[str, dict[str, object]] = {
    "control": {},
    "gaussian": GAUSSIAN,
    "permuted_gaussian": {"attention_bias": {"kind": "permuted_gaussian"}},
    "timm": {"model": {"kind": "timm", "name": "test_vit", "image_size_px": 32}},
    "from_weights": {
        "model": {"kind": "timm", "name": "test_vit", "image_size_px": 32},
        "attention_bias": {"kind": "from_weights"},
    },
    "absolute": {"model": CONTROL["model"] | {"position": "absolute", "position_embedding": "reinitialise"}},
    **{f"dataset_{name}": {"dataset": name} for name in EXAMPLES},
    **{f"masks_{name}": {"dataset": name, "task": LINEAR_SEGMENTATION} for name in MASK_EXAMPLES},
    **{f"objects_{name}": {"dataset": name, "task": SMALL_DETECTION} for name in OBJECT_EXAMPLES},
    "upernet": {
        "model": CONTROL["model"] | {"depth": 2},
        "dataset": "shapes",
        "task": {"kind": "segmentation", "head": {"kind": "upernet", "channels": 4, "auxiliary_channels": 4}},
        "augmentation": {"kind": "scale_crop"},
    },
    "several_sizes": {
        "model": {
            "kind": "timm",
            "name": "swin_tiny_patch4_window7_224",
            "image_size_px": 64,
            "arguments": {"embed_dim": 8, "depths": [1, 2], "num_heads": [1, 1], "window_size": 4},
        },
        "dataset": "shapes_objects",
        "task": SMALL_DETECTION | {"view": {"kind": "short_side", "short_side_px": 48}},
        "augmentation": {"kind": "multi_scale", "short_sides_px": [32, 48]},
    },
    **{f"augmentation_{kind}": {"augmentation": {"kind": kind}} for kind in AUGMENTATIONS},
    "mixup": {"mixing": {"kind": "mixup"}},
    "sgd": {"optimization": CONTROL["optimization"] | {"optimizer": {"kind": "sgd"}}},
    "timm_optimizer": {"optimization": CONTROL["optimization"] | {"optimizer": {"kind": "timm", "name": "lion"}}},
    "ema_bf16": {"optimization": CONTROL["optimization"] | {"ema": {"kind": "ema"}, "precision": "bf16"}},
    "receptive_field": {"analyses": [{"kind": "receptive_field", "num_images": 4, "every_epochs": 1}]},
    "learned_bias": {"analyses": [{"kind": "learned_bias"}]},
    "own_model": {
        "model": {
            "kind": "python",
            "target": "timm.models.vision_transformer:VisionTransformer",
            "arguments": {"img_size": 16, "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 2},
            "image_size_px": 16,
        }
    },
    "own_parts": {
        "task": {"kind": "classification", "loss": {"kind": "python", "target": "torch.nn:CrossEntropyLoss"}},
        "attention_bias": {"kind": "python", "target": "torch.nn:Module.requires_grad_"},
        "dataset": {
            "kind": "python",
            "target": "torchvision.datasets:FakeData",
            "arguments": {"size": 60, "image_size": [3, 16, 16], "num_classes": 3},
        },
        "augmentation": {
            "kind": "python",
            "target": "torchvision.transforms.v2:RandomResizedCrop",
            "arguments": {"size": [16, 16]},
        },
        "optimization": CONTROL["optimization"] | {"optimizer": {"kind": "python", "target": "torch.optim:SGD"}},
    },
    "nothing_trained": {"optimization": {"epochs": 0}},
}

PROGRAM = """
import json, os, sys, threading
from pathlib import Path
import trainers
from trainers.config import TrialConfig
from trainers.own_code.place import running
from trainers.runtime import Runtime
from trainers.training.trial import train
from trainers.version import used_code

package = Path(trainers.__file__).parent
root = Path(sys.argv[1])
ran = set()

def note(frame, event, argument):
    ran.add(frame.f_code.co_filename)

def modules(files):
    for file in files:
        path = Path(file)
        if path.is_relative_to(package):
            parts = path.relative_to(package.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

def run(name, document):
    config = TrialConfig.model_validate(document)
    runtime = Runtime(device="cpu", num_threads=1, data_root=root, storage=root / "trials" / name, image_cache_gib=0.01)
    # Not by itself: telling what is used reads source.
    used = used_code(config).parts
    before = set(sys.modules)
    ran.clear()
    threading.settrace(note)
    sys.settrace(note)
    try:
        with running(runtime.code):
            train(config, runtime)
    finally:
        sys.settrace(None)
        threading.settrace(None)
    imported = {each for each in set(sys.modules) - before if each.partition(".")[0] == "trainers"}
    return {"ran": sorted({*modules(ran)}), "imported": sorted(imported), "used": sorted(used)}

# Read once for all.
documents = json.loads(sys.stdin.read())
used_code(TrialConfig.model_validate(documents["control"]))
told = {}
for name, document in documents.items():
    # Each in a process of its own, which has imported nothing for the others.
    child = os.fork()
    if not child:
        (root / "told.json").write_text(json.dumps(run(name, document)))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, name
    told[name] = json.loads((root / "told.json").read_text())
print(json.dumps(told))
"""


def weights_with_a_gaussian(file: Path) -> dict[str, str]:
    model = TimmConfig(name="test_vit", image_size_px=32).build(10)
    GaussianBias().attach(model)
    torch.save(model.state_dict(), file)
    return {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Case -> which modules of ours a real trial ran (a function of theirs was called) and imported."""
    root = tmp_path_factory.mktemp("data")
    documents: dict[str, object] = {}
    for name, changes in RUNS.items():
        document = json.loads(json.dumps(CONTROL | changes))
        if isinstance(document["dataset"], str):
            make = (EXAMPLES | MASK_EXAMPLES | OBJECT_EXAMPLES)[document["dataset"]]
            document["dataset"] = make(root).model_dump(mode="json")
            document["optimization"]["global_batch_size"] = 4
        documents[name] = document
    documents["from_weights"]["model"]["weights"] = weights_with_a_gaussian(root / "weights.pt")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root)],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", RUNS)
def test_all_that_a_trial_runs_is_in_its_code(case: str, told: dict[str, dict[str, list[str]]]) -> None:
    used = set(told[case]["used"])
    ran, imported = (set(told[case][which]) - UNCOUNTED for which in ("ran", "imported"))
    assert ran - used == set()
    assert imported - used == set()
    # It has really been looked at.
    assert {"trainers.training.trial", "trainers.training.descent", "trainers.analyses.learned_bias"} <= ran


def test_every_kind_is_run(told: dict[str, dict[str, list[str]]]) -> None:
    kinds = {
        member.__module__
        for union in (DatasetConfig, AugmentationConfig, ModelConfig, AttentionBiasConfig, OptimizerConfig)
        for member in get_args(union)
    }
    kinds |= {analysis.__module__ for analysis in ANALYSES} | {task.__module__ for task in TASKS}
    # A command is run by another loop: `tests/trainers/command` asks for its code.
    kinds = {kind for kind in kinds if not kind.startswith("trainers.command.")}
    assert kinds <= {module for each in told.values() for module in each["used"]}


def test_a_library_counts_where_a_kind_computes_with_it() -> None:
    shapes = {"dataset": {"kind": "shapes"}, "task": LINEAR_SEGMENTATION}
    of_heads = {
        head: used_code(
            TrialConfig.model_validate(CONTROL | shapes | {"task": {"kind": "segmentation", "head": {"kind": head}}})
        )
        for head in ("linear", "upernet")
    }
    assert "segmentation-models-pytorch" in of_heads["upernet"].parts
    assert "segmentation-models-pytorch" not in of_heads["linear"].parts
    plain = used_code(TrialConfig.model_validate(CONTROL)).parts
    assert not {"segmentation-models-pytorch", "faster-coco-eval"} & plain.keys()
    assert "scipy" in plain
