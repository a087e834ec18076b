"""What a file as large as COCO's training file costs: time and memory to read it, and time to fill outlines.

    python -m bench.coco_index [folder for the file, 0.5 GB]

One process, by its own clock; the file is generated: 118,287 images, 860,001 objects of 40 points on average.
"""

import gc
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from trainers.data.coco_index import CocoIndex, read_coco
from trainers.data.coco_outline import outlined_mask

NUM_IMAGES, NUM_OBJECTS, NUM_CLASSES, MEAN_POINTS = 118_287, 860_001, 80, 40
HEIGHT, WIDTH, NUM_FILLED, NUM_OUTLINES = 480, 640, 500, 4_000


def outlined(random: np.random.RandomState) -> str:
    """Outline, area and box of a star around a point of the image, with two decimals."""
    radius = random.uniform(8, 120)
    turns = np.sort(random.uniform(0, 2 * np.pi, random.poisson(MEAN_POINTS - 3) + 3))
    x, y = random.uniform(radius, WIDTH - radius), random.uniform(radius, HEIGHT - radius)
    radii = radius * random.uniform(0.6, 1, len(turns))
    outline = np.stack([x + radii * np.cos(turns), y + radii * np.sin(turns)], axis=1).ravel()
    box = ", ".join(f"{each:.2f}" for each in (x - radius, y - radius, 2 * radius, 2 * radius))
    numbers = ", ".join(f"{each:.2f}" for each in outline)
    return f'"segmentation": [[{numbers}]], "area": {radius**2:.2f}, "bbox": [{box}]'


def write(file: Path) -> None:
    """Objects with one of some thousand outlines, on one line as COCO has it."""
    random = np.random.RandomState(0)
    outlines = [outlined(random) for _ in range(NUM_OUTLINES)]
    drawn = (random.randint(bound, size=NUM_OBJECTS).tolist() for bound in (NUM_OUTLINES, NUM_IMAGES, NUM_CLASSES))
    size = f'"height": {HEIGHT}, "width": {WIDTH}'
    with file.open("w") as out:
        out.write('{"info": {}, "images": [')
        out.write(
            ", ".join(f'{{"id": {number}, "file_name": "{number:012}.jpg", {size}}}' for number in range(NUM_IMAGES))
        )
        out.write('], "annotations": [')
        for number, (outline, image, category) in enumerate(zip(*drawn, strict=True)):
            out.write(
                f'{", " if number else ""}{{{outlines[outline]}, "iscrowd": 0, "image_id": {image}, '
                f'"category_id": {category}, "id": {number}}}'
            )
        out.write('], "categories": [')
        out.write(", ".join(f'{{"id": {number}, "name": "class {number}"}}' for number in range(NUM_CLASSES)) + "]}")


def resident_mib(*, peak: bool) -> float:
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main(folder: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        file = Path(temporary, "instances.json")
        write(file)
        gc.collect()
        before, started = resident_mib(peak=False), time.process_time()
        index = read_coco(file)
        seconds = time.process_time() - started
        gc.collect()
        kept, peak = resident_mib(peak=False) - before, resident_mib(peak=True) - before
        arrays = sum(
            getattr(index, name).nbytes for name in CocoIndex._fields if hasattr(getattr(index, name), "nbytes")
        )
        print(
            f"{file.stat().st_size / 1e6:,.0f} MB, {len(index.file_names):,} images, {len(index.classes):,} objects: "
            f"read and checked in {seconds:.1f} s CPU; {kept:,.0f} MiB stay (arrays {arrays / 2**20:,.0f}), "
            f"{peak:,.0f} MiB at the peak"
        )
        times, numbers = [], []
        for image in np.random.RandomState(1).randint(NUM_IMAGES, size=NUM_FILLED).tolist():
            started = time.process_time()
            masks = [outlined_mask(outline, HEIGHT, WIDTH) for outline in index.outlines(image)]
            times.append(1000 * (time.process_time() - started))
            numbers.append(len(masks))
        print(
            f"outlines of an image read and filled in {statistics.mean(times):.1f} ms CPU "
            f"({statistics.mean(numbers):.1f} objects of {WIDTH} x {HEIGHT} pixels on average)"
        )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
