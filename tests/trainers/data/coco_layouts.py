"""Small sets in COCO's format, with every kind of outline, crowds and images without objects: same seed, same files."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import mask as faster
from PIL import Image
from pycocotools import mask as rle

CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 90, "name": "dog"}, {"id": 17, "name": "zebra crossing"}]
"""Neither contiguous nor in order."""
CLASS_NAMES = ("cat", "zebra crossing", "dog")

Document = dict[str, Any]


def polygon(random: np.random.RandomState, width: int, height: int) -> list[float]:
    """Around a point inside, not on whole pixels."""
    radius = random.uniform(4, 20)
    x, y = random.uniform(radius, width - radius), random.uniform(radius, height - radius)
    turns = np.sort(random.uniform(0, 2 * np.pi, 7))
    points = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1)
    return [round(float(each), 2) for each in points.ravel()]


def outline(random: np.random.RandomState, number: int, width: int, height: int) -> Any:
    """In turn: one polygon, two, run lengths in text, run lengths as a list (as COCO has crowds)."""
    parts = [polygon(random, width, height) for _ in range(1 + number % 2)]
    if number % 4 < 2:
        return parts
    compressed = rle.merge(rle.frPyObjects(parts, height, width))
    if number % 4 == 2:
        return {"size": compressed["size"], "counts": compressed["counts"].decode()}
    # pycocotools' own warns with NumPy 2.
    flat = faster.decode(compressed).ravel(order="F")
    ends = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    return {"size": compressed["size"], "counts": np.diff([0, *ends.tolist()]).tolist()}


def as_rle(segmentation: Any, height: int, width: int) -> Any:
    """Its compressed run lengths, by pycocotools."""
    if isinstance(segmentation, list):
        return rle.merge(rle.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return rle.frPyObjects(segmentation, height, width)
    return segmentation | {"counts": segmentation["counts"].encode()}


def annotated(random: np.random.RandomState, image: Document, first_id: int, num_objects: int) -> list[Document]:
    """Objects of an image; each fourth is a crowd."""
    height, width = image["height"], image["width"]
    written = []
    for number in range(first_id, first_id + num_objects):
        segmentation = outline(random, number, width, height)
        found = as_rle(segmentation, height, width)
        written.append(
            {
                "id": number,
                "image_id": image["id"],
                "category_id": CATEGORIES[random.randint(len(CATEGORIES))]["id"],
                "bbox": [float(each) for each in rle.toBbox(found)],
                "segmentation": segmentation,
                "area": float(rle.area(found)),
                "iscrowd": int(number % 4 == 3),
            }
        )
    return written


def write_coco(
    root: Path,
    num_images: int = 20,
    *,
    seed: int = 0,
    annotations: str = "annotations.json",
    images: str = "images",
    first_id: int = 100,
) -> Document:
    """Write a file and its images; returns what is in the file. Each fifth image has no objects."""
    random = np.random.RandomState(seed)
    document: Document = {"info": {"year": 2017}, "licenses": [], "images": [], "annotations": []}
    (root / images).mkdir(parents=True, exist_ok=True)
    for number in range(num_images):
        width, height = random.randint(60, 120, size=2).tolist()
        image = {"id": first_id + 7 * number, "file_name": f"{first_id + number:06}.png", "height": height}
        image["width"] = width
        pixels = random.randint(0, 256, size=(height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / images / image["file_name"])
        document["images"].append(image)
        num_objects = 0 if number % 5 == 4 else 1 + random.randint(4)
        first = 1 + len(document["annotations"])
        document["annotations"] += annotated(random, image, first, num_objects)
    document["categories"] = copy.deepcopy(CATEGORIES)
    write(root / annotations, document)
    return document


def write(file: Path, document: object) -> None:
    """A line for each element, so that messages can name it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=0 if isinstance(document, dict) else None))
