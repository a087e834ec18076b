"""TensorBoard among the trackers: it needs a folder only. Importing this loads nothing of TensorBoard."""

import os
from typing import TYPE_CHECKING

from orchestrator.tracking.tracker import Sight, Tracker, TrackerKind

if TYPE_CHECKING:
    from orchestrator.settings import Settings

NAME = "tensorboard"


class TensorboardKind(TrackerKind):
    """Event files that `tensorboard --logdir` reads."""

    name = NAME
    title = "TensorBoard"

    def is_on(self, settings: "Settings") -> bool:
        """Always: a folder can be made."""
        return True

    def look(self, settings: "Settings") -> Sight:
        """Whether the folder can be written, or made."""
        folder = settings.effective_tensorboard_dir
        place = next((path for path in (folder, *folder.parents) if path.exists()), folder)
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            text = f"TensorBoard's folder {folder} can't be written: {place} is another's, or not a folder"
            return Sight(is_well=False, reason=text, advice="fix it, or set SIGMALAB_TENSORBOARD_DIR")
        return Sight(is_well=True, reason=f"event files go to {folder}; `tensorboard --logdir {folder}` shows them")

    def open(self, settings: "Settings") -> Tracker:
        """Writes into the folder; nothing is there yet."""
        # A second, and nobody needs it who has no TensorBoard.
        from orchestrator.tracking.tensorboard.tracker import TensorboardTracker  # noqa: PLC0415

        return TensorboardTracker(settings.effective_tensorboard_dir)
