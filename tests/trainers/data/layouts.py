"""Small data sets in the very layouts in which the real ones are downloaded."""

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
from PIL import Image

from trainers.data.prepare.published_set import PublishedSet

CATS, DOGS = ("Abyssinian", "Bengal"), ("american_bulldog", "beagle")
WNIDS = ("n01440764", "n01443537", "n01484850")


def picture(number: int, *, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    """An image that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 256, (14, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def put(path: Path, number: int, **options: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(number, **options))


def make_pet(root: Path, *, num_trainval: int = 12, num_test: int = 8) -> Path:
    """Flat images (numbered from 1, some in no list), lists with class ids that ignore case, a file of MATLAB's."""
    (root / "annotations").mkdir(parents=True)
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    breeds = sorted(CATS + DOGS, key=str.lower)
    for class_id, breed in enumerate(breeds, start=1):
        for number in range(1, num_trainval + num_test + 2):
            put(root / "images" / f"{breed}_{number}.jpg", 1000 * class_id + number)
            line = f"{breed}_{number} {class_id} {1 if breed in CATS else 2} 1"
            # The last image of a breed is in neither list, as 41 of the real set are.
            if number <= num_trainval:
                lines["trainval"].append(line)
            elif number <= num_trainval + num_test:
                lines["test"].append(line)
    (root / "images" / "Abyssinian_100.mat").write_bytes(b"not an image")
    for name, content in lines.items():
        (root / "annotations" / f"{name}.txt").write_text("\n".join(content) + "\n")
    (root / "annotations" / "list.txt").write_text("#Image CLASS-ID SPECIES BREED ID\n")
    return root


def make_caltech(root: Path, *, num_images: int = 34) -> Path:
    """Folders of classes, a grey image, and the stray file `tmp` of the background class."""
    folder = root / "101_ObjectCategories"
    for label, name in enumerate(("accordion", "BACKGROUND_Google", "Faces")):
        for number in range(1, num_images + 1 + label):
            mode = "L" if number == 3 else "RGB"
            put(folder / name / f"image_{number:04}.jpg", 1000 * label + number, mode=mode)
    (folder / "BACKGROUND_Google" / "tmp").write_bytes(b"")
    return root


def make_cars(root: Path, *, num_train: int = 30, num_test: int = 20) -> Path:
    """Images numbered in both folders; structs and a cell array in MATLAB files; MATLAB's class numbers from 1."""
    names = ["Acura TL 2012", "Ram C/V Cargo Van Minivan 2012", "Audi R8 2012"]
    (root / "devkit").mkdir(parents=True)
    cells = np.empty((1, len(names)), object)
    cells[0] = names
    scipy.io.savemat(root / "devkit" / "cars_meta.mat", {"class_names": cells})
    kinds = [(name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    for part, number, file in (
        ("train", num_train, "devkit/cars_train_annos.mat"),
        ("test", num_test, "cars_test_annos_withlabels.mat"),
    ):
        records = np.empty((1, number), kinds)
        for i in range(number):
            name = f"{i + 1:05}.jpg"
            records[0, i] = (1, 2, 10, 12, i % len(names) + 1, name)
            put(root / f"cars_{part}" / name, i + (1000 if part == "test" else 0))
        scipy.io.savemat(root / file, {"annotations": records})
    return root


def make_dogs(root: Path, *, num_train: int = 14, num_test: int = 6) -> Path:
    """Folders of breeds; lists as cell arrays in MATLAB files."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for breed in ("n02085620-Chihuahua", "n02085782-Japanese_spaniel"):
        for number in range(num_train + num_test):
            name = f"{breed}/{breed.split('-')[0]}_{number * 7}.jpg"
            put(root / "Images" / name, number + 1000 * len(breed))
            lists["train" if number < num_train else "test"].append(name)
    for part, names in lists.items():
        cells = np.empty((len(names), 1), object)
        cells[:, 0] = names
        labels = np.array([[1 if "Chihuahua" in name else 2] for name in names])
        scipy.io.savemat(root / f"{part}_list.mat", {"file_list": cells, "annotation_list": cells, "labels": labels})
    return root


def imagenet_images(part: str) -> list[tuple[str, int, bytes]]:
    """Name, label and bytes of the images of a part, in the order of folders."""
    per_class = 40 if part == "train" else 5
    start = 0 if part == "train" else 100_000
    return [
        (
            f"{wnid}_{number}" if part == "train" else f"ILSVRC2012_val_{label * per_class + number:08}",
            label,
            picture(start + 1000 * label + number),
        )
        for label, wnid in enumerate(WNIDS)
        for number in range(10, 10 + per_class)
    ]


def make_imagenet_folder(root: Path) -> Path:
    for part in ("train", "val"):
        for name, label, content in imagenet_images(part):
            file = root / part / WNIDS[label] / f"{name}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return root


def make_imagenet_kaggle(root: Path) -> Path:
    """`val/` flat; its list, with boxes, beside `ILSVRC/`."""
    folder = make_imagenet_folder(root / "ILSVRC" / "Data" / "CLS-LOC")
    rows = ["ImageId,PredictionString"]
    for name, label, _ in reversed(imagenet_images("val")):
        (folder / "val" / WNIDS[label] / f"{name}.JPEG").rename(folder / "val" / f"{name}.JPEG")
        rows.append(f"{name},{WNIDS[label]} 85 1 499 272 {WNIDS[label]} 1 2 3 4 ")
    for wnid in WNIDS:
        (folder / "val" / wnid).rmdir()
    (root / "LOC_val_solution.csv").write_text("\n".join(rows) + "\n")
    return root


def make_imagenet_parquet(root: Path, *, names: tuple[str, ...] | None = ("tench", "crane", "crane")) -> Path:
    """Row groups of 7 rows, two training shards, class names in the Hub's metadata (two alike, as in the real set)."""
    (root / "data").mkdir(parents=True)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    metadata = {}
    if names is not None:
        label = {"names": list(names), "_type": "ClassLabel"}
        metadata = {"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}, "label": label}}})}
    schema = pa.schema([("image", image), ("label", pa.int64())], metadata=metadata)
    train, val = imagenet_images("train"), imagenet_images("val")
    shards = {"train-00000-of-00002": train[:50], "train-00001-of-00002": train[50:], "validation-00000-of-00001": val}
    for name, images in shards.items():
        rows = [
            {"image": {"bytes": content, "path": f"{stem}.JPEG"}, "label": label} for stem, label, content in images
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema), root / "data" / f"{name}.parquet", row_group_size=7)
    return root


def make_imagenet_tar(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    train, val = imagenet_images("train"), imagenet_images("val")
    shards = {"imagenet1k-train-0000": train[:50], "imagenet1k-train-0001": train[50:], "imagenet1k-validation-00": val}
    for name, images in shards.items():
        with tarfile.open(root / f"{name}.tar", "w") as tar:
            for stem, label, content in images:
                for extension, data in (("jpg", content), ("cls", b"%d" % label), ("json", b"{}")):
                    member = tarfile.TarInfo(f"{stem}.{extension}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    (root / "_info.json").write_text("{}")
    return root


def small(published: PublishedSet, root: Path, **facts: object) -> PublishedSet:
    """The set with the counts that the stand-in has."""
    listing = published.list_images(published, root)
    parts = [image.part for image in listing.images]
    counted = {part: parts.count(part) for part in published.num_images}
    n = len(parts)
    cut = (70 * n // 100, 15 * n // 100, 15 * n // 100)
    known = {"num_classes": len(listing.class_names), "num_images": counted}
    if published.paper_counts is not None:
        known["paper_counts"] = cut
    return dataclasses.replace(published, **(known | facts))
