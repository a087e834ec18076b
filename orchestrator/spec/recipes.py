"""Named ways to train: the lowest layer of an experiment's algebra, below everything that a user writes.

effective spec = merge_patch(recipe, what the user wrote)

Nothing here knows torch: `sigmalab recipes` lists them at once.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import JsonValue

from orchestrator.spec.complaints import Path
from orchestrator.spec.patch import merge_patch
from trainers.strict_json import JsonObject

RecipeName = Literal["paper-finetune", "paper-imagenet", "modern", "mask-rcnn-1x", "mask-rcnn-3x", "upernet-160k"]


@dataclass(frozen=True)
class Recipe:
    """How to train, under a name."""

    name: RecipeName
    description: str
    """What it is for, in a sentence."""
    source: str
    """Where its values come from, and what of them nobody told."""
    patch: JsonObject
    """Fields of a spec: task, augmentation, mixing, normalization, optimization."""

    def decides(self, path: Path, document: JsonValue) -> bool:
        """Whether this recipe, and not the user, has made what stands at a place.

        Args:
            path: place in a spec or in a trial's config.
            document: the spec or trial, recipe included.
        """
        ours: JsonValue = self.patch
        there = document
        if not path or path[0] not in self.patch:
            return False
        for key in path:
            if not isinstance(ours, dict) or not isinstance(there, dict) or key not in ours or key not in there:
                # A default of an object that the recipe chose.
                return isinstance(ours, dict) and "kind" in ours and _contains(there, ours)
            ours, there = ours[str(key)], there[str(key)]
        return _contains(there, ours)


def with_recipe(document: JsonObject) -> JsonObject:
    """A spec as a user wrote it, with its recipe below it.

    `null` in an object takes back what the recipe sets there. A spec in which every default is written out, as they are
    stored, leaves no room for its recipe: reading it again gives the same.

    Args:
        document: any JSON object; one that names no known recipe comes back as it is.
    """
    recipe = recipe_of(document)
    if recipe is None:
        return document
    written: JsonObject = {name: value for name, value in document.items() if name in recipe.patch}
    merged = merge_patch(recipe.patch, written)
    return {**{name: value for name, value in document.items() if name not in recipe.patch}, **merged}


def recipe_of(document: JsonObject) -> Recipe | None:
    """The recipe that a spec names, if it is a known one."""
    name = document.get("recipe")
    return RECIPES.get(name) if isinstance(name, str) else None


def _contains(value: JsonValue, part: JsonValue) -> bool:
    """Whether all that `part` says stands in `value`."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(name in value and _contains(value[name], part[name]) for name in part)
    return value == part


_STRONG_AUGMENTATION: JsonObject = {
    "kind": "rand_augment",
    "policy": "rand-m9-mstd0.5-inc1",
    "min_scale_fraction": 0.08,
    "flip_probability": 0.5,
    "erasing_probability": 0.25,
}
_MIXUP_OR_CUTMIX: JsonObject = {
    "kind": "mixup",
    "mixup_alpha": 0.8,
    "cutmix_alpha": 1.0,
    "probability": 1.0,
    "switch_probability": 0.5,
}

_PAPER_FINETUNE = Recipe(
    name="paper-finetune",
    description="The paper's fine-tuning on Pet, Caltech-101, Cars and Dogs, from published weights.",
    source=(
        "The authors' published training script: SGD with momentum 0.9, lr 0.01, weight decay 5e-4, batch 64, 200 "
        "epochs, cosine, its chain of augmentations, ImageNet's mean and deviation (timm's weights for these models "
        "were trained with 0.5). Differs on purpose: the learning rate moves with every step instead of every epoch; "
        "vectors and tables of positions do not decay either (there, only sigma and A do not); images that are scored "
        "are resized bicubically (there: bilinearly); an incomplete last batch of an epoch is left out."
    ),
    patch={
        "task": {"kind": "classification", "label_smoothing": 0.0},
        "augmentation": {"kind": "paper"},
        "mixing": {"kind": "none"},
        "normalization": "imagenet",
        "optimization": {
            "optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": False, "weight_decay": 5e-4},
            "schedule": {"kind": "cosine", "warmup_epochs": 0.0, "final_lr_fraction": 0.0},
            "epochs": 200,
            "global_batch_size": 64,
            "layer_decay": 1.0,
            "ema": {"kind": "none"},
        },
    },
)

_PAPER_IMAGENET = Recipe(
    name="paper-imagenet",
    description="ImageNet-1K from published weights whose relative position is drawn anew: the paper's question there.",
    source=(
        "A reconstruction. What we could read of the paper, and the authors' published script (which trains the four "
        "small sets only), tell neither epochs, optimizer, learning rate, batch, augmentation nor regularisation on "
        "ImageNet, nor whether training began with published weights there. Augmentation, Mixup/CutMix, label "
        "smoothing, weight decay and clipping are those of Swin (arXiv 2103.14030), after whose training timm names "
        "the weights of these models (`sw_in1k`); what is erased takes one colour, not noise. 30 epochs at a batch of "
        "1,024, with 5 of warm-up, are what Swin takes to train published weights further; AdamW's lr of 1e-4 is "
        "ours, a tenth of Swin's from scratch. Normalisation: what timm's weights expect."
    ),
    patch={
        "task": {"kind": "classification", "label_smoothing": 0.1},
        "augmentation": _STRONG_AUGMENTATION,
        "mixing": _MIXUP_OR_CUTMIX,
        "normalization": "model",
        "optimization": {
            "optimizer": {"kind": "adamw", "lr": 1e-4, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.05},
            "schedule": {"kind": "cosine", "warmup_epochs": 5.0, "final_lr_fraction": 0.01},
            "epochs": 30,
            "global_batch_size": 1024,
            "clip_grad_norm": 5.0,
            "layer_decay": 1.0,
            "ema": {"kind": "none"},
        },
    },
)

_MODERN = Recipe(
    name="modern",
    description="What is usual today for a small or medium ViT: published weights trained further on a new set.",
    source=(
        "Common practice, from no single paper: AdamW and cosine with warm-up, RandAugment, Mixup/CutMix, random "
        "erasing and label smoothing as DeiT (arXiv 2012.12877) and Swin have them, layer-wise learning rates as in "
        "BEiT (arXiv 2106.08254), an average of the weights. lr, batch, epochs and the factor 0.75 are ours, for sets "
        "of 5,000 to 50,000 images; nothing was tuned. From fresh weights set `layer_decay` to 1 and train longer."
    ),
    patch={
        "task": {"kind": "classification", "label_smoothing": 0.1},
        "augmentation": _STRONG_AUGMENTATION,
        "mixing": _MIXUP_OR_CUTMIX,
        "normalization": "model",
        "optimization": {
            "optimizer": {"kind": "adamw", "lr": 5e-4, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.05},
            "schedule": {"kind": "cosine", "warmup_epochs": 5.0, "final_lr_fraction": 0.01},
            "epochs": 50,
            "global_batch_size": 128,
            "clip_grad_norm": 1.0,
            "layer_decay": 0.75,
            "ema": {"kind": "ema", "decay": 0.9998},
        },
    },
)


def _mask_rcnn(name: RecipeName, *, epochs: int, milestones: list[int], times: str) -> Recipe:
    return Recipe(
        name=name,
        description=f"Swin's Mask R-CNN on COCO, {times}: detection and instance segmentation at several sizes.",
        source=(
            "Swin (arXiv 2103.14030) and its published configuration for mmdetection "
            "(github.com/SwinTransformer/Swin-Transformer-Object-Detection, "
            "`mask_rcnn_swin_*_mstrain_480-800_adamw`), read value by value: AdamW with lr 1e-4 and weight decay 0.05 "
            "(0 for norms and position tables), batch 16, 500 steps of warm-up (mmdetection's own configuration of it: "
            f"1,000), {epochs} epochs with drops after {milestones[0]} and {milestones[1]}; a shorter side of 480 to "
            "800 pixels, half of the images cropped "
            "before, scored at 800 with the longer side at most 1333. Stochastic depth belongs to the model: "
            "`drop_path` is 0.2 there (Swin-T for 12 epochs: 0.1). Differs on purpose: no vector decays (there, those "
            "of linear layers do); images without objects are learned from, as ground (there, they are left out); an "
            "incomplete last batch of an epoch is left out; the epoch with the best validation is scored (there, the "
            "last). Heads are torchvision's: smooth L1 for boxes up to an error of 1/9 (there, L1), and regions are "
            "looked at in 2 x 2 points of each place (there, in as many as fit, half a pixel beside)."
        ),
        patch={
            "task": {
                "kind": "detection",
                "view": {"kind": "short_side", "short_side_px": 800, "max_long_side_px": 1333},
            },
            "augmentation": {
                "kind": "multi_scale",
                "short_sides_px": [480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800],
                "max_long_side_px": 1333,
                "crop_probability": 0.5,
                "crop_short_sides_px": [400, 500, 600],
                "min_crop_px": 384,
                "max_crop_px": 600,
                "flip_probability": 0.5,
            },
            "mixing": {"kind": "none"},
            "normalization": "imagenet",
            "optimization": {
                "optimizer": {"kind": "adamw", "lr": 1e-4, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.05},
                "schedule": {"kind": "step", "milestones": [*milestones], "gamma": 0.1, "warmup_steps": 500},
                "epochs": epochs,
                "global_batch_size": 16,
                "layer_decay": 1.0,
                "ema": {"kind": "none"},
            },
        },
    )


_MASK_RCNN_1X = _mask_rcnn("mask-rcnn-1x", epochs=12, milestones=[8, 11], times="12 epochs")
_MASK_RCNN_3X = _mask_rcnn("mask-rcnn-3x", epochs=36, milestones=[27, 33], times="36 epochs")

_UPERNET_160K = Recipe(
    name="upernet-160k",
    description="Swin's UPerNet on ADE20K: semantic segmentation for 160,000 steps.",
    source=(
        "Swin (arXiv 2103.14030) and its published configuration for mmsegmentation "
        "(github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation, `upernet_swin_*_512x512_160k_ade20k`), "
        "read value by value: AdamW with lr 6e-5 and weight decay 0.01 (0 for norms and position tables), batch 16, "
        "1,500 steps of warm-up, a line down to 0; scale 0.5 to 2, a crop that one class does not fill to 0.75, flip, "
        "photometric distortion; UPerNet with 512 channels and an auxiliary head of 256 on the third map with weight "
        "0.4, both with dropout 0.1; whole images are scored, the shorter side at 512. 127 epochs of ADE20K's 20,210 "
        "images are 160,401 steps. Set the model's `image_size_px` to 512 and its `drop_path` to 0.3. Differs on "
        "purpose: no vector decays (there, those of linear layers and convolutions do); the line begins after the "
        "warm-up (there, with it: at most 1 % of the rate); an incomplete last batch of an epoch is left out; the "
        "epoch with the best validation is scored (there, the last); a scored image is filled up to a multiple of 32 "
        "pixels, and a longer side above 2,048 is kept."
    ),
    patch={
        "task": {
            "kind": "segmentation",
            "head": {
                "kind": "upernet",
                "channels": 512,
                "auxiliary_weight": 0.4,
                "auxiliary_channels": 256,
                "dropout": 0.1,
            },
            "scoring": "whole",
        },
        "augmentation": {
            "kind": "scale_crop",
            "min_ratio": 0.5,
            "max_ratio": 2.0,
            "max_class_fraction": 0.75,
            "flip_probability": 0.5,
            "photometric_distortion": True,
            "fill_rgb": [124, 116, 104],
        },
        "mixing": {"kind": "none"},
        "normalization": "imagenet",
        "optimization": {
            "optimizer": {"kind": "adamw", "lr": 6e-5, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.01},
            "schedule": {"kind": "polynomial", "power": 1.0, "final_lr_fraction": 0.0, "warmup_steps": 1500},
            "epochs": 127,
            "global_batch_size": 16,
            "layer_decay": 1.0,
            "ema": {"kind": "none"},
        },
    },
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (_PAPER_FINETUNE, _PAPER_IMAGENET, _MODERN, _MASK_RCNN_1X, _MASK_RCNN_3X, _UPERNET_160K)
}
assert tuple(RECIPES) == get_args(RecipeName)
