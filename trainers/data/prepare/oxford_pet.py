"""Oxford-IIIT Pet: 37 breeds, flat folder of images, splits in text files."""

from pathlib import Path

from trainers.data.prepare.published_set import Listing, NamedImage, OfficialParts, PublishedSet, in_class_order, locate
from trainers.errors import DataError

LISTS = {"trainval": "annotations/trainval.txt", "test": "annotations/test.txt"}


def list_images(published: PublishedSet, root: Path) -> Listing:
    """The images that the two lists name (`images/` holds 41 more), in the order of an ImageFolder of the breeds.

    The breed is the file's name up to its number; upper case sorts before lower case, so cats come before dogs.
    """
    folder = locate(published, root, (".", "oxford-iiit-pet"), ("images", *LISTS.values()))
    images = [
        NamedImage(name.rpartition("_")[0], f"images/{name}.jpg", part)
        for part, file in LISTS.items()
        for name in _names(folder / file)
    ]
    return in_class_order(folder, images)


def _names(file: Path) -> list[str]:
    """Image names of lines such as `Abyssinian_100 1 1 1` (name, class id, species, breed id)."""
    names = []
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 4 or not words[0].rpartition("_")[0]:
            raise DataError(
                f"line {number} of {file} is {line!r}; expected an image, its class id, species and breed id, such as "
                "'Abyssinian_100 1 1 1'"
            )
        names.append(words[0])
    return names


OXFORD_PET = PublishedSet(
    name="oxford_pet",
    title="Oxford-IIIT Pet",
    num_classes=37,
    num_images={"trainval": 3680, "test": 3669},
    official=OfficialParts(train="trainval", test="test", val_fraction=0.1),
    paper_counts=(5144, 1102, 1102),
    source="https://www.robots.ox.ac.uk/~vgg/data/pets/ (images.tar.gz, annotations.tar.gz)",
    layout="""
<folder>/images/Abyssinian_1.jpg ...
<folder>/annotations/trainval.txt
<folder>/annotations/test.txt
""",
    list_images=list_images,
)
