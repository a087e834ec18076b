"""Sets of images with masks, written to disk from generated shapes: the same seed, the same files."""

from pathlib import Path

from PIL import Image

from trainers.data.shapes import CLASS_NAMES, ShapesConfig, draw

PALETTE = [
    level for color in ((0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200), (99, 99, 0), (0, 99, 99)) for level in color
]


def write_pairs(
    images: Path, masks: Path, num_images: int, *, seed: int = 0, start: int = 0, first_id: int = 0, mode: str = "P"
) -> list[tuple[Path, Path]]:
    """Images as PNG, masks as palette (P) or grey (L) PNG whose values are ids plus `first_id`."""
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    pictures = draw(ShapesConfig(image_size_px=32, generation_seed=seed), start, num_images)
    written = []
    for number, (pixels, ids) in enumerate(zip(pictures.pixels, pictures.ids, strict=True)):
        # Not square, so that sides can't be exchanged unseen.
        paths = images / f"{number:03}.png", masks / f"{number:03}.png"
        Image.fromarray(pixels[:, :24]).save(paths[0])
        mask = Image.fromarray(ids[:, :24] + first_id)
        if mode == "P":
            mask.putpalette(PALETTE)
        mask.save(paths[1])
        written.append(paths)
    return written


def write_masks(root: Path, num_images: int = 20, **how) -> Path:
    """`images/`, `masks/` and `classes.txt`."""
    write_pairs(root / "images", root / "masks", num_images, **how)
    (root / "classes.txt").write_text("\n".join(CLASS_NAMES) + "\n")
    return root


def write_ade(root: Path, num_train: int = 12, num_val: int = 4) -> Path:
    """ADE20K's own layout: 0 is no class, and validation is what is tested on."""
    for name, number, start in (("training", num_train, 0), ("validation", num_val, 1000)):
        write_pairs(root / "images" / name, root / "annotations" / name, number, start=start, first_id=1, mode="L")
    return root
