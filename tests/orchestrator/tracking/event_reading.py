"""Event files as TensorBoard itself reads them."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

_START = "_hparams_/session_start_info"


def opened(run: Path) -> EventAccumulator:
    """One run's folder, whole: nothing is left out by sampling."""
    whole = dict.fromkeys(("scalars", "tensors", "images"), 0)
    accumulator = EventAccumulator(str(run), size_guidance=whole)
    accumulator.Reload()
    return accumulator


def scalars(run: Path) -> list[tuple[str, int, float, float]]:
    """(Tag, step, time, value) of every scalar in the file, in its order by tag."""
    found = opened(run)
    return [
        (tag, each.step, each.wall_time, each.value) for tag in found.Tags()["scalars"] for each in found.Scalars(tag)
    ]


def texts(run: Path) -> dict[str, list[str]]:
    """Tag -> its texts."""
    found = opened(run)
    if not any(tag.startswith(("description", "tables/")) for tag in found.Tags()["tensors"]):
        return {}
    return {
        tag: [tensor_util.make_ndarray(each.tensor_proto).item().decode() for each in found.Tensors(tag)]
        for tag in found.PluginTagToContent("text")
    }


def hparams(run: Path) -> dict[str, bool | float | str]:
    """The config that the run's HParams show (empty: none yet)."""
    found = opened(run)
    if _START not in found.Tags()["tensors"]:
        return {}
    content = found.PluginTagToContent("hparams")[_START]
    info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in info.hparams.items()}
