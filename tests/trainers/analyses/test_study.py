"""From the command line to maps: which weights are looked at, and what was done to them."""

import argparse
import itertools
import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import load_state_dict as timm_load_state_dict

from orchestrator.report.sections.position_bias.study import draw_bias_study, layer_rows
from orchestrator.report.sections.receptive_fields.study import draw_study
from trainers.analyses import bias_study
from trainers.analyses.__main__ import main
from trainers.analyses.images import spread_positions
from trainers.analyses.receptive_field import receptive_fields
from trainers.analyses.study import read_bias_study, read_study
from trainers.analyses.subject import SubjectConfig, build_subject
from trainers.config import TrialConfig
from trainers.errors import AnalysisError
from trainers.initial_model import initial_network
from trainers.models.bias import NoBias, attached_biases
from trainers.models.gaussian import GaussianBias
from trainers.runtime import Runtime
from trainers.training.trial import train

MODEL = {"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 16, "patch_size_px": 4}
TRIAL = {
    "model": MODEL,
    "attention_bias": {"kind": "gaussian", "sigma": 1.5, "lr_multiplier": 20},
    "dataset": {"kind": "digits", "num_train": 100},
    "optimization": {"epochs": 1, "global_batch_size": 50},
}


def subject(intervention="none", *, bias=None, layers=None, checkpoint=None, seed=0):
    document = {"model": MODEL, "attention_bias": bias or {"kind": "none"}, "seed": seed}
    return build_subject(
        SubjectConfig.model_validate(document),
        checkpoint=checkpoint,
        intervention=intervention,
        gaussian=GaussianBias(sigma=2),
        layers=layers,
        num_classes=10,
    )


def look(*arguments):
    return main(["--images", "4", "--device", "cpu", *arguments])


def test_a_study_of_a_trained_trial(tmp_path, capsys):
    config = TrialConfig.model_validate(TRIAL)
    train(config, Runtime(device="cpu", num_threads=1, storage=tmp_path / "storage"))
    (tmp_path / "trial.json").write_text(json.dumps(TRIAL))
    field = tmp_path / "field"
    code = look(
        str(tmp_path / "trial.json"),
        *("--checkpoint", str(tmp_path / "storage" / "best_weights.pt"), "--output", str(field)),
        *("--intervention", "none", "--intervention", "no-gaussian", "--target", "lattice:2"),
    )
    assert code == 0
    study = read_study(field)
    assert json.loads(capsys.readouterr().out) == json.loads(study.model_dump_json())
    assert [(each.intervention, each.place) for each in study.fields] == [
        (name, place) for name in ("none", "no-gaussian") for place in ((0, 0), (0, 2), (2, 0), (2, 2))
    ]
    with np.load(field / "receptive_field.npz") as maps:
        assert {maps[each.key].shape for each in study.fields} == {(16, 16)}
        with_gaussian, without = maps["none/0_0"], maps["no-gaussian/0_0"]
    assert np.abs(with_gaussian - without).sum() > 0.01
    assert all(file.stat().st_size > 1000 for file in draw_study(field, study))


def test_the_best_weights_of_a_checkpoint_are_loaded(tmp_path):
    train(TrialConfig.model_validate(TRIAL), Runtime(device="cpu", num_threads=1, storage=tmp_path))
    model = subject(bias=TRIAL["attention_bias"], checkpoint=tmp_path / "best_weights.pt")
    best = torch.load(tmp_path / "best_weights.pt", weights_only=True)["state"]["best_weights"]
    assert all(torch.equal(value, best[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("task", "dataset"),
    [({"kind": "segmentation", "head": {"kind": "linear"}}, "shapes"), ({"kind": "detection"}, "shapes_objects")],
    ids=["segmentation", "detection"],
)
def test_the_backbone_of_a_dense_network_is_looked_at(tmp_path, capsys, task, dataset):
    document = TRIAL | {"task": task, "dataset": {"kind": dataset, "image_size_px": 32, "num_val": 4}}
    config = TrialConfig.model_validate(document)
    network = initial_network(config, ("a", "b"), None)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    loaded = subject(bias=TRIAL["attention_bias"], checkpoint=tmp_path / "weights.pt", seed=1)
    theirs = config.task.backbone(network)
    assert loaded.state_dict().keys() == theirs.state_dict().keys()
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    (ours,), (expected,) = (receptive_fields(model, [images]) for model in (loaded, theirs))
    assert np.array_equal(ours.map, expected.map)
    (tmp_path / "trial.json").write_text(json.dumps(document))
    arguments = (str(tmp_path / "trial.json"), "--checkpoint", str(tmp_path / "weights.pt"))
    assert look(*arguments, "--output", str(tmp_path / "field")) == 0
    assert json.loads(capsys.readouterr().out)["fields"][0]["num_images"] == 4


def test_a_file_of_timms_training_script_is_read_as_timm_does(tmp_path):
    """Averaged weights first; beside them lie the script's arguments."""
    raw, averaged = subject(bias={"kind": "none"}).state_dict(), subject("reinitialise-position").state_dict()
    args = argparse.Namespace(lr=0.1)
    torch.save({"args": args, "state_dict": raw, "state_dict_ema": averaged}, tmp_path / "last.pth.tar")
    loaded = subject(checkpoint=tmp_path / "last.pth.tar").state_dict()
    theirs = timm_load_state_dict(str(tmp_path / "last.pth.tar"), weights_only=False)
    assert any(not torch.equal(raw[name], value) for name, value in theirs.items())
    assert all(torch.equal(theirs[name], value) for name, value in loaded.items())


def test_a_checkpoint_of_a_compiled_model_loads(tmp_path):
    plain = subject("reinitialise-position").state_dict()
    torch.save({f"module._orig_mod.{name}": value for name, value in plain.items()}, tmp_path / "compiled.pt")
    loaded = subject(checkpoint=tmp_path / "compiled.pt").state_dict()
    assert all(torch.equal(plain[name], value) for name, value in loaded.items())


def test_interventions_change_what_they_name_and_nothing_else():
    plain = subject().state_dict()
    tables = [name for name in plain if "relative_position_bias_table" in name]
    zeroed, drawn = subject("zero-position").state_dict(), subject("reinitialise-position").state_dict()
    assert len(tables) == 2
    for name, value in plain.items():
        assert torch.equal(value, zeroed[name]) == torch.equal(value, drawn[name]) == (name not in tables), name
    assert not any(zeroed[name].any() for name in tables)
    assert all(drawn[name].std() == pytest.approx(plain[name].std(), rel=0.5) for name in tables)
    only_first = subject("zero-position", layers=[0]).state_dict()
    assert [bool(only_first[name].any()) for name in tables] == [False, True]


@pytest.mark.parametrize("parameterization", ["square", "log", "softplus"])
def test_a_gaussian_is_added_or_left_out_layer_by_layer(parameterization):
    heights = [float(bias().detach().max()) for bias in attached_biases(subject("gaussian", layers=[1]))]
    assert heights == [0, 1]
    bias = {"kind": "gaussian", "parameterization": parameterization}
    heights = [float(bias().detach().max()) for bias in attached_biases(subject("no-gaussian", bias=bias, layers=[1]))]
    assert heights == pytest.approx([1, 0])
    assert attached_biases(subject("none")) == []


SWIN = {"kind": "timm", "name": "swin_tiny_patch4_window7_224", "image_size_px": 56}


def test_layers_are_the_same_ones_for_gaussians_and_for_tables():
    """A stage of Swin has several blocks: numbering them would name other layers than those whose tables are zeroed."""

    def swin(intervention):
        config = SubjectConfig.model_validate({"model": SWIN})
        return build_subject(
            config, checkpoint=None, intervention=intervention, gaussian=GaussianBias(), layers=[2], num_classes=3
        )

    standing = [float(bias().detach().max()) > 0 for bias in attached_biases(swin("gaussian"))]
    tables = [bool(table.any()) for name, table in swin("zero-position").named_parameters() if "bias_table" in name]
    stage_2 = [False] * 4 + [True] * 6 + [False] * 2
    assert standing == stage_2
    assert tables == [not zeroed for zeroed in stage_2]


@pytest.mark.parametrize("intervention", ["gaussian", "no-gaussian", "zero-position", "reinitialise-position"])
def test_a_layer_that_is_not_there_is_refused(intervention):
    """Else the untouched model would carry the intervention's name."""
    bias = {"kind": "gaussian"} if intervention == "no-gaussian" else None
    with pytest.raises(AnalysisError, match=r"belongs to the layers \[7\]; the layers that have one: 0, 1$"):
        subject(intervention, bias=bias, layers=[0, 7])


def test_a_gaussian_of_the_whole_model_has_no_layer():
    model = {"kind": "timm", "name": "vit_srelpos_small_patch16_224", "image_size_px": 64}
    config = SubjectConfig.model_validate({"model": model, "attention_bias": {"kind": "gaussian"}})
    with pytest.raises(AnalysisError, match="belongs to the whole model, not to single layers"):
        build_subject(config, checkpoint=None, intervention="no-gaussian", gaussian=NoBias(), layers=[3], num_classes=3)


def test_images_are_of_all_classes_where_the_split_is_in_their_order(tmp_path, monkeypatch, capsys):
    for part, value in itertools.product(("train", "val"), (40, 90, 140, 190)):
        folder = tmp_path / part / f"class{value}"
        folder.mkdir(parents=True)
        for number in range(5):
            Image.new("L", (16, 16), value + number).save(folder / f"{number}.png")
    seen = []
    monkeypatch.setattr(
        "trainers.analyses.__main__.receptive_fields",
        lambda _model, batches, _config: seen.extend(torch.cat(list(batches))[:, 0, 0, 0].tolist()) or [],
    )
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    capsys.readouterr()
    arguments = [str(tmp_path / "model.json"), "--data", str(tmp_path)]
    assert look(*arguments) == 0
    assert "note:" not in capsys.readouterr().err
    levels = [round(255 * (value * 0.5 + 0.5)) for value in seen]
    assert sorted(level // 50 for level in levels) == [0, 1, 2, 3]
    assert look(*arguments, "--images", "30") == 0
    assert "note: 20 images instead of 30: the validation part of " in capsys.readouterr().err


def test_positions_are_spread_over_a_split():
    assert spread_positions(4, 20) == [2, 7, 12, 17]
    assert spread_positions(64, 5) == [0, 1, 2, 3, 4]
    many = spread_positions(64, 50_000)
    assert len({position // 50 for position in many}) == 64
    assert (many[0], many[-1]) == (390, 49_609)


def test_images_are_normalised_as_the_trial_did(tmp_path, capsys):
    fields = {}
    for name in ("model", "imagenet"):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({**TRIAL, "normalization": name}))
        assert look(str(file)) == 0
        fields[name] = json.loads(capsys.readouterr().out)["fields"][0]["metrics"]
    assert fields["model"] != fields["imagenet"]


@pytest.fixture
def trial_on_a_folder(tmp_path):
    """A trial's file; its data set lies below a root that only the trial's trainings know."""
    for label, level in (("dark", 40), ("light", 200)):
        (tmp_path / "root" / "shades" / label).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (16, 16), (level, level, 8 * number)).save(
                tmp_path / "root" / "shades" / label / f"{number}.png"
            )
    file = tmp_path / "trial.json"
    file.write_text(json.dumps({**TRIAL, "dataset": {"kind": "folder", "path": "shades"}}))
    return file


@pytest.mark.parametrize(("data", "label"), [((), "shades"), (("--data", "digits"), "digits")])
def test_a_trial_is_looked_at_on_its_own_data(data, label, trial_on_a_folder, capsys):
    root = str(trial_on_a_folder.parent / "root")
    assert look(str(trial_on_a_folder), "--images", "2", "--data-root", root, *data) == 0
    assert json.loads(capsys.readouterr().out)["dataset"].startswith(label)


def test_progress_in_a_file_is_told_in_whole_lines(capsys):
    assert look("small_vit", "--images", "6", "--batch-size", "2", "--intervention", "none") == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines if "images" in line] == [f"none: images {n} of 6" for n in (2, 4, 6)]


def test_what_cannot_be_done_is_said(tmp_path, capsys):
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no checkpoint")
    other = tmp_path / "other.pt"
    torch.save(subject(bias={"kind": "gaussian"}).state_dict(), other)
    listed = tmp_path / "listed.json"
    listed.write_text("[1]")
    cases = [
        (("small_vit", "--pretrained"), 2, "--pretrained is for timm's names"),
        ((str(listed),), 2, "does not hold an object"),
        (("small_vit", "--layer", "-1"), 2, "layer: Input should be greater than or equal to 0"),
        (("small_vit", "--intervention", "gaussian", "--sigma", "0"), 2, "sigma: Input should be greater than"),
        (("small_vit", "--intervention", "no-gaussian"), 1, "the model has no Gaussian that could be left out"),
        (("small_vit", "--checkpoint", str(broken)), 1, "is not a file of weights that can be read"),
        (("small_vit", "--checkpoint", str(other)), 1, "holds another model's weights"),
        (("small_vit", "--layer", "9"), 1, "has no layer 9"),
        (("small_vit", "--target", "9,0"), 1, "the grid has rows 0 to 7"),
        (
            ("small_vit", "--intervention", "zero-position", "--layers", "7"),
            1,
            "no position embedding belongs to the layers [7]",
        ),
        (("vit_relpos_smal_patch16_224",), 2, "vit_relpos_small_patch16_224"),
        ((str(tmp_path / "absent.json"),), 2, "absent.json can't be read: No such file"),
        (("small_vit", "--data", str(tmp_path / "absent")), 1, "no folder"),
    ]
    for arguments, code, message in cases:
        assert look(*arguments) == code, arguments
        assert message in capsys.readouterr().err, arguments


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--target", "middle", "write `center`, `ROW,COLUMN` or `lattice:N`"),
        ("--layers", "first", "'first' names no layers"),
        ("--norm", "behind", "choose from 'before', 'after'"),
        ("--intervention", "gausian", "did you mean gaussian?"),
    ],
)
def test_wrong_usage_takes_one_line(option, value, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        look("small_vit", option, value)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize("command", [main, bias_study.main])
def test_an_intervention_is_looked_at_once(command, capsys):
    """Twice, it would have two rows under one name."""
    with pytest.raises(SystemExit, match="2"):
        command(["small_vit", *["--intervention", "none", "--intervention", "gaussian"] * 2])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: argument --intervention: none is given twice")


@pytest.mark.parametrize("command", [main, bias_study.main])
def test_a_folder_that_can_not_be_is_told_before_the_work(command, tmp_path, monkeypatch, capsys):
    for name in ("data.digits.DigitsConfig.load", "analyses.bias_study.build_model"):
        monkeypatch.setattr(f"trainers.{name}", lambda *_, **__: pytest.fail("the work was begun"))
    file = tmp_path / "file"
    file.write_text("a user's")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "away")
    # Nobody, root neither, writes into /proc.
    for folder, reason in (
        (file, f"{file} is not a folder"),
        (file / "a" / "b", f"{file} is not a folder"),
        (tmp_path / "nowhere" / "a", f"{tmp_path}/nowhere is not a folder"),
        ("/proc", "No such file or directory"),
    ):
        assert command(["small_vit", "--output", str(folder)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"error: nothing can be written to the folder --output {folder}: {reason}"
    assert file.read_text() == "a user's"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "9,9"], "no token at row 9, column 9: the grid has rows 0 to 7 and"),
        (["--layer", "3"], "has no layer 3: its layers are 0 to 2"),
    ],
)
def test_a_target_that_is_not_there_is_told_before_any_image_is_read(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("trainers.data.digits.DigitsConfig.load", lambda *_, **__: pytest.fail("images were read"))
    assert look("small_vit", *arguments, "--output", str(tmp_path / "new")) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_json_that_is_no_model_says_what_it_is(tmp_path, capsys):
    train(TrialConfig.model_validate(TRIAL), Runtime(device="cpu", num_threads=1, storage=tmp_path))
    assert look(str(tmp_path / "result.json")) == 2
    message = capsys.readouterr().err
    assert "result.json is not a model: it has " in message
    assert "expected a model's config, which has `kind`, or a trial's, which has `model`: trial.json" in message
    # What the message names is there, and does.
    arguments = [str(tmp_path / "trial.json"), "--checkpoint", str(tmp_path / "best_weights.pt")]
    assert bias_study.main(arguments) == 0


def test_published_weights_are_announced(monkeypatch, capsys):
    def build(*_):
        assert capsys.readouterr().err == "loading the published weights of vit_tiny_patch16_224_pretrained\n"
        raise AnalysisError("none here")

    monkeypatch.setattr(bias_study, "build_model", build)
    assert bias_study.main(["vit_tiny_patch16_224", "--pretrained"]) == 1


def test_a_checkpoint_with_a_gaussian_needs_the_bias(tmp_path):
    torch.save(subject(bias={"kind": "gaussian"}).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(Exception, match="names its attention bias"):
        subject(bias=NoBias().model_dump(), checkpoint=tmp_path / "weights.pt")


def test_a_study_of_a_position_bias(tmp_path, capsys):
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    arguments = [
        "--intervention",
        "none",
        "--intervention",
        "gaussian",
        "--sigma",
        "1.5",
        "--query",
        "0,3",
        "--per-head",
    ]
    assert bias_study.main([str(tmp_path / "model.json"), *arguments, "--output", str(tmp_path)]) == 0
    study = read_bias_study(tmp_path)
    assert json.loads(capsys.readouterr().out) == json.loads(study.model_dump_json())
    plain, treated = study.looks
    assert (plain.gaussians, treated.gaussians["sigma/01"]) == ({}, 1.5)
    assert [(fit.part, fit.layer, fit.head) for fit in treated.fits[:6]] == [
        (part, 0, head) for part in ("own", "sum") for head in (None, 0, 1)
    ]
    with np.load(tmp_path / "learned_bias.npz") as maps:
        both = maps["gaussian/query/sum/01/0_3"]
        parts = maps["none/query/own/01/0_3"] + maps["gaussian/query/gaussian/01/0_3"]
        np.testing.assert_allclose(both, parts, atol=1e-6)
        y, x = np.mgrid[:4, :4]
        bell = np.exp(-(y**2 + (x - 3) ** 2) / (2 * 1.5**2))
        np.testing.assert_allclose(maps["gaussian/query/gaussian/01/0_3"][0], bell, atol=1e-6)
        mine = {name.removeprefix("gaussian/"): maps[name] for name in maps.files if name.startswith("gaussian/")}
    # own, Gaussian and sum, each from 0,3 and from the middle; every tile is what the file holds.
    rows = layer_rows(mine, treated)
    assert [(row.label.partition("\n")[0], len(row.tiles)) for row in rows] == [
        (part, 2) for part in ("own embedding", "Gaussian", "sum of both") for _ in range(2)
    ]
    np.testing.assert_array_equal(rows[0].tiles[1].map, mine["query/own/01/0_3"].mean(axis=0, dtype=float))
    # A learned table explains nothing yet; the Gaussian's own sigma is known, and around the query.
    assert [tile.sigma for row in rows for tile in row.tiles][:8] == [None] * 4 + [(1.5, 1.5)] * 4
    assert {tile.remark for tile in rows[2].tiles} == {"σ 1.50"}
    assert rows[0].tiles[0].remark.endswith("\nno Gaussian")
    files = draw_bias_study(tmp_path, study)
    assert len(files) == 8
    assert all(file.stat().st_size > 2000 for file in files)
    # The next study has less: what shows the rest goes, what is a user's own stays.
    own = [tmp_path / name for name in ("learned_bias_gaussian.pdf", "learned_bias_mine.png", "learned_bias_.png")]
    for file in own:
        file.write_text("a user's")
    assert bias_study.main([str(tmp_path / "model.json"), "--output", str(tmp_path)]) == 0
    left = draw_bias_study(tmp_path, read_bias_study(tmp_path))
    assert set(left) == {file for file in files if "none" in file.name}
    written = {tmp_path / f"learned_bias.{kind}" for kind in ("json", "npz")}
    assert set(tmp_path.iterdir()) == {*left, *own, *written, tmp_path / "model.json"}


@pytest.mark.parametrize(("kind", "drawn"), [("gaussian", (0.2, 0.2)), ("permuted_gaussian", None)])
def test_a_placebo_is_drawn_around_no_token(kind, drawn, tmp_path):
    """So narrow, its map is that of the Gaussian: the token itself."""
    (tmp_path / "trial.json").write_text(json.dumps({"model": MODEL, "attention_bias": {"kind": kind, "sigma": 0.2}}))
    arguments = ["--intervention", "none", "--intervention", "no-gaussian", "--output", str(tmp_path)]
    assert bias_study.main([str(tmp_path / "trial.json"), *arguments]) == 0
    sigmas = {}
    with np.load(tmp_path / "learned_bias.npz") as maps:
        for look in read_bias_study(tmp_path).looks:
            start = f"{look.intervention}/"
            mine = {name.removeprefix(start): maps[name] for name in maps.files if name.startswith(start)}
            row = next(row for row in layer_rows(mine, look) if row.label == "Gaussian")
            sigmas[look.intervention] = [tile.sigma for tile in row.tiles]
    assert sigmas == {"none": [drawn and pytest.approx(drawn)] * 2, "no-gaussian": [None] * 2}


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "levit_128s"])
def test_models_that_take_no_bias_are_seen_all_the_same(name, tmp_path, capsys):
    assert look(name, "--output", str(tmp_path)) == 0
    (seen,) = read_study(tmp_path).fields
    torch.manual_seed(3)
    model = timm.create_model(name).eval()
    side = timm.models.get_pretrained_cfg(name).input_size[-1]
    features = model.forward_intermediates(torch.zeros(1, 3, side, side), intermediates_only=True)[-1]
    assert seen.grid == tuple(features.shape[-2:])
    assert seen.place == tuple((length - 1) // 2 for length in seen.grid)
    with np.load(tmp_path / "receptive_field.npz") as maps:
        assert maps[seen.key].shape == (side, side)
        # As it was summed, too: of another size than 1, in the file as in the JSON.
        assert maps[f"gradient_sum/{seen.key}"] == seen.gradient_sum != 1
    for intervention, words in (
        ("gaussian", "has no layer that can take an attention bias"),
        ("zero-position", "has no learned position embedding"),
    ):
        assert look(name, "--intervention", intervention) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet5O", "no model named 'resnet5O'; the nearest names are resnet50"),
        ("resnet50.a1_in22k", "the tags of resnet50 are a1_in1k, "),
        ("hiera_tiny_224", "Hiera gives no grid of features"),
        ("pvt_v2_b0", "the mean over channels is constant in every token of layer 3"),
    ],
)
def test_models_that_can_not_be_seen_say_why(name, words, capsys):
    assert look(name) in (1, 2)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["small_vit", "--query", "9,9"], "there is no token at row 9, column 9"),
        # Rotary position only.
        (
            ["vit_medium_patch16_rope_reg1_gap_256"],
            "has neither a learned position embedding of a kind",
        ),
    ],
)
def test_a_bias_that_can_not_be_shown_is_refused(arguments, words, capsys):
    assert bias_study.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
