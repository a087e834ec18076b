"""Caltech-101 with its background class: 102 classes, one folder each, no official split."""

from pathlib import Path

from trainers.data.prepare.image_folder import scan
from trainers.data.prepare.published_set import ImagesPerClass, ListedImage, Listing, PublishedSet, locate
from trainers.data.stored_image import StoredImage

FOLDER = "101_ObjectCategories"
BACKGROUND = "BACKGROUND_Google"


def list_images(published: PublishedSet, root: Path) -> Listing:
    """The ImageFolder of all classes. Upper case sorts first: label 0 is the background."""
    inner = (FOLDER, f"caltech-101/{FOLDER}", f"caltech101/{FOLDER}", ".")
    folder = locate(published, root, inner, (BACKGROUND, "accordion"))
    tree = scan(folder, "expected one folder of images per class")
    images = [
        ListedImage(StoredImage(path.relative_to(folder).as_posix()), label, "all")
        for path, label in zip(tree.paths, tree.labels, strict=True)
    ]
    return Listing(folder, tree.class_names, images)


CALTECH_101 = PublishedSet(
    name="caltech101",
    title="Caltech-101",
    num_classes=102,
    num_images={"all": 9144},
    official=ImagesPerClass(num_train_per_class=30, val_fraction=0.1),
    paper_counts=(6400, 1371, 1371),
    source="https://data.caltech.edu/records/mzrjq-6wc02 (caltech-101.zip; unpack 101_ObjectCategories.tar.gz in it)",
    layout=f"""
<folder>/{FOLDER}/{BACKGROUND}/image_0001.jpg ...
<folder>/{FOLDER}/accordion/image_0001.jpg ...
... one folder for each of 102 classes, the background among them
""",
    list_images=list_images,
)
