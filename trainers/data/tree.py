"""Folders of image files: every file once, wherever links lead, and a tally of what is passed over."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from trainers.errors import DataError
from trainers.fence import fence

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),  # torchvision's ImageFolder
    *(".apng", ".avif", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpx", ".mpo"),
    *(".pbm", ".pcx", ".pnm", ".qoi", ".tga"),
)
"""Files with other endings are counted, not read. Written out, not asked of Pillow: which images a data set has must
not depend on how Pillow was built."""
_SYSTEM_FOLDERS = frozenset(
    {
        *("__macosx", "__pycache__", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin"),
        *("lost+found", "system volume information"),
    }
)
"""What operating systems, network disks and tools leave behind, beside all names that begin with a dot."""


class Place(NamedTuple):
    """What an image is for."""

    split: str
    """Name of the split's folder; empty where one tree holds all images."""
    class_name: str

    def __str__(self) -> str:
        """How messages name it."""
        return f"{self.split}/{self.class_name}" if self.split else self.class_name


class ImageFile(NamedTuple):
    """One image."""

    path: str
    """Where it was found; its real place may be elsewhere."""
    size: int
    """Bytes."""


@dataclass
class PassedOver:
    """What lies in a data set's folder and is not read."""

    other_files: Counter[str] = field(default_factory=Counter)
    """Ending (lower case, with its dot; empty: none) -> files that are not images."""
    num_hidden: int = 0
    """Files and folders whose name begins with a dot, and folders of the system."""
    num_outside: int = 0
    """Images that lie in no class folder."""
    num_repeated: int = 0
    """Links to what is read already, in the same class."""


class FolderEntries(NamedTuple):
    """What one folder holds, apart from what is passed over."""

    folders: list[os.DirEntry[str]]
    images: list[os.DirEntry[str]]
    dead_links: list[os.DirEntry[str]]


class _Reached(NamedTuple):
    """A folder or file that was found, and what for."""

    path: str
    place: Place


class TreeReader:
    """Collects the images of class folders; remembers real places, so that no image is taken twice."""

    def __init__(self, root: str) -> None:
        """Nothing is read yet; `root` is the data set's folder."""
        self.passed_over = PassedOver()
        self._root = os.path.realpath(root)
        self._files: dict[Place, list[ImageFile]] = {}
        self._folders: dict[str, _Reached] = {}
        self._inodes: dict[tuple[int, int], _Reached] = {}
        self._links: list[_Reached] = []
        self._link_targets: dict[str, _Reached] = {}

    def look_into(self, folder: str) -> FolderEntries:
        """What a folder holds; hidden entries and files of other kinds are counted.

        Raises:
            DataError: it can't be read, or is out of the fence.
        """
        found = FolderEntries([], [], [])
        fence().check(folder)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    fence().count(self._root)
                    self._sort_in(entry, found)
        except OSError as error:
            raise DataError(f"{folder} can't be read: {error.strerror or error}") from error
        return found

    def take(self, folder: str, place: Place) -> list[str]:
        """Take all images below a folder, those behind links included.

        Returns:
            Names of the folders directly in it.

        Raises:
            DataError: a folder can't be read, a link leads nowhere, or a folder is taken for two places.
        """
        files = self._files.setdefault(place, [])
        pending = [(folder, os.path.realpath(folder))]
        linked: list[tuple[str, str]] = []
        inner: list[str] | None = None
        while pending or linked:
            # Real folders first: which path an image is read under must not depend on what a disk lists first.
            path, real = pending.pop() if pending else linked.pop()
            if not self._is_new(_Reached(path, place), real):
                continue
            entries = self.look_into(path)
            require_no_dead_links(path, (link for link in entries.dead_links if not self._is_other(link)))
            self.passed_over.other_files.update(_suffix(link.name) for link in entries.dead_links)
            for image in entries.images:
                if image.is_symlink():
                    self._links.append(_Reached(image.path, place))
                else:
                    files.append(ImageFile(image.path, _size(image)))
            for entry in sorted(entries.folders, key=lambda entry: entry.name, reverse=True):
                if not entry.is_symlink():
                    pending.append((entry.path, os.path.join(real, entry.name)))
                elif not self._leads_upwards(target := os.path.realpath(entry.path), real):
                    linked.append((entry.path, target))
            inner = [entry.name for entry in entries.folders] if inner is None else inner
        return sorted(inner or [])

    def settle_links(self) -> None:
        """Take the files behind links; call it once, when all folders are taken.

        Raises:
            DataError: a file is reached for two places.
        """
        for link in sorted(self._links):
            real = fence().check(link.path)
            first = self._link_targets.get(real) or self._reader_of(real)
            if first is None:
                self._link_targets[real] = link
                self._files[link.place].append(ImageFile(link.path, _size_of(real)))
            else:
                self._repeat(first, link, "file", real)

    def images(self, place: Place) -> list[ImageFile]:
        """The images of a place, in torchvision's order: by folder, then by name."""
        return sorted(self._files[place], key=lambda file: os.path.split(file.path))

    def count_unread(self, folder: str) -> int:
        """Images below a folder that nobody has taken; call it when links are settled."""
        num_unread, pending, seen = 0, [folder], set[str]()
        while pending:
            path = pending.pop()
            real = os.path.realpath(path)
            if real in seen or real in self._folders or self._leads_upwards(real, self._root, count=False):
                continue
            seen.add(real)
            entries = self.look_into(path)
            self.passed_over.other_files.update(_suffix(link.name) for link in entries.dead_links)
            targets = (os.path.realpath(image.path) for image in entries.images)
            num_unread += sum(target not in self._link_targets and not self._reader_of(target) for target in targets)
            pending += [entry.path for entry in entries.folders]
        return num_unread

    def _sort_in(self, entry: os.DirEntry[str], found: FolderEntries) -> None:
        if is_hidden(entry.name, is_folder=False):
            self.passed_over.num_hidden += 1
            return
        if entry.is_symlink():
            # Before anything is told of what is there.
            fence().check(entry.path)
        kind = _kind(entry)
        if is_hidden(entry.name, is_folder=kind == "folder"):
            self.passed_over.num_hidden += 1
        elif kind == "folder":
            found.folders.append(entry)
        elif kind == "dead link":
            found.dead_links.append(entry)
        elif kind == "file" and _suffix(entry.name) in IMAGE_SUFFIXES:
            found.images.append(entry)
        else:
            self.passed_over.other_files[_suffix(entry.name)] += 1

    def _is_new(self, reached: _Reached, real: str) -> bool:
        first = self._folders.setdefault(real, reached)
        if first is reached:
            # A folder that is mounted twice has two real paths.
            first = self._inodes.setdefault(_inode(reached.path), reached)
        if first is not reached:
            self._repeat(first, reached, "folder", real)
        return first is reached

    def _leads_upwards(self, real: str, folder: str, *, count: bool = True) -> bool:
        """Whether a folder holds another, or the whole data set: following it would go round in circles."""
        above = any(_is_within(inner, real) for inner in (folder, self._root))
        self.passed_over.num_repeated += above and count
        return above

    def _reader_of(self, real: str) -> _Reached | None:
        """Where an image file was taken without a link, if it was."""
        name = os.path.basename(real)
        if is_hidden(name, is_folder=False) or _suffix(name) not in IMAGE_SUFFIXES:
            return None
        return self._folders.get(os.path.dirname(real))

    def _repeat(self, first: _Reached, second: _Reached, what: str, real: str) -> None:
        if first.place != second.place:
            raise DataError(
                f"{first.path} and {second.path} lead to one {what} ({real}), which would be in {first.place} and in "
                f"{second.place}: an image has one class and one split; remove one of the two"
            )
        self.passed_over.num_repeated += 1

    @staticmethod
    def _is_other(link: os.DirEntry[str]) -> bool:
        """Whether a link that leads nowhere would have been a file of another kind."""
        return _suffix(link.name) not in ("", *IMAGE_SUFFIXES)


def is_hidden(name: str, *, is_folder: bool) -> bool:
    """Whether a name begins with a dot or is a folder of the system's."""
    return name.startswith(".") or (is_folder and name.casefold() in _SYSTEM_FOLDERS)


def require_no_dead_links(folder: str, links: Iterable[os.DirEntry[str]]) -> None:
    """Refuse links that lead nowhere: what they stood for would be left out.

    Raises:
        DataError: names the first and counts the others.
    """
    paths = sorted(link.path for link in links)
    if paths:
        more = f", and so are {len(paths) - 1} more in {folder}" if len(paths) > 1 else ""
        raise DataError(
            f"{paths[0]} is a link that leads nowhere ({os.readlink(paths[0])}){more}; restore or remove it"
        )


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError:
        # A link to itself, or to where nobody may look.
        return "dead link"
    return "dead link" if entry.is_symlink() and not os.path.exists(entry.path) else "neither"


def _inode(folder: str) -> tuple[int, int]:
    """Device and number of a folder."""
    try:
        found = os.stat(folder)
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror or error}") from error
    return found.st_dev, found.st_ino


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError as error:
        raise DataError(f"{entry.path} can't be read: {error.strerror or error}") from error


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)
