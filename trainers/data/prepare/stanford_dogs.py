"""Stanford Dogs: 120 breeds of ImageNet, one folder each, splits in MATLAB files."""

from pathlib import Path

from trainers.data.prepare.mat_file import read_strings
from trainers.data.prepare.published_set import Listing, NamedImage, OfficialParts, PublishedSet, in_class_order, locate
from trainers.errors import DataError

LISTS = {"train": "train_list.mat", "test": "test_list.mat"}


def list_images(published: PublishedSet, root: Path) -> Listing:
    """The images that the two lists name, in the order of `Images/` as an ImageFolder."""
    folder = locate(published, root, (".", "stanford_dogs", "stanford-dogs"), ("Images", *LISTS.values()))
    images = [
        NamedImage(_class_name(name, folder / file), f"Images/{name}", part)
        for part, file in LISTS.items()
        for name in read_strings(folder / file, "file_list")
    ]
    return in_class_order(folder, images)


def _class_name(name: str, file: Path) -> str:
    """`n02085620-Chihuahua` of `n02085620-Chihuahua/n02085620_10074.jpg`."""
    class_name, separator, _ = name.partition("/")
    if not separator:
        raise DataError(
            f"{file} names {name!r}; expected a breed's folder and a file, such as n02085620-Chihuahua/1.jpg"
        )
    return class_name


STANFORD_DOGS = PublishedSet(
    name="stanford_dogs",
    title="Stanford Dogs",
    num_classes=120,
    num_images={"train": 12000, "test": 8580},
    official=OfficialParts(train="train", test="test", val_fraction=0.1),
    paper_counts=(14406, 3087, 3087),
    source="http://vision.stanford.edu/aditya86/ImageNetDogs/ (images.tar, lists.tar)",
    layout="""
<folder>/Images/n02085620-Chihuahua/n02085620_10074.jpg ...
<folder>/train_list.mat
<folder>/test_list.mat
""",
    list_images=list_images,
)
