"""Any data set that `sigmalab data prepare` has listed in a manifest."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainers.data.account import DataAccount
from trainers.data.augmentation import Augmentation
from trainers.data.dataset import Dataset
from trainers.data.jpeg import JpegDecoding, shorter_side_px
from trainers.data.manifest_name import INCOMPLETE, SUFFIX
from trainers.data.scored_view import ScoredView
from trainers.data.splitting import SplitSizes
from trainers.data.survey import Survey
from trainers.errors import DataError
from trainers.fence import fence, is_file, reach, start_in_words
from trainers.packages import needed_for

if TYPE_CHECKING:
    from trainers.data.manifest import Manifest
    from trainers.data.manifest_split import ManifestSplit
    from trainers.data.seeded_transform import SeededTransform
    from trainers.data.splits import Splits


class ManifestConfig(Dataset):
    """ImageNet-1K, Oxford-IIIT Pet, Caltech-101, Stanford Cars or Dogs, as `sigmalab data prepare` has listed it."""

    reads_files: ClassVar[bool] = True

    kind: Literal["manifest"] = "manifest"
    path: str = Field(min_length=1)
    """The manifest, such as `oxford_pet-paper.manifest.parquet`; `~` is the home of whoever trains, a
    relative path starts at the runtime's data root."""
    jpeg: JpegDecoding = Field(default="full", exclude_if=lambda value: value == "full")
    """`scaled` decodes a JPEG at a half, a quarter or an eighth of its side, whose shorter one keeps twice that of the
    model's input: quicker for photographs of 1,000 pixels and more, and other pixels than `full` gives."""

    @property
    def label(self) -> str:
        """Short name for tables: the manifest's own."""
        name = Path(self.path).name
        return name.removesuffix(SUFFIX) or "manifest"

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of labels, splits and checksums of all images: see `trainers.data.manifest.content_digest`.

        Raises:
            DataError: there is no such manifest, or it is broken.
        """
        return self._read(data_root).header.digest[:20]

    def survey(self, data_root: Path | None) -> Survey:
        """What the manifest tells; opens no image.

        Raises:
            DataError: there is no such manifest, or it is broken.
        """
        manifest = self._read(data_root)
        self._images_folder(manifest, data_root)
        sizes = SplitSizes(*(len(manifest.indices(name)) for name in ("train", "val", "test")))
        account = DataAccount(
            num_classes=len(manifest.header.class_names), num_images=sizes, num_copies=manifest.num_copies()
        )
        return Survey(manifest.header.digest[:20], sizes, account)

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """The splits that the manifest tells; images are read, and checked, when a batch needs them.

        Args:
            data_root: where a relative path starts (`None`: the current folder).
            input_size_px: side of the model's input.
            augmentation: random changes to training images.
            seed: the trial's seed, for the augmentation stream.
            view: of images that are scored (`None`: the usual one).

        Raises:
            DataError: there is no such manifest, it is broken, or a split is empty.
        """
        import torch

        from trainers.data.image_file import CenterCrop
        from trainers.data.manifest_split import ManifestSplit
        from trainers.data.splits import Splits

        manifest = self._read(data_root)
        folder = self._images_folder(manifest, data_root)
        crop = CenterCrop(input_size_px, view)
        augment = augmentation.build(input_size_px=input_size_px, seed=seed)

        def split(name: str, augment: "SeededTransform | None" = None) -> "ManifestSplit":
            indices = torch.from_numpy(manifest.indices(name))
            if len(indices) == 0:
                raise DataError(f"the {name} split of {self._file(data_root)} is empty; prepare the whole data set")
            keep_px = shorter_side_px(self.jpeg, input_size_px)
            return ManifestSplit(manifest, folder, indices, crop, augment, keep_px=keep_px)

        return Splits(
            train=split("train", augment),
            val=split("val"),
            test=split("test"),
            class_names=manifest.header.class_names,
        )

    def missing_publication(self, data_root: Path | None) -> str | None:
        """Told by the file's usual name, `<set>-<protocol>.manifest.parquet`, where there is none but one may be."""
        try:
            return None if is_file(self._file(data_root)) else self.label
        except DataError:
            return None

    def _file(self, data_root: Path | None) -> Path:
        return reach(self.path, data_root)

    def _read(self, data_root: Path | None) -> "Manifest":
        file = self._file(data_root)
        if not is_file(file):
            raise DataError(self._absent(file, data_root))
        with needed_for("pyarrow", f"to read {file.name}"):
            from trainers.data.manifest import read_manifest

        manifest = read_manifest(file)
        if not manifest.header.has_labels:
            raise DataError(
                f"{file} lists a set with masks or objects, whose images have no class: name the set itself, as "
                f"`sigmalab data prepare {manifest.header.data_set}` has printed it"
            )
        return manifest

    def _images_folder(self, manifest: "Manifest", data_root: Path | None) -> Path:
        folder = self._file(data_root).parent / manifest.header.images_folder
        fence().check(folder, f"{manifest.header.images_folder} (the images of {self.path})")
        return folder

    def _absent(self, file: Path, data_root: Path | None) -> str:
        try:
            there = sorted(found.name for found in file.parent.glob(f"*{SUFFIX}"))
        except OSError:
            there = []
        nearest = difflib.get_close_matches(file.name, there, n=3, cutoff=0.4)
        meant = f"; there is {' and '.join(nearest)}" if nearest else ""
        set_name, hyphen, protocol = self.label.removesuffix(INCOMPLETE).rpartition("-")
        if not hyphen:
            set_name, protocol = "<set>", "<protocol>"
        command = f"sigmalab data prepare {set_name} --root <its folder> --protocol {protocol}"
        return (
            f"no manifest {file.resolve()} (path {self.path!r}, from the {start_in_words(data_root)}){meant}; "
            f"`{command}` writes one, `sigmalab data list` names the sets"
        )
