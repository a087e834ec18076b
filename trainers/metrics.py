"""What a task or an analysis says of each number that it measures; nobody else knows metrics by name."""

from typing import NamedTuple


class Metric(NamedTuple):
    """How a metric is shown, judged and planned for."""

    name: str
    """Behind its group: `top1` in `test/top1`."""
    unit: str
    """`pp` (percentage points) for accuracies and shares, `nats` for losses, `tokens` for widths; empty for a pure
    number."""
    scale: float
    """Factor from the recorded value to the unit: accuracies are recorded as fractions."""
    higher_is_better: bool | None
    """Direction (`None`: neither is better, as for the width of a receptive field)."""
    words: str = ""
    """How sentences call it, behind its split (empty: by its name)."""
    assumed_sds: tuple[float, ...] = (0.01, 0.03, 0.1)
    """A small, a middle and a large sd of its paired difference, in its unit: what a plan's power is told for."""
    counts_images: bool = False
    """Whether it is a share of the scored images, and so moves in steps of one image."""
    per_image: str = ""
    """Array of the stored evidence that holds each image's own score, of which the metric is the mean (empty: none)."""
    class_of_image: str = ""
    """Array of the stored evidence with each image's class, of a share of images whose class is named (empty: another
    metric): the share of the largest class is what naming it for every image scores."""

    def told(self, value: float) -> str:
        """The recorded value on a line of progress: `51.7 %`, `0.8312`."""
        return f"{value * self.scale:.1f} %" if self.unit == "pp" else f"{value * self.scale:.4f}"


def share(
    name: str,
    *,
    higher_is_better: bool | None,
    words: str = "",
    counts_images: bool = False,
    per_image: str = "",
    class_of_image: str = "",
) -> Metric:
    """A metric that is recorded as a fraction and told in percentage points."""
    sds = (0.1, 0.3, 1.0, 3.0)
    return Metric(name, "pp", 100.0, higher_is_better, words, sds, counts_images, per_image, class_of_image)
