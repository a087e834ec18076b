"""ImageNet-1K: 1,000 classes, as folders, as Parquet files or as tar shards."""

from pathlib import Path

from trainers.data.prepare.imagenet_folder import list_folder
from trainers.data.prepare.parquet_shards import list_parquet_shards
from trainers.data.prepare.published_set import Listing, OfficialParts, PublishedSet, absence
from trainers.data.prepare.tar_shards import list_tar_shards
from trainers.errors import DataError

FOLDERS = (".", "imagenet", "ILSVRC/Data/CLS-LOC")
PARQUET_FOLDERS = (".", "data")
PARTS = {"train": "train", "val": "val"}
"""Mark in a shard's name -> part. The official test part has no labels."""


def list_images(published: PublishedSet, root: Path) -> Listing:
    """The first layout that is there: folders, Parquet files, tar shards."""
    for inner in FOLDERS:
        folder = root / inner
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            return list_folder(folder, root)
    for inner in PARQUET_FOLDERS:
        shards = _shards(root / inner, ".parquet")
        if shards:
            return list_parquet_shards(root / inner, shards)
    shards = _shards(root, ".tar")
    if shards:
        return list_tar_shards(root, shards)
    looked_in = [root / inner for inner in dict.fromkeys((*FOLDERS, *PARQUET_FOLDERS))]
    found = "neither train/ and val/ nor train and validation shards"
    raise DataError(absence(published, root, looked_in, found))


def _shards(folder: Path, suffix: str) -> dict[str, list[Path]]:
    """Part -> shards; empty unless each part has one.

    A shard's name ends in a number, unlike that of the official archive, ILSVRC2012_img_train.tar.
    """
    names = sorted(folder.glob(f"*[0-9]{suffix}"))
    found = {part: [path for path in names if mark in path.name.lower()] for mark, part in PARTS.items()}
    return found if all(found.values()) else {}


IMAGENET = PublishedSet(
    name="imagenet",
    title="ImageNet-1K",
    num_classes=1000,
    num_images={"train": 1_281_167, "val": 50_000},
    official=OfficialParts(train="train", test="val", val_fraction=0.01),
    paper_counts=None,
    source=(
        "https://image-net.org (after registration), Kaggle's imagenet-object-localization-challenge, or the Hub: "
        "ILSVRC/imagenet-1k (Parquet), timm/imagenet-1k-wds (tar shards)"
    ),
    layout="""
<folder>/train/n01440764/n01440764_10026.JPEG ...
<folder>/val/n01440764/ILSVRC2012_val_00000293.JPEG ...   (or val/ flat, with LOC_val_solution.csv, as on Kaggle)
or  <folder>/data/train-00000-of-00294.parquet ...  <folder>/data/validation-00000-of-00014.parquet ...
or  <folder>/imagenet1k-train-0000.tar ...          <folder>/imagenet1k-validation-00.tar ...
""",
    list_images=list_images,
)
