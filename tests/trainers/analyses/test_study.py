"""From the command line to maps: which weights are looked at, and what was done to them."""

import json

import numpy as np
import pytest
import torch

from orchestrator.report.field_study import draw_study, read_study
from trainers.analyses.__main__ import main
from trainers.analyses.subject import SubjectConfig, build_subject
from trainers.config import TrialConfig
from trainers.loop import train
from trainers.models import GaussianBias, NoBias
from trainers.models.bias import attached_biases
from trainers.runtime import Runtime

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
    return main([*arguments, "--images", "4", "--device", "cpu"])


def test_a_study_of_a_trained_trial(tmp_path, capsys):
    config = TrialConfig.model_validate(TRIAL)
    train(config, Runtime(device="cpu", num_threads=1, storage=tmp_path / "storage"))
    (tmp_path / "trial.json").write_text(json.dumps(TRIAL))
    field = tmp_path / "field"
    code = look(
        str(tmp_path / "trial.json"),
        *("--checkpoint", str(tmp_path / "storage" / "checkpoint.pt"), "--output", str(field)),
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
    model = subject(bias=TRIAL["attention_bias"], checkpoint=tmp_path / "checkpoint.pt")
    best = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["state"]["best_weights"]
    assert all(torch.equal(value, best[name]) for name, value in model.state_dict().items())


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


def test_what_cannot_be_done_is_said(tmp_path, capsys):
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no checkpoint")
    other = tmp_path / "other.pt"
    torch.save(subject(bias={"kind": "gaussian"}).state_dict(), other)
    cases = [
        (("small_vit", "--intervention", "no-gaussian"), 1, "the model has no Gaussian that could be left out"),
        (("small_vit", "--checkpoint", str(broken)), 1, "can't be read as a checkpoint"),
        (("small_vit", "--checkpoint", str(other)), 1, "holds another model's weights"),
        (("small_vit", "--layer", "9"), 1, "has no layer 9"),
        (("small_vit", "--target", "9,0"), 1, "the grid has rows 0 to 7"),
        (("small_vit", "--intervention", "zero-position", "--layers", "7"), 1, "no position embedding belongs to"),
        (("vit_relpos_smal_patch16_224",), 2, "vit_relpos_small_patch16_224"),
        ((str(tmp_path / "absent.json"),), 2, "can't be read as JSON"),
        (("small_vit", "--data", str(tmp_path / "absent")), 1, "no folder"),
    ]
    for arguments, code, message in cases:
        assert look(*arguments) == code, arguments
        assert message in capsys.readouterr().err, arguments
    with pytest.raises(SystemExit, match="2"):
        look("small_vit", "--target", "middle")
    assert "write `center`, `ROW,COLUMN` or `lattice:N`" in capsys.readouterr().err


def test_a_checkpoint_with_a_gaussian_needs_the_bias(tmp_path):
    torch.save(subject(bias={"kind": "gaussian"}).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(Exception, match="names its attention bias"):
        subject(bias=NoBias().model_dump(), checkpoint=tmp_path / "weights.pt")
