"""A trial that is looked at: the same training, and the receptive field of the right weights."""

import numpy as np
import pytest

from tests.trainers.analyses.test_receptive_field import NearlyCentred
from trainers.analyses.images import spread_positions
from trainers.analyses.map_metrics import measure
from trainers.analyses.receptive_field import receptive_fields
from trainers.analyses.receptive_field_in_trial import ReceptiveFieldAnalysis
from trainers.analyses.receptive_field_observer import ReceptiveFieldObserver
from trainers.analyses.subject import SubjectConfig, build_subject
from trainers.config import TrialConfig
from trainers.data.normalization import Normalization
from trainers.models.bias import NoBias
from trainers.result import EpochReport
from trainers.runtime import Runtime
from trainers.training.trial import train

TRIAL = {
    "model": {"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 16, "patch_size_px": 4},
    "attention_bias": {"kind": "gaussian", "sigma": 1.5, "lr_multiplier": 20},
    "dataset": {"kind": "digits", "num_train": 100, "num_val": 60},
    "optimization": {"epochs": 4, "global_batch_size": 50},
}
FOUR_IMAGES = {"kind": "receptive_field", "num_images": 4}
FRESH_TIMM = {"kind": "timm", "name": "vit_relpos_small_patch16_224", "image_size_px": 48}
LOOKED_AT = {**TRIAL, "analyses": [{"kind": "receptive_field", "num_images": 40, "every_epochs": 2}]}


def run(document, storage=None, on_epoch=None):
    config = TrialConfig.model_validate(document)
    return train(config, Runtime(device="cpu", num_threads=1, storage=storage, checkpoint_minutes=0), on_epoch=on_epoch)


def training_of(metrics):
    return {name: value for name, value in metrics.items() if "second" not in name and "wait" not in name}


def test_looking_changes_no_number_of_the_training(tmp_path):
    plain, seen = run(TRIAL), run(LOOKED_AT, tmp_path)
    without = {name: value for name, value in training_of(seen.metrics).items() if "receptive_field" not in name}
    assert without == training_of(plain.metrics)
    fields = [{name for name in report.metrics if "receptive_field" in name} for report in seen.epochs]
    assert [bool(names) for names in fields] == [False, True, False, True]
    # The curve's end is not what the scored weights see.
    assert {name.partition("/")[0] for name in fields[1]} == {"receptive_field_epoch"}
    assert not any(name.startswith("receptive_field_epoch") for name in seen.metrics)
    assert {name.partition("/")[2] for name in fields[1]} == {
        name.partition("/")[2] for name in seen.metrics if name.startswith("receptive_field_initial/")
    }


def test_it_is_the_field_of_the_initial_and_of_the_scored_weights(tmp_path):
    seen = run(LOOKED_AT, tmp_path)
    config = TrialConfig.model_validate(TRIAL)
    splits = config.dataset.load(None, input_size_px=16, augmentation=config.augmentation, seed=0)
    normalize = Normalization(config.model.input_mean, config.model.input_std)
    images = normalize(splits.val.__getitems__(spread_positions(40, len(splits.val))).images)
    subject = SubjectConfig(model=config.model, attention_bias=config.attention_bias)
    with np.load(tmp_path / "receptive_field.npz") as maps:
        for checkpoint, prefix, name in (
            (None, "receptive_field_initial", "initial"),
            (tmp_path / "best_weights.pt", "receptive_field", "final"),
        ):
            model = build_subject(
                subject, checkpoint=checkpoint, intervention="none", gaussian=NoBias(), layers=None, num_classes=10
            )
            (field,) = receptive_fields(model, [images])
            assert maps[f"{name}/1_1"] == pytest.approx(field.map, abs=1e-6)
            assert maps[f"gradient_sum/{name}/1_1"] == pytest.approx(field.gradient_sum, rel=1e-3)
            for key, value in measure(field).scalars().items():
                assert seen.metrics[f"{prefix}/{key}"] == pytest.approx(value, rel=1e-3), key


def test_an_interrupted_trial_has_the_same_fields(tmp_path):
    def interrupt(report: EpochReport) -> None:
        if report.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(LOOKED_AT, tmp_path / "interrupted", interrupt)
    again, whole = run(LOOKED_AT, tmp_path / "interrupted"), run(LOOKED_AT, tmp_path / "whole")
    assert training_of(again.metrics) == training_of(whole.metrics)
    for name in ("initial/1_1", "final/1_1"):
        maps = [np.load(tmp_path / folder / "receptive_field.npz")[name] for folder in ("interrupted", "whole")]
        assert np.array_equal(*maps)


def test_images_may_be_drawn_by_the_seed():
    """Arms of one seed see the same images; another seed sees others, and the field says so."""

    def field(seed, **analysis):
        weights = {"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 16}
        idle = {**TRIAL, "model": weights, "optimization": {"epochs": 0}}
        document = {**idle, "seed": seed, "analyses": [{"kind": "receptive_field", "num_images": 5, **analysis}]}
        return run(document).metrics["receptive_field/rms_radius_tokens"]

    config = TrialConfig.model_validate(TRIAL)
    split = config.dataset.load(None, input_size_px=16, augmentation=config.augmentation, seed=0).val

    def positions(seed, num_images=5):
        analysis = ReceptiveFieldAnalysis(num_images=num_images, images="by_seed")
        return ReceptiveFieldObserver(analysis, split, lambda images: images, seed=seed)._positions()

    assert positions(0) == positions(0) != positions(1)
    assert len(set(positions(0))) == 5
    assert positions(3, num_images=100) == list(range(60))
    assert field(0, images="by_seed") == field(0, images="by_seed") != field(0)


def test_a_field_that_cannot_be_measured_fails_no_trial(caplog):
    impossible = {"kind": "receptive_field", "target": {"kind": "token", "row": 9, "column": 0}}
    seen = run({**TRIAL, "analyses": [impossible]})
    assert not [name for name in seen.metrics if "receptive_field" in name]
    assert "receptive_field is left out: there is no token at row 9" in caplog.text
    assert [remark.moment for remark in seen.receptive_field_remarks] == ["initial", "final"]
    assert all(remark.text.startswith("not measured: there is no token") for remark in seen.receptive_field_remarks)


def test_a_trial_says_what_misleads():
    """The blocks of a fresh timm model are nearly the identity: there is a field, and it is not what one expects."""
    seen = run({**TRIAL, "model": {**FRESH_TIMM, "layer_scale": 1e-5}, "analyses": [FOUR_IMAGES]})
    assert "receptive_field_initial/sigma_tokens" in seen.metrics
    remark = seen.receptive_field_remarks[0]
    assert (remark.moment, remark.text[:33]) == ("initial", "every LayerScale is below 1e-4, a")
    assert run(LOOKED_AT).receptive_field_remarks == ()


def test_a_field_that_cannot_exist_is_a_remark_and_no_number():
    """An untrained final norm has equal weights: after it the channel mean is constant. Training ends that."""
    seen = run({**TRIAL, "analyses": [{**FOUR_IMAGES, "point": {"norm": "after"}}]})
    (remark,) = seen.receptive_field_remarks
    assert remark.moment == "initial"
    assert remark.text.startswith(
        "not measured: there is no receptive field, its gradient is zero but for rounding: the final LayerNorm has"
    )
    assert not [name for name in seen.metrics if name.startswith("receptive_field_initial/")]
    assert "receptive_field/sigma_tokens" in seen.metrics


@pytest.mark.parametrize("left", [0.0, 2e-7])
def test_neither_an_exact_zero_nor_noise_ends_a_trial(left, tmp_path):
    config = TrialConfig.model_validate(TRIAL)
    split = config.dataset.load(None, input_size_px=16, augmentation=config.augmentation, seed=0).val
    observer = ReceptiveFieldObserver(ReceptiveFieldAnalysis(every_epochs=1), split, lambda images: images, seed=0)
    model = NearlyCentred(left)
    observer.before(model)
    assert observer.during(model, 0) == observer.after(model) == {}
    assert [remark.moment for remark in observer.remarks] == ["initial", "final"]
    # The same words on every machine and for every seed, so that a report can say them once.
    assert len({remark.text for remark in observer.remarks}) == 1
    assert "layer 0, as after a norm with equal weights in an untrained model; look at" in observer.remarks[0].text
    observer.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
