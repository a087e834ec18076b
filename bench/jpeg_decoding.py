"""Time to read a photograph and cut the view that is scored: decoded whole, and `"jpeg": "scaled"`.

    python -m bench.jpeg_decoding

Ratios of interleaved reads in one process, by its own clock.
"""

import io
import statistics
import time

import numpy as np
from PIL import Image

from trainers.data.decoding import decode_image
from trainers.data.image_file import CenterCrop
from trainers.data.jpeg import shorter_side_px

INPUT_PX, ROUNDS = 224, 15
SIZES = ((500, 375), (1000, 750), (1600, 1200), (4000, 3000))


def photograph(width: int, height: int) -> bytes:
    """Smooth noise, as a JPEG of about 0.2 bytes a pixel."""
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def seconds(content: bytes, keep_px: int | None) -> tuple[float, Image.Image]:
    crop = CenterCrop(INPUT_PX)
    started = time.process_time()
    view = crop(decode_image(io.BytesIO(content), "photograph", keep_px=keep_px))
    return time.process_time() - started, view


def main() -> None:
    keep_px = shorter_side_px("scaled", INPUT_PX)
    for width, height in SIZES:
        content = photograph(width, height)
        ratios, full_ms = [], []
        for _ in range(ROUNDS):
            full, whole = seconds(content, None)
            scaled, view = seconds(content, keep_px)
            ratios.append(full / scaled)
            full_ms.append(1000 * full)
        difference = np.abs(np.asarray(whole, dtype=float) - np.asarray(view, dtype=float))
        print(
            f"{width} x {height}: full {statistics.median(full_ms):.1f} ms, {statistics.median(ratios):.2f} times as "
            f"fast scaled; a level of 255 differs by {difference.mean():.2f} on average, {difference.max():.0f} at most"
        )


if __name__ == "__main__":
    main()
