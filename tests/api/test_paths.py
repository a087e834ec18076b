"""Every field of a spec that holds a path, with values that nobody should be allowed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec
from tests.api.conftest import JsonObject

PATHS = {
    (f"{config}{patch}", "path")
    for config in ("CocoFormatConfig", "FolderConfig", "ManifestConfig", "MaskFolderConfig", "WeightsFile")
    for patch in ("", "Patch")
}
"""Of entries, and of patches of arms and cells."""
BELOW = {
    (f"MaskFolderConfig{patch}", f"{split}_folder") for split in ("train", "val", "test") for patch in ("", "Patch")
}
"""Names of folders below a path."""
PARTS = {(f"CocoPart{patch}", field) for field in ("annotations_file", "images_folder") for patch in ("", "Patch")}
"""Names of files and folders below a path, in a part of a data set."""
OF_COMMANDS = {
    (f"{config}{patch}", field)
    for config, field in (("CommandModel", "files"), ("CsvResults", "file"), ("JsonResults", "file"))
    for patch in ("", "Patch")
}
"""Below the folder of code, and below that in which a script runs: tests/orchestrator/planning/test_commands.py and
tests/trainers/command/test_results.py."""
FIELDS = PATHS | BELOW | PARTS | {("CodeFolder", "path")}  # of own code: tests/orchestrator/test_kept_code.py
HOSTILE = [
    *("/proc/self", "/proc/self/root", "/proc/self/fd/0", "/proc/kcore", "/sys", "/dev/zero", "/dev/stdin", "/dev/fd"),
    *(
        "/",
        "/etc",
        "/etc/passwd",
        "/etc/shadow",
        "/nowhere/at/all",
        "~nobody",
        "~root/../etc",
        "../" * 40 + "etc/passwd",
    ),
    *("loop", "pipe", "out", "dead", "x" * 300, "x/" * 2000, "a\0b", "file/below", "\ud800", "-", "~", "file"),
]


def path_fields(schema: object, title: str = "") -> Iterator[tuple[str, str]]:
    """(config, field) of every text whose name speaks of a place."""
    if isinstance(schema, list):
        for part in schema:
            yield from path_fields(part, title)
    if not isinstance(schema, dict):
        return
    title = str(schema.get("title", title)) if schema.get("type") == "object" else title
    for name, field in schema.get("properties", {}).items():
        is_text = '"string"' in str(field).replace("'", '"')
        if is_text and any(word in name for word in ("path", "file", "folder", "dir", "root", "url", "uri")):
            yield title, name
    for name, part in schema.items():
        if name != "properties":
            yield from path_fields(part, title)
    yield from path_fields(list(schema.get("properties", {}).values()), title)


def test_these_are_all_fields_that_hold_a_path() -> None:
    """Another one must be fenced (`trainers.fence.reach`), and be tried below."""
    assert set(path_fields(ExperimentSpec.model_json_schema())) == FIELDS | OF_COMMANDS


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    root = tmp_path / "data"
    root.mkdir()
    (root / "loop").symlink_to("loop")
    (root / "out").symlink_to("/etc")
    (root / "dead").symlink_to("/nowhere/else")
    (root / "file").write_text("")
    os.mkfifo(root / "pipe")
    return settings.model_copy(update={"data_root": root, "data_roots": (root,)})


def spec_with(field: tuple[str, str], path: str, spec: JsonObject) -> JsonObject:
    config, where = field
    if config.startswith("WeightsFile"):
        weights = {"path": path, "sha256": "0" * 64}
        name, value = "model", {"kind": "timm", "name": "vit_tiny_patch16_224", "weights": weights}
    elif config.startswith("MaskFolderConfig"):
        name, value = "dataset", {"kind": "mask_folder", "path": ".", "class_names": ["a", "b"], where: path}
        shapes = {"kind": "shapes", "num_train": 8, "num_val": 4, "num_test": 4}
        spec = spec | {"task": {"kind": "segmentation"}, "datasets": [shapes], "primary_metric": "test/miou"}
    elif config.startswith("Coco"):
        at = {"path": path} if config.startswith("CocoFormat") else {"path": ".", "test": {where: path}}
        name, value = "dataset", {"kind": "coco_format", **at}
        shapes = {"kind": "shapes_objects", "num_train": 8, "num_val": 4, "num_test": 4}
        spec = spec | {"task": {"kind": "detection"}, "datasets": [shapes], "primary_metric": "test/ap_box"}
    else:
        name, value = "dataset", {"kind": "folder" if config.startswith("FolderConfig") else "manifest", "path": path}
    if config.endswith("Patch"):
        control, treatment = spec["arms"]
        return spec | {"arms": [control, treatment | {"patch": {name: value}}]}
    return spec | {f"{name}s": [value]}


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_hostile_paths_are_refused_quickly_in_words(
    http: TestClient, spec: JsonObject, field: tuple[str, str], tmp_path: Path
) -> None:
    for path in HOSTILE:
        for where in ("/experiments/plan", "/experiments"):
            started = time.monotonic()
            if path == "\ud800":
                answer = http.post(where, content=b'{"datasets": [{"kind": "folder", "path": "\\ud800"}]}',
                                   headers={"Content-Type": "application/json"})  # fmt: skip
            else:
                answer = http.post(where, json=spec_with(field, path, spec))
            assert answer.status_code in (400, 422), (path, answer.text)
            # A pipe that is opened waits for ever; a busy machine may take its time to import what reads manifests.
            assert time.monotonic() - started < 60, path
            # Nothing of what lies elsewhere: where a link leads, or a file's content.
            told = answer.text.replace(str(tmp_path), "")
            assert "/nowhere/else" not in told
            assert "root:" not in told
    assert http.get("/experiments").json()["items"] == []


def test_there_or_not_outside_is_told_alike(http: TestClient, spec: JsonObject, tmp_path: Path) -> None:
    (tmp_path / "qqqq").mkdir()
    for field in PATHS:
        words = {
            http.post("/experiments/plan", json=spec_with(field, str(tmp_path / name), spec)).text.replace(name, "?")
            for name in ("qqqq", "absent")
        }
        assert len(words) == 1
        assert "leads out of the folders that this service may read for others" in words.pop()
