"""How many images a data set has: its own count, or, before it was prepared, the published one."""

from pathlib import Path

from trainers.data import DatasetConfig, ManifestConfig
from trainers.data.splitting import SplitSizes
from trainers.errors import DataError


def split_sizes(dataset: DatasetConfig, data_root: Path | None) -> SplitSizes | None:
    """Images of each split (`None`: nobody knows).

    Args:
        dataset: any.
        data_root: where relative paths start.
    """
    try:
        return dataset.sizes(data_root)
    except DataError:
        return published_sizes(dataset)


def published_sizes(dataset: DatasetConfig) -> SplitSizes | None:
    """What the manifest of a published set will hold, told by its usual name `<set>-<protocol>.manifest.parquet`."""
    if not isinstance(dataset, ManifestConfig):
        return None
    # Whoever prepares data sets reads MATLAB and Arrow files; few plans need to know what they will find.
    from trainers.data.prepare import SETS  # noqa: PLC0415

    name, _, protocol = dataset.label.rpartition("-")
    published = next((each for each in SETS if each.name == name), None)
    if published is None or protocol not in published.protocols:
        return None
    return published.sizes(protocol)
