"""Stanford Cars: 196 models, two flat folders of images, labels in MATLAB files."""

from pathlib import Path

from trainers.data.prepare.mat_file import read_records, read_strings
from trainers.data.prepare.published_set import (
    Listing,
    NamedImage,
    OfficialParts,
    PublishedSet,
    absence,
    in_class_order,
    locate,
)
from trainers.errors import DataError

META = "devkit/cars_meta.mat"
TRAIN = "devkit/cars_train_annos.mat"
TEST = "cars_test_annos_withlabels.mat"


def list_images(published: PublishedSet, root: Path) -> Listing:
    """Both parts merged, by class name, then `cars_test/...` before `cars_train/...`.

    Both folders number their files from 00001.jpg, so a merged ImageFolder needed new names, and the paper does not
    tell which: its counts can be met, its very cut can't be known.
    """
    folder = locate(published, root, (".", "stanford_cars", "stanford-cars"), ("cars_train", "cars_test", META, TRAIN))
    # The labels of the test images came later, as a file of its own; people keep it in either place.
    test = next((folder / place for place in (TEST, f"devkit/{TEST}") if (folder / place).is_file()), None)
    if test is None:
        raise DataError(absence(published, root, [folder, folder / "devkit"], f"{folder.absolute()} lacks {TEST}"))
    names = read_strings(folder / META, "class_names")
    images = [
        NamedImage(_class_name(names, number, annotations), f"cars_{part}/{file}", part)
        for part, annotations in (("train", folder / TRAIN), ("test", test))
        for file, number in read_records(annotations, "annotations", ("fname", "class"))
    ]
    return in_class_order(folder, images, names)


def _class_name(names: list[str], number: int, file: Path) -> str:
    """MATLAB counts classes from 1."""
    if not 1 <= number <= len(names):
        raise DataError(f"{file} speaks of class {number}, but {META} names classes 1 to {len(names)}")
    return names[number - 1]


STANFORD_CARS = PublishedSet(
    name="stanford_cars",
    title="Stanford Cars",
    num_classes=196,
    num_images={"train": 8144, "test": 8041},
    official=OfficialParts(train="train", test="test", val_fraction=0.1),
    paper_counts=(11329, 2427, 2427),
    source=(
        "the publisher's page (https://ai.stanford.edu/~jkrause/cars/car_dataset.html) is often away; mirrors on "
        "Kaggle and the Internet Archive carry cars_train.tgz, cars_test.tgz, car_devkit.tgz and "
        "cars_test_annos_withlabels.mat"
    ),
    layout=f"""
<folder>/cars_train/00001.jpg ...
<folder>/cars_test/00001.jpg ...
<folder>/{META}
<folder>/{TRAIN}
<folder>/{TEST}
""",
    list_images=list_images,
)
