"""Images in the report: which are chosen, and what their picture shows."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from orchestrator.report import Report
from orchestrator.report.content.shown_images import KeptImages, KeptPair
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.sections.order import pictures_of
from orchestrator.report.sections.shown_images.choice import Choice, choose, shown_images_of
from orchestrator.report.sections.shown_images.figure import MAX_COLORS, class_colors, shown_images_figure
from tests.orchestrator.synthetic import CELL, make_records, make_spec, report_on
from trainers.tasks.evidence import ImageScores
from trainers.tasks.segmentation.task import SegmentationConfig
from trainers.tasks.shown_images import NO_REGION, ShownImage, ShownSplit, Told

SPEC = make_spec().model_copy(update={"task": SegmentationConfig()})


def differ(place: int) -> Choice:
    return Choice(place, "arms differ")


def typical(place: int) -> Choice:
    return Choice(place, "typical")


def test_images_are_chosen_by_how_far_the_arms_are_apart_whoever_is_better() -> None:
    control = dict.fromkeys(range(10), 0.5) | {8: 0.1}
    gaussian = control | {1: 0.9, 2: 0.2, 3: 0.55, 4: 0.4, 5: 0.51}
    # 9 was scored in one arm alone.
    del gaussian[9]
    chosen = choose({"control": control, "gaussian": gaussian}, "control")
    assert chosen == [differ(1), differ(2), differ(4), differ(3), typical(0), typical(6)]
    # The other way round it is the same choice.
    assert choose({"control": gaussian, "gaussian": control}, "control") == chosen


def test_any_treatment_counts_and_equal_arms_have_typical_images_alone() -> None:
    control = {place: place / 8 for place in range(5)}
    assert choose({"control": control, "gaussian": control}, "control") == [typical(2), typical(1)]
    placebo = control | {0: 0.25}
    assert choose({"control": control, "gaussian": control, "placebo": placebo}, "control")[0] == differ(0)
    assert choose({"control": {}, "gaussian": {}}, "control") == []


def told(regions: np.ndarray, num_classes: int, box: float = math.nan) -> Told:
    boxes = np.full((num_classes, 4), np.nan, dtype=np.float32)
    boxes[0] = [box, box, box + 4, box + 4]
    return Told(regions.astype(np.uint8), np.arange(num_classes), boxes, np.full(num_classes, 0.5, dtype=np.float32))


def kept(scores: list[float], num_classes: int = 3) -> KeptImages:
    rng = np.random.default_rng(0)
    images = [
        ShownImage(
            place,
            rng.integers(0, 255, (8, 12, 3), dtype=np.uint8),
            told(rng.integers(0, num_classes, (8, 12)), num_classes),
            told(rng.integers(0, num_classes, (8, 12)), num_classes, box=1),
        )
        for place in range(len(scores))
    ]
    names = tuple(f"_class_{number}" for number in range(num_classes))
    # More images are scored than kept.
    indices = np.arange(len(scores) + 2)
    return KeptImages(ShownSplit(names, tuple(images)), ImageScores(indices, np.array([*scores, 0.0, 0.0])))


def report_with(num_classes: int = 3) -> Report:
    pair = KeptPair(3, {"gaussian": kept([0.5, 0.9, math.nan], num_classes), "control": kept([0.5] * 3, num_classes)})
    report = report_on(make_spec(), make_records(make_spec()))
    return report.model_copy(update={"shown_images": shown_images_of(SPEC, [CELL], {CELL.key: pair}), "spec": SPEC})


def test_the_control_comes_first_and_an_image_without_a_score_is_not_chosen() -> None:
    (shown,) = report_with().shown_images
    assert (shown.seed, shown.num_kept, shown.metric) == (3, 2, "image_miou")
    assert [(picture.place, picture.reason) for picture in shown.pictures] == [(1, "arms differ"), (0, "typical")]
    first = shown.pictures[0]
    assert [(each.arm, each.score) for each in first.told] == [("", None), ("control", 50.0), ("gaussian", 90.0)]
    assert first.image.shape == (8, 12, 3)
    assert "regions" not in first.model_dump(mode="json")["told"][0]


def test_every_class_that_is_seen_is_in_the_legend_with_one_colour() -> None:
    (shown,) = report_with().shown_images
    figure = shown_images_figure(shown)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["_class_0", "_class_1", "_class_2"]
    colors = class_colors(shown)
    assert [patch.get_facecolor()[:3] for patch in legend.get_patches()] == [to_rgb(color) for color in colors.values()]
    # Two rows of image, truth and two arms.
    assert len(figure.axes) == 8
    words = {text.get_text() for text in figure.texts}
    assert {"truth", "control", "gaussian", "50.0 %", "90.0 %"} <= words
    assert sum(len(axes.patches) for axes in figure.axes) == 4


def test_many_classes_share_a_grey_and_the_legend_counts_them() -> None:
    (shown,) = report_with(num_classes=20).shown_images
    colors = list(class_colors(shown).values())
    assert len(colors) == 20
    assert len(set(colors)) == MAX_COLORS + 1
    (legend,) = shown_images_figure(shown).legends
    assert legend.get_texts()[-1].get_text() == "12 other classes"


def test_nothing_told_of_a_pixel_is_no_colour() -> None:
    pair = KeptPair(0, {"control": kept([0.5]), "gaussian": kept([0.6])})
    for images in pair.by_arm.values():
        images.shown.images[0].true.regions[:] = NO_REGION
    (shown,) = shown_images_of(SPEC, [CELL], {CELL.key: pair})
    truth = shown_images_figure(shown).axes[1].images[0].get_array()
    assert (truth[..., 0] == truth[..., 1]).all()


def test_the_report_names_the_picture_and_tells_the_rule() -> None:
    report = report_with()
    assert "images" in pictures_of(report)
    text = to_markdown(report)
    assert "## Images" in text
    assert "a rule that does not know which arm is better" in text
    assert "[images.png](images.png): " in text
    assert "chosen among 2 kept images by mean IoU per image" in text


def test_without_images_there_is_no_chapter(report: Report) -> None:
    assert not any(name.startswith("images") for name in pictures_of(report))


@pytest.mark.parametrize("label", ["paper's bias"])
def test_labels_stand_in_place_of_names(label: str) -> None:
    report = report_with()
    arms = tuple(arm.model_copy(update={"label": label}) if arm.name == "gaussian" else arm for arm in report.arms)
    shown = report.model_copy(update={"arms": arms}).for_people().shown_images[0]
    assert shown.pictures[0].told[2].arm == label
