"""How many images a published data set will have, before it was prepared."""

from pathlib import Path

from trainers.data import DatasetConfig, ManifestConfig
from trainers.data.splitting import SplitSizes


def published_sizes(dataset: DatasetConfig, data_root: Path | None) -> SplitSizes | None:
    """What the manifest of a published set will hold, told by its usual name `<set>-<protocol>.manifest.parquet`.

    Args:
        dataset: any.
        data_root: where relative paths start.

    Returns:
        Images of each split (`None`: it is not a published set, or its manifest is there and tells itself).
    """
    if not isinstance(dataset, ManifestConfig) or not dataset.is_absent(data_root):
        return None
    # Whoever prepares data sets reads MATLAB and Arrow files; few plans need to know what they will find.
    from trainers.data.prepare import SETS  # noqa: PLC0415

    name, _, protocol = dataset.label.rpartition("-")
    published = next((each for each in SETS if each.name == name), None)
    if published is None or protocol not in published.protocols:
        return None
    return published.sizes(protocol)
