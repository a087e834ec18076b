"""What was found where a data set lies: numbers, and one line of words for plan, trial and report."""

from typing import Annotated

from pydantic import AfterValidator, Field

from trainers.counted import counted
from trainers.data.splitting import SplitSizes
from trainers.program import shown
from trainers.strict import StrictModel

_NUM_KINDS_NAMED = 3
_COPY, _COPIES, _SCORED = "copy of a training image", "copies of training images", " in val or test"

FileName = Annotated[str, AfterValidator(shown)]
"""A file's name need not be text, and what is not text can be neither stored nor sent."""


class DataAccount(StrictModel):
    """What is read of a data set, how it may look otherwise than it is read, and what is not read."""

    num_classes: int
    """Number of classes."""
    num_images: SplitSizes
    """Images of each split."""
    num_objects: int = 0
    """Objects to be found, crowds not among them."""
    num_crowds: int = 0
    """Crowds: not learned, and what is found in one is neither right nor wrong."""
    num_empty_images: int = 0
    """Images without any object or crowd; learned as ground, and scored."""
    num_left_out: int = 0
    """Objects without area; neither learned nor scored."""
    num_unnamed: int = 0
    """Images that no file of annotations names; not read."""
    other_files: dict[FileName, int] = Field(default_factory=dict)
    """Ending (empty: none) -> files that are not images; not read."""
    num_hidden: int = 0
    """Files and folders of the system, or with a name that begins with a dot; not read."""
    num_outside: int = 0
    """Images that lie in no class folder; not read."""
    num_repeated: int = 0
    """Links to what is read already; not followed."""
    num_nested: int = 0
    """Images in folders below their class's own; they belong to that class."""
    num_unscored_classes: int = 0
    """Classes that have no test image."""
    num_copies: int = 0
    """Images of validation or test whose very bytes are in training too."""
    num_sought: int | None = None
    """Images of validation and test whose copies were sought (`None`: all)."""
    num_turned: int = 0
    """Images that EXIF turns or mirrors in a viewer."""
    is_turned_as_shown: bool = False
    """Whether they are read as EXIF says."""
    num_with_alpha: int = 0
    """Images that may be transparent somewhere; they are laid on white."""
    num_animated: int = 0
    """Images of several frames; the first is read."""
    unreadable: tuple[FileName, ...] = ()
    """Paths of files that are called like images and are none."""
    num_looked_at: int | None = None
    """Images whose headers were read for the four counts above (`None`: all)."""

    def __str__(self) -> str:
        """One line: `2 classes, 18/3/3 images, 20 files of other kinds (.txt 20), 3 turned by EXIF (ignored)`."""
        exif = "applied" if self.is_turned_as_shown else "ignored"
        broken = f" ({self.unreadable[0]}{', ...' if len(self.unreadable) > 1 else ''})" if self.unreadable else ""
        parts = [
            _counted(self.num_classes, "class", "classes"),
            f"{'/'.join(f'{number:,}' for number in self.num_images)} images",
            _counted(self.num_objects, "object", "objects"),
            _counted(self.num_crowds, "crowd", "crowds", " (not learned)"),
            _counted(self.num_empty_images, "image without objects", "images without objects"),
            _counted(self.num_left_out, "object without area", "objects without area", " (left out)"),
            _counted(self.num_unnamed, "image that no file names", "images that no file names", " (not read)"),
            _counted(sum(self.other_files.values()), "file of another kind", "files of other kinds", self._kinds()),
            _counted(self.num_hidden, "hidden file or folder", "hidden files or folders"),
            _counted(self.num_outside, "image in no class folder", "images in no class folder", " (not read)"),
            _counted(self.num_repeated, "link to what is read already", "links to what is read already"),
            _counted(self.num_nested, "image below its class's folder", "images below their class's folder"),
            _counted(self.num_unscored_classes, "class without a test image", "classes without a test image"),
            _counted(self.num_copies, _COPY, _COPIES, _SCORED),
            _counted(self.num_turned, "turned by EXIF", "turned by EXIF", f" ({exif})"),
            _counted(self.num_with_alpha, "with alpha", "with alpha", " (laid on white)"),
            _counted(self.num_animated, "of several frames", "of several frames", " (the first is read)"),
            _counted(len(self.unreadable), "unreadable", "unreadable", broken),
        ]
        return ", ".join(part for part in parts if part) + self._how_far()

    def _kinds(self) -> str:
        kinds = sorted(self.other_files.items(), key=lambda entry: (-entry[1], entry[0]))
        named = [f"{ending or 'without an ending'} {number:,}" for ending, number in kinds[:_NUM_KINDS_NAMED]]
        return f" ({', '.join(named + ['...'] * (len(kinds) > _NUM_KINDS_NAMED))})"

    def _how_far(self) -> str:
        """What was not looked into, because the set is large."""
        limits = []
        if self.num_looked_at is not None:
            limits.append(f"EXIF, alpha and frames of {self.num_looked_at:,} images")
        if self.num_sought is not None:
            limits.append(f"copies of {self.num_sought:,} images of val and test")
        return f"; looked for {' and '.join(limits)}" if limits else ""


def _counted(number: int, one: str, many: str, remark: str = "") -> str:
    """Nothing where there is nothing to count."""
    return f"{counted(number, one, many)}{remark}" if number else ""


def leak_in(line: str) -> str | None:
    """What an account's line says of training images in validation or test (`None`: nothing).

    `3 copies of training images in val or test`; only the line is kept with an experiment.
    """
    found = line.partition("; looked for ")[0].split(", ")
    return next((part for part in found if part.endswith((_COPY + _SCORED, _COPIES + _SCORED))), None)
