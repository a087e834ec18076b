"""A package of somebody's own: data, losses, changes, optimizers and augmentations, right ones and wrong ones."""

DATA = """
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

class Squares(Dataset):
    def __init__(self, num=40, px=8, sort="float"):
        self.num, self.px, self.sort = num, px, sort

    def __len__(self):
        return self.num

    def __getitem__(self, place):
        pixels = torch.full((3, self.px, self.px), 5 * place, dtype=torch.uint8)
        if self.sort == "pil":
            return Image.new("L", (self.px, self.px), 5 * place), place % 2
        return pixels if self.sort == "uint8" else pixels / 255, place % 2

class Named(Squares):
    classes = ["even", "odd"]

    @property
    def targets(self):
        return [place % 2 for place in range(self.num)]

class Unread(Named):
    read = []

    def __getitem__(self, place):
        self.read.append(place)
        return super().__getitem__(place)

class Parts(Named):
    def __init__(self, split):
        super().__init__({"train": 20, "val": 6, "test": 8}[split])

def in_a_dict(val=True):
    parts = {"train": Named(20), "val": Named(6), "test": Named(8)}
    return parts if val else {"train": parts["train"], "test": parts["test"]}

def in_a_tuple():
    return Named(20), Named(6), Named(8)

class Noisy(Named):
    def __getitem__(self, place):
        image, label = super().__getitem__(place)
        return (image + torch.rand_like(image)) / 3, label

class Wild(Named):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator()
        self.generator.seed()

    def __getitem__(self, place):
        image, label = super().__getitem__(place)
        return (image + torch.rand(image.shape, generator=self.generator)) / 3, label

class Lazy(Named):
    # Of one file, which it opens when it reads the first image.
    file = None

    def __init__(self, path, num, px):
        super().__init__(num, px)
        self.path = path

    def __getitem__(self, place):
        if self.file is None:
            self.file = open(self.path, "rb", buffering=0)
        size = 3 * self.px**2
        self.file.seek(place * size)
        pixels = torch.frombuffer(bytearray(self.file.read(size)), dtype=torch.uint8)
        return pixels.reshape(3, self.px, self.px), place % 2

sizes = iter(range(40, 1000))

def grows_when_built():
    return Squares(next(sizes))

class Grows(Squares):
    def __getitem__(self, place):
        self.num += place == 0
        return super().__getitem__(0)

class Wrong(Squares):
    def __init__(self, how):
        super().__init__(10)
        self.how = how

    def __getitem__(self, place):
        image, label = super().__getitem__(place)
        if self.how == "raises":
            return {}["no such image"]
        return {
            "alone": image,
            "array": (image.numpy(), label),
            "channels_last": (image.permute(1, 2, 0), label),
            "normalised": (4 * image - 2, label),
            "integers": ((255 * image).long(), label),
            "one_hot": (image, torch.tensor([1, 0])),
            "float_label": (image, 1.0),
            "negative": (image, -1),
            "high": (image, 2),
        }[self.how]

class Empty(Squares):
    def __init__(self):
        super().__init__(0)

class Stream(IterableDataset):
    def __iter__(self):
        yield from Squares()

class Broken(Squares):
    def __init__(self):
        raise OSError("no such folder")
"""
LOSSES = """
import random

import numpy
import torch
from torch import nn
from torch.nn import functional as F

def focal(logits, labels, gamma=2.0):
    loss = F.cross_entropy(logits, labels, reduction="none")
    return ((1 - (-loss).exp()) ** gamma * loss).mean()

class Weighted(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.register_buffer("weight", torch.arange(num_classes) + torch.rand(num_classes))

    def forward(self, logits, labels):
        return F.cross_entropy(logits, labels, weight=self.weight)

class OfTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.tensor([1.0, 2.0]))

    forward = Weighted.forward

def of_each(logits, labels):
    return F.cross_entropy(logits, labels, reduction="none")

def number(logits, labels):
    return F.cross_entropy(logits, labels).item()

def detached(logits, labels):
    return F.cross_entropy(logits.detach(), labels)

def counted(logits, labels):
    return (logits.argmax(1) == labels).sum()

def nothing(logits, labels):
    return F.cross_entropy(logits, labels) / 0

def fails(logits, labels):
    return logits + labels.unsqueeze(0).expand(3, 3)

def one_sided(logits):
    return logits.mean()

class Learned(nn.Module):
    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

class Moving(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, logits, labels):
        self.mean += 1
        return F.cross_entropy(logits, labels)

class Drawing:
    def __init__(self):
        self.drawn = []

    def __call__(self, logits, labels):
        self.drawn.append((random.random(), float(numpy.random.rand()), float(torch.rand(()))))
        return F.cross_entropy(logits, labels) * sum(self.drawn[-1])

class Growing:
    num_steps = 0

    def __call__(self, logits, labels):
        self.num_steps += 1
        return F.cross_entropy(logits, labels) / self.num_steps

def of_a_generator_of_its_own(logits, labels, generator=torch.Generator()):
    return F.cross_entropy(logits, labels) * torch.rand((), generator=generator)

class Mute:
    pass
"""
CHANGES = """
import torch
from torch import nn

from trainers.models.attached_bias import AttachedBias
from trainers.models.bias import AttentionBias

class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(width))
        self.drawn = nn.Linear(width, width)

    def forward(self, x):
        return x + self.scale * self.drawn(x)

def gate(network, width=12):
    network.norm = nn.Sequential(network.norm, Gate(width))
    network.norm[0].requires_grad_(True)

class Louder:
    def __init__(self, by=2.0):
        self.by = by

    def __call__(self, network):
        with torch.no_grad():
            network.patch_embed.proj.weight *= self.by
        network.extra = nn.Parameter(torch.rand(3))
        return network

def dead(network):
    network.blocks[0].attn.no_such_method = len

def another(network):
    return nn.Flatten()

def fails(network):
    network.no_such_part.weight

def narrows(network):
    network.head = nn.Linear(12, 3)

class Far(AttachedBias):
    kind = "far"
    per_head = False

    def __init__(self, grid, strength):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor([strength]))
        self.set_grid(grid)

    def scalars(self):
        return {"strength": self.strength}

    def silence(self):
        self.strength.zero_()

    def forward(self):
        bias = torch.zeros(1, self.num_tokens, self.num_tokens)
        rows = torch.arange(self.grid.height).repeat_interleave(self.grid.width).float()
        far = (rows[:, None] - rows[None]).abs() * self.strength.float()
        start = self.num_prefix_tokens
        return torch.nn.functional.pad(far, (start, 0, start, 0))[None]

class FarBias(AttentionBias):
    words = "far"
    strength: float = -0.5

    @property
    def lr_factor(self):
        return 7.0

    def of_layer(self, grid, num_heads, device):
        return Far(grid, self.strength).to(device)

class FarPlacebo(FarBias):
    is_placebo = True

    def start_from(self, model, weights, data_root):
        raise AssertionError
"""
OPTIMIZERS = """
import torch
from torch.optim import SGD, Optimizer

class Sign(Optimizer):
    def __init__(self, params, lr, weight_decay=0.0, betas=(0.9, 0.99)):
        assert isinstance(betas, tuple)
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    each.mul_(1 - group["lr"] * group["weight_decay"]).add_(each.grad.sign(), alpha=-group["lr"])

class Idle(Sign):
    def step(self, closure=None):
        pass

class Forgetful(Sign):
    num_steps = 0

    def step(self, closure=None):
        self.num_steps += 1
        for _ in range(self.num_steps):
            super().step()

class Second(Sign):
    def step(self, closure):
        closure()

def number(params, lr):
    return lr
"""
AUGMENTATIONS = """
import torch
from torchvision.transforms import v2

class Crop(v2.RandomCrop):
    def __init__(self, input_size_px):
        super().__init__(input_size_px, pad_if_needed=True)

def to_tensor(image, input_size_px):
    return v2.functional.to_dtype(v2.functional.pil_to_tensor(image.resize((input_size_px, input_size_px))),
                                  torch.float32, scale=True)

def as_it_is(image):
    return image

def nothing(image):
    pass

def fails(image):
    return image.no_such_thing
"""
