"""What a spec may name: links followed, nothing of the kernel's, within limits, and told in the same words."""

import hashlib
import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from trainers.data.augmentation import NoAugmentation
from trainers.data.folder import FolderConfig
from trainers.data.image_file import FileSplit
from trainers.data.manifest_set import ManifestConfig
from trainers.data.stored_image import StoredImage, read_stored_image
from trainers.errors import CheckpointError, DataError, ReadingStoppedError
from trainers.fence import Fence, fence, fenced
from trainers.models.weights_file import WeightsFile

NO_DIGEST = "0" * 64


def make_images(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), number: int = 4) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(number):
            Image.new("RGB", (4, 4), (i, i, i)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    return make_images(tmp_path / "allowed" / "pets").parent


def complaint(config: FolderConfig | ManifestConfig, roots: tuple[Path, ...]) -> str:
    with pytest.raises(DataError) as caught, fenced(Fence(roots)):
        config.survey(None)
    return str(caught.value)


def test_a_folder_inside_is_read(allowed: Path) -> None:
    with fenced(Fence((allowed,))):
        assert FolderConfig(path=str(allowed / "pets")).survey(None).sizes.train == 6
    assert fence().roots is None


def test_whether_anything_is_there_outside_is_not_told(allowed: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "secret")
    (tmp_path / "file").write_text("x")
    for kind in (FolderConfig, ManifestConfig):
        words = {
            complaint(kind(path=str(tmp_path / name)), (allowed,)).replace(name, "?")
            for name in ("secret", "absent", "file", "file/below", "secret/cat/0.png")
        }
        assert len(words) == 1
        assert "leads out of the folders that this service may read for others" in words.pop()


def test_links_are_followed_and_where_they_lead_is_not_told(allowed: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "secret")
    (allowed / "link").symlink_to(tmp_path / "secret")
    (allowed / "dead").symlink_to(tmp_path / "absent")
    (allowed / "pets" / "cat" / "more").symlink_to(tmp_path / "secret" / "dog")
    (allowed / "birds" / "a").mkdir(parents=True)
    (allowed / "birds" / "a" / "1.png").symlink_to(tmp_path / "secret" / "cat" / "1.png")
    (allowed / "fish" / "a").mkdir(parents=True)
    (allowed / "fish" / "a" / "1.png").symlink_to(tmp_path / "secret" / "cat" / "absent.png")
    for name in ("link", "dead", "pets", "birds", "fish"):
        told = complaint(FolderConfig(path=str(allowed / name)), (allowed,))
        assert "leads out of the folders" in told
        assert "secret" not in told
        assert "absent" not in told


def test_an_image_that_becomes_a_link_out_is_refused_when_a_batch_needs_it(allowed: Path, tmp_path: Path) -> None:
    secret = make_images(tmp_path / "secret") / "cat" / "0.png"
    with fenced(Fence((allowed,))):
        pets = FolderConfig(path=str(allowed / "pets"))
        split = pets.load(None, input_size_px=8, augmentation=NoAugmentation(), seed=0).train
    assert isinstance(split, FileSplit)
    assert split.image(0).size == (4, 4)
    for image in (allowed / "pets").glob("*/*.png"):
        image.unlink()
        image.symlink_to(secret)
    # As in a loader's process, where no fence holds.
    with pytest.raises(DataError, match="leads out of the folders"):
        split.image(0)


def test_what_was_checked_is_what_is_read(allowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that is turned as soon as it was checked."""
    inner, secret, link = allowed / "inner.bin", tmp_path / "secret.bin", allowed / "link.bin"
    inner.write_bytes(b"weights")
    secret.write_bytes(b"secret")
    link.symlink_to(inner)
    check = Fence.check

    def check_and_turn(self: Fence, path: str | os.PathLike[str], named: str | None = None) -> str:
        real = check(self, path, named)
        link.unlink()
        link.symlink_to(secret)
        return real

    monkeypatch.setattr(Fence, "check", check_and_turn)
    weights = WeightsFile(path=str(link), sha256=hashlib.sha256(b"weights").hexdigest())
    with fenced(Fence((allowed,))):
        assert weights.verified(None) == inner
    link.unlink()
    link.symlink_to(inner)
    image = StoredImage("link.bin")
    assert read_stored_image(allowed, image, Path(Fence((allowed,)).check(link))) == b"weights"


def test_a_link_to_another_allowed_folder_is_followed(allowed: Path, tmp_path: Path) -> None:
    other = make_images(tmp_path / "other" / "pets").parent
    (allowed / "link").symlink_to(other / "pets")
    with fenced(Fence((allowed, other))):
        assert FolderConfig(path=str(allowed / "link")).survey(None).sizes.train == 6


@pytest.mark.parametrize("path", ["/proc/self", "/proc", "/sys", "/dev", "/dev/fd", "/proc/self/root/proc"])
def test_the_kernel_s_folders_are_refused_even_without_a_fence(path: str) -> None:
    with pytest.raises(DataError, match="a folder of the kernel's"):
        FolderConfig(path=path).survey(None)


def test_a_disk_in_memory_is_a_disk() -> None:
    Fence().check("/dev/shm/pets")


def test_weights_outside_tell_nothing(allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    for name in ("key", "absent"):
        with pytest.raises(CheckpointError, match="leads out of the folders"), fenced(Fence((allowed,))):
            WeightsFile(path=str(tmp_path / name), sha256=NO_DIGEST).verified(None)


def test_weights_that_are_no_file(allowed: Path) -> None:
    os.mkfifo(allowed / "pipe")
    for path in (str(allowed / "pipe"), str(allowed)):
        with pytest.raises(CheckpointError, match="there is no file of weights"):
            WeightsFile(path=path, sha256=NO_DIGEST).verified(None)
    with pytest.raises(CheckpointError, match="kernel's"):
        WeightsFile(path="/dev/zero", sha256=NO_DIGEST).verified(None)


@pytest.mark.parametrize("path", ["x" * 300, "x/" * 3000, "loop", "file/below", "a\0b"])
def test_every_error_of_the_disk_is_a_message(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    for config in (FolderConfig(path=path), ManifestConfig(path=path)):
        with pytest.raises(DataError):
            config.survey(tmp_path)
    with pytest.raises(CheckpointError):
        WeightsFile(path=path, sha256=NO_DIGEST).verified(tmp_path)


def test_a_folder_without_the_right_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(DataError, match="can't be looked at: Permission denied"):
        FolderConfig(path=str(tmp_path)).survey(None)


def test_limits_on_entries_and_seconds(allowed: Path) -> None:
    pets = FolderConfig(path=str(allowed / "pets"))
    with (
        pytest.raises(DataError, match=r"more than 3 entries .*SIGMALAB_DATA_MAX_ENTRIES"),
        fenced(Fence(max_entries=3)),
    ):
        pets.survey(None)
    with (
        pytest.raises(DataError, match=r"took more than 0 s: .*SIGMALAB_DATA_MAX_SECONDS"),
        fenced(Fence(max_seconds=0.0)),
    ):
        pets.survey(None)


def test_it_stops_when_nobody_waits(allowed: Path) -> None:
    gone = threading.Event()
    gone.set()
    with pytest.raises(ReadingStoppedError), fenced(Fence(is_cancelled=gone.is_set)):
        FolderConfig(path=str(allowed / "pets")).survey(None)


def test_a_folder_that_is_mounted_twice_is_read_once(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a bind mount, which a test can't make: two names, one device and number."""
    twin = make_images(allowed / "twin", classes=("cat", "dog", "again"))
    stat = os.stat

    def stat_as_one(path: str | os.PathLike[str], **options: object) -> os.stat_result:
        return stat(str(twin / "cat") if str(path) == str(twin / "again") else path, **options)

    monkeypatch.setattr("trainers.data.tree.os.stat", stat_as_one)
    with pytest.raises(DataError, match="lead to one folder"):
        FolderConfig(path=str(twin)).survey(None)
