"""Exported weights give the numbers that the trial has stored, through timm alone and with the bias."""

import resource

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from trainers.config import TrialConfig
from trainers.data.normalization import Normalization
from trainers.errors import CheckpointError
from trainers.export_note import read_note
from trainers.exported_weights import export_weights, load_exported
from trainers.runtime import Runtime
from trainers.tasks.evidence import EVIDENCE_FILE
from trainers.training.checkpoint import BEST_WEIGHTS, CHECKPOINT
from trainers.training.trial import train

TIMM = {"kind": "timm", "name": "vit_relpos_small_patch16_224", "image_size_px": 32}
GAUSSIAN = {"kind": "gaussian", "sigma": 2.0}


def trained(folder, config: TrialConfig):
    return train(config, Runtime(storage=folder, device="cpu"))


def top_logits(model: torch.nn.Module, config: TrialConfig, note) -> np.ndarray:
    """What a model says of the validation images, as the trial stores it."""
    splits = config.dataset.load(
        None, input_size_px=note.input_size_px, augmentation=config.augmentation, seed=config.seed
    )
    batch = splits.val.__getitems__(range(len(splits.val)))
    order = torch.argsort(batch.indices)
    with torch.inference_mode():
        logits = model.eval()(Normalization(note.input_mean, note.input_std)(batch.images[order]))
    return logits.topk(5, dim=1).values.numpy()


@pytest.mark.parametrize("bias", [{"kind": "none"}, GAUSSIAN])
def test_a_timm_model(trial, tmp_path, bias):
    dataset = {"kind": "digits", "num_train": 20, "num_val": 12, "num_test": 12}
    config = trial(
        model=TIMM, attention_bias=bias, dataset=dataset, optimization={"epochs": 1, "global_batch_size": 10}
    )
    result = trained(tmp_path, config)
    file = tmp_path / "weights.safetensors"
    note = export_weights(tmp_path, config, result, file)
    assert read_note(file) == note
    assert note.class_names == tuple("0123456789")
    with np.load(tmp_path / EVIDENCE_FILE) as arrays:
        stored = arrays["val_top_logits"]
    np.testing.assert_allclose(top_logits(load_exported(file), config, note), stored, atol=1e-5)

    if bias == GAUSSIAN:
        assert note.metrics["sigma/00"] == pytest.approx(result.metrics["sigma/00"])
        plain = timm.create_model(note.timm.name, **note.timm.arguments)
        missing, unexpected = plain.load_state_dict(safetensors.torch.load_file(file), strict=False)
        assert missing == []
        assert set(unexpected) == set(note.bias_tensors)
        assert len(unexpected) == 2 * 12
    else:
        assert note.bias_tensors == ()
        plain = timm.create_model(note.timm.name, checkpoint_path=str(file), **note.timm.arguments)
        np.testing.assert_allclose(top_logits(plain, config, note), stored, atol=1e-5)


def test_a_small_vit_with_averaged_weights(trial, tmp_path):
    config = trial(normalization="imagenet")
    file = tmp_path / "weights.safetensors"
    note = export_weights(tmp_path, config, trained(tmp_path, config), file)
    assert note.timm is None
    with np.load(tmp_path / EVIDENCE_FILE) as arrays:
        np.testing.assert_allclose(top_logits(load_exported(file), config, note), arrays["val_top_logits"], atol=1e-5)


def test_a_file_that_is_cut_or_can_not_be_written_says_so(trial, tmp_path):
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    result = trained(tmp_path / "trained", config)
    file = tmp_path / "weights.safetensors"
    export_weights(tmp_path / "trained", config, result, file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is not a file that .* has exported: "):
        load_exported(file)
    with pytest.raises(CheckpointError, match=r"gone/weights\.safetensors can't be written: .*No such file"):
        export_weights(tmp_path / "trained", config, result, tmp_path / "gone" / file.name)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk, but for the words: the file that was there stays.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, hard))
    try:
        with pytest.raises(CheckpointError, match=r"weights\.safetensors can't be written: "):
            export_weights(tmp_path / "trained", config, result, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == whole[:-1000]
    assert {each.name for each in tmp_path.iterdir()} == {"trained", file.name}


def test_what_has_no_weights_says_so(trial, tmp_path):
    config = trial(optimization={"epochs": 0, "global_batch_size": 10})
    with pytest.raises(CheckpointError, match="trained nothing"):
        export_weights(tmp_path, config, trained(tmp_path / "looked", config), tmp_path / "file")
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    result = trained(tmp_path / "trained", config)
    (tmp_path / "trained" / BEST_WEIGHTS).write_bytes(b"PK broken")
    with pytest.raises(CheckpointError, match=r"best_weights\.pt can't be read"):
        export_weights(tmp_path / "trained", config, result, tmp_path / "file")
    (tmp_path / "trained" / BEST_WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"best_weights\.pt is missing"):
        export_weights(tmp_path / "trained", config, result, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_trial_of_an_earlier_version_has_its_weights_in_its_last_checkpoint(trial, tmp_path):
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    result = trained(tmp_path, config)
    export_weights(tmp_path, config, result, tmp_path / "now")
    kept = torch.load(tmp_path / BEST_WEIGHTS, weights_only=True)
    kept["state"] |= {"model": {}, "optimizer": {}, "ema": None, "reports": []}
    torch.save(kept, tmp_path / CHECKPOINT)
    (tmp_path / BEST_WEIGHTS).unlink()
    export_weights(tmp_path, config, result, tmp_path / "then")
    now, then = (safetensors.torch.load_file(tmp_path / name) for name in ("now", "then"))
    assert now.keys() == then.keys()
    assert all(torch.equal(value, then[name]) for name, value in now.items())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and so on", b"\x02\0\0\0\0\0\0\0{}"])
def test_another_file_is_refused(tmp_path, content):
    file = tmp_path / "other.safetensors"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a file that this version of sigmalab has exported"):
        read_note(file)
