"""COCO 2017: 80 classes of objects, with boxes and masks; read where it lies, as `coco_format`."""

from pathlib import Path

from trainers.data.coco_format import CocoFormatConfig, CocoPart
from trainers.data.coco_layout import read_contents
from trainers.data.prepare.published_set import ListedImage, Listing, OfficialParts, PublishedSet, locate
from trainers.data.stored_image import StoredImage

PARTS = {
    part: CocoPart(annotations_file=f"annotations/instances_{part}2017.json", images_folder=f"{part}2017")
    for part in ("train", "val")
}
VAL_FRACTION = 0.0423
"""5,003 images, about as many as are tested on."""


def dataset(path: str) -> CocoFormatConfig:
    """Trained on `train2017`, of which a share is for validation; tested on `val2017`, as everybody reports."""
    # A few of its objects have no area.
    return CocoFormatConfig(
        path=path, train=PARTS["train"], test=PARTS["val"], val_fraction=VAL_FRACTION, without_area="leave_out"
    )


def list_images(published: PublishedSet, root: Path) -> Listing:
    """The images of both parts, in their files' order."""
    needed = [place for part in PARTS.values() for place in (part.annotations_file, part.images_folder)]
    folder = locate(published, root, (".", "coco", "coco2017", "COCO2017"), needed)
    train, test = ((PARTS[part].annotations_file, PARTS[part].images_folder) for part in ("train", "val"))
    contents = read_contents(folder, {"train": train, "test": test})
    listed = [
        ListedImage(StoredImage(f"{images_folder}/{name}"), 0, part)
        for part, (_, images_folder), each in zip(PARTS, (train, test), contents.parts.values(), strict=True)
        for name in each.annotations.file_names
    ]
    return Listing(folder, contents.parts["train"].annotations.class_names, listed)


COCO = PublishedSet(
    name="coco",
    title="COCO 2017",
    num_classes=80,
    num_images={"train": 118_287, "val": 5_000},
    official=OfficialParts(train="train", test="val", val_fraction=VAL_FRACTION),
    paper_counts=None,
    source="https://cocodataset.org (train2017.zip, val2017.zip, annotations_trainval2017.zip)",
    layout="""
<folder>/train2017/000000000009.jpg ...
<folder>/val2017/000000000139.jpg ...
<folder>/annotations/instances_train2017.json
<folder>/annotations/instances_val2017.json
""",
    list_images=list_images,
    dataset=dataset,
)
