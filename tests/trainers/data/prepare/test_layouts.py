"""Each published layout, as it is unpacked: what is listed, in which order, and what is said where it is not there."""

import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from torchvision.datasets import ImageFolder

from tests.trainers.data.layouts import (
    WNIDS,
    imagenet_images,
    make_caltech,
    make_cars,
    make_dogs,
    make_imagenet_folder,
    make_imagenet_kaggle,
    make_imagenet_parquet,
    make_imagenet_tar,
    make_pet,
)
from trainers.data.prepare import SETS
from trainers.data.prepare.caltech101 import CALTECH_101
from trainers.data.prepare.imagenet import IMAGENET
from trainers.data.prepare.oxford_pet import OXFORD_PET
from trainers.data.prepare.stanford_cars import STANFORD_CARS
from trainers.data.prepare.stanford_dogs import STANFORD_DOGS
from trainers.data.stored_image import read_stored_image
from trainers.errors import DataError


def listed(published, root):
    return published.list_images(published, root)


def complaint(published, root):
    with pytest.raises(DataError) as caught:
        listed(published, root)
    return str(caught.value)


def as_image_folder(root):
    """Path below root and label of every image, as torchvision has them."""
    tree = ImageFolder(str(root))
    return [(path.removeprefix(f"{root}/"), label) for path, label in tree.samples], tuple(tree.classes)


def test_pet_is_the_image_folder_of_its_breeds(tmp_path):
    root = make_pet(tmp_path / "pet")
    listing = listed(OXFORD_PET, root)
    sorted_tree = tmp_path / "tree"
    named = [
        line.split()[0]
        for part in ("trainval", "test")
        for line in (root / "annotations" / f"{part}.txt").read_text().splitlines()
    ]
    for name in named:
        folder = sorted_tree / name[: name.rindex("_")]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jpg").symlink_to(root / "images" / f"{name}.jpg")
    samples, classes = as_image_folder(sorted_tree)
    assert listing.class_names == classes == ("Abyssinian", "Bengal", "american_bulldog", "beagle")
    ours = [(image.stored.path.removeprefix("images/"), image.label) for image in listing.images]
    assert ours == [(path.split("/")[1], label) for path, label in samples]
    parts = {image.stored.path: image.part for image in listing.images}
    assert len(parts) == 80
    assert parts["images/beagle_12.jpg"] == "trainval"
    assert parts["images/beagle_13.jpg"] == "test"
    assert "images/beagle_21.jpg" not in parts


def test_pet_below_the_folder_that_torchvision_makes(tmp_path):
    make_pet(tmp_path / "oxford-iiit-pet")
    assert listed(OXFORD_PET, tmp_path).folder == tmp_path / "oxford-iiit-pet"


def test_a_broken_line_of_pets_list(tmp_path):
    root = make_pet(tmp_path)
    (root / "annotations" / "test.txt").write_text("beagle_1 4 2 1\nwhat\n")
    assert complaint(OXFORD_PET, root) == (
        f"line 2 of {root}/annotations/test.txt is 'what'; expected an image, its class id, species and breed id, "
        "such as 'Abyssinian_100 1 1 1'"
    )


@pytest.mark.parametrize("inner", [".", "caltech-101", "caltech101"])
def test_caltech_is_an_image_folder_with_its_background(tmp_path, inner):
    root = make_caltech(tmp_path / inner)
    listing = listed(CALTECH_101, tmp_path)
    samples, classes = as_image_folder(root / "101_ObjectCategories")
    assert listing.class_names == classes == ("BACKGROUND_Google", "Faces", "accordion")
    assert [(image.stored.path, image.label) for image in listing.images] == samples


def test_dogs_are_an_image_folder(tmp_path):
    root = make_dogs(tmp_path)
    listing = listed(STANFORD_DOGS, root)
    samples, classes = as_image_folder(root / "Images")
    assert listing.class_names == classes
    assert [(image.stored.path.removeprefix("Images/"), image.label) for image in listing.images] == samples
    assert [image.part for image in listing.images].count("test") == 12
    # The 15th picture of a breed (its number is 7 x 14) is the first in the test list.
    parts = {image.stored.path.rpartition("_")[2]: image.part for image in listing.images}
    assert (parts["91.jpg"], parts["98.jpg"]) == ("train", "test")


@pytest.mark.parametrize("place", ["cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat"])
def test_cars_are_merged_by_class(tmp_path, place):
    root = make_cars(tmp_path / "stanford_cars")
    (root / "cars_test_annos_withlabels.mat").rename(root / place)
    listing = listed(STANFORD_CARS, tmp_path)
    assert listing.class_names == ("Acura TL 2012", "Audi R8 2012", "Ram C/V Cargo Van Minivan 2012")
    # Car i is of MATLAB's class i mod 3 + 1: Acura, Ram, Audi.
    assert [image.stored.path for image in listing.images[:8]] == [
        *(f"cars_test/{1 + 3 * i:05}.jpg" for i in range(7)),
        "cars_train/00001.jpg",
    ]
    labels = {image.stored.path: image.label for image in listing.images}
    assert [labels[f"cars_train/0000{i}.jpg"] for i in (1, 2, 3, 4)] == [0, 2, 1, 0]
    assert len(labels) == 50


def test_a_class_that_cars_do_not_name(tmp_path):
    root = make_cars(tmp_path)
    cells = np.empty((1, 2), object)
    cells[0] = ["one", "two"]
    scipy.io.savemat(root / "devkit" / "cars_meta.mat", {"class_names": cells})
    assert "cars_train_annos.mat speaks of class 3, but devkit/cars_meta.mat names classes 1 to 2" in (
        complaint(STANFORD_CARS, root)
    )


def test_broken_matlab_files(tmp_path):
    root = make_dogs(tmp_path)
    file = root / "test_list.mat"
    content = file.read_bytes()
    for broken in (b"", b"<html>not found</html>" * 20, content[: len(content) // 2]):
        file.write_bytes(broken)
        message = complaint(STANFORD_DOGS, root)
        assert message.startswith(f"{file} can't be read as a MATLAB file: ")
        assert message.endswith("; download it again")
    scipy.io.savemat(file, {"files": [1]})
    assert f"{file} has no variable 'file_list' (it has: files)" in complaint(STANFORD_DOGS, root)
    cars = make_cars(tmp_path / "cars")
    scipy.io.savemat(cars / "cars_test_annos_withlabels.mat", {"annotations": np.zeros((1, 3), [("fname", object)])})
    assert "has no field 'class' (it has: fname)" in complaint(STANFORD_CARS, cars)


def bytes_by_name(listing):
    return {
        (image.stored.path.split("/")[-1].split(".")[0], image.part): (
            image.label,
            read_stored_image(listing.folder, image.stored),
        )
        for image in listing.images
    }


@pytest.mark.parametrize(
    ("make", "class_names"),
    [
        (make_imagenet_folder, WNIDS),
        (make_imagenet_kaggle, WNIDS),
        (make_imagenet_parquet, ("tench", "crane", "crane")),
        (make_imagenet_tar, ("0", "1", "2")),
    ],
)
def test_imagenet_in_every_layout_gives_the_same_images(tmp_path, make, class_names):
    listing = listed(IMAGENET, make(tmp_path))
    assert listing.class_names == class_names
    expected = {
        (name, part): (label, content) for part in ("train", "val") for name, label, content in imagenet_images(part)
    }
    assert len(listing.images) == 135
    assert bytes_by_name(listing) == expected


def test_imagenet_parquet_without_class_names(tmp_path):
    assert listed(IMAGENET, make_imagenet_parquet(tmp_path, names=None)).class_names == ("0", "1", "2")


def test_imagenet_parquet_with_too_few_class_names(tmp_path):
    root = make_imagenet_parquet(tmp_path, names=("tench", "shark"))
    assert complaint(IMAGENET, root).endswith("/data has the label 2, but names only 2 classes")


def test_imagenet_parquet_of_another_kind(tmp_path):
    make_imagenet_parquet(tmp_path)
    shard = tmp_path / "data" / "train-00001-of-00002.parquet"
    pq.write_table(pa.table({"img": [b""], "label": [1]}), shard)
    assert complaint(IMAGENET, tmp_path) == (
        f"{shard} has the columns img (binary), label (int64); expected image (struct<bytes: binary, path: string>) "
        "and label (int64)"
    )
    shard.write_bytes(b"half")
    assert complaint(IMAGENET, tmp_path).startswith(f"{shard} can't be read as Parquet: ")


def test_imagenet_shards_that_are_broken(tmp_path):
    root = make_imagenet_tar(tmp_path)
    shard = root / "imagenet1k-train-0001.tar"
    with tarfile.open(shard, "w") as tar:
        tar.add(__file__, "n01440764_1.jpg")
    assert complaint(IMAGENET, root) == (
        f"sample 'n01440764_1' of {shard} has no label (.cls); every sample needs both"
    )
    with tarfile.open(shard, "w") as tar:
        tar.add(__file__, "n01440764_1.cls")
    assert f"n01440764_1.cls in {shard} is '" in complaint(IMAGENET, root)
    shard.write_bytes(b"not a tar file" * 100)
    assert complaint(IMAGENET, root).startswith(f"{shard} can't be read as a tar file: ")


def test_the_official_archive_of_imagenet_is_not_taken_for_a_shard(tmp_path):
    for name in ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"):
        (tmp_path / name).write_bytes(b"")
    message = complaint(IMAGENET, tmp_path)
    assert "still packed   ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar: unpack first" in message


def test_a_flat_val_with_a_broken_list_or_none(tmp_path):
    make_imagenet_kaggle(tmp_path)
    solution = tmp_path / "LOC_val_solution.csv"
    solution.write_text("ImageId,PredictionString\nILSVRC2012_val_00000010\n")
    assert f"line 2 of {solution} is 'ILSVRC2012_val_00000010'; expected an image and its class" in (
        complaint(IMAGENET, tmp_path)
    )
    solution.unlink()
    message = complaint(IMAGENET, tmp_path)
    assert "val has no folders of classes, and there is no LOC_val_solution.csv to tell them" in message
    assert f"put Kaggle's LOC_val_solution.csv into {tmp_path}" in message


def test_imagenet_folders_that_differ(tmp_path):
    root = make_imagenet_folder(tmp_path)
    (root / "val" / WNIDS[0]).rename(root / "val" / "tench")
    assert f"differ in their classes: {WNIDS[0]}, tench are in one of them only" in complaint(IMAGENET, root)


@pytest.mark.parametrize("published", SETS, ids=lambda published: published.name)
def test_an_absent_set_says_where_what_whence_and_what_to_type(tmp_path, published):
    (tmp_path / "inner").mkdir()
    for name in ("images.tar.gz", "inner/lists.tar"):
        (tmp_path / name).write_bytes(b"")
    message = complaint(published, tmp_path)
    lines = message.splitlines()
    assert lines[0] == f"{published.title} is not below {tmp_path}"
    assert "  still packed   images.tar.gz, inner/lists.tar: unpack first" in lines
    looked_in = next(line for line in lines if line.startswith("  looked in"))
    assert str(tmp_path) in looked_in
    for line in published.layout.strip().splitlines():
        assert f"    {line}" in lines
    assert f"  get it from    {published.source}" in lines
    command = f"sigmalab data prepare {published.name} --root <folder> --protocol {'|'.join(published.protocols)}"
    assert lines[-1] == f"  then type      {command}"


def test_a_folder_that_is_not_there_and_one_that_lacks_a_file(tmp_path):
    assert f"  found          no folder {tmp_path}/nowhere\n" in complaint(OXFORD_PET, tmp_path / "nowhere")
    root = make_pet(tmp_path / "deep" / "oxford-iiit-pet")
    (root / "annotations" / "test.txt").unlink()
    assert f"  found          {root} lacks annotations/test.txt\n" in complaint(OXFORD_PET, tmp_path / "deep")
    cars = make_cars(tmp_path / "cars")
    (cars / "cars_test_annos_withlabels.mat").unlink()
    message = complaint(STANFORD_CARS, cars)
    assert f"  found          {cars} lacks cars_test_annos_withlabels.mat\n" in message
    assert f"  looked in      {cars}, {cars}/devkit\n" in message
