"""The classifier in fp32 while the rest of the model runs under bf16's autocast.

bf16 keeps 8 bits: of 1,000 logits several are equal then, and which of them is the largest is chance.
"""

from timm.layers.linear import Linear
from torch import Tensor, nn
from torch.amp import autocast
from torch.nn import functional as F


class _Fp32Linear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        with autocast(input.device.type, enabled=False):
            return F.linear(input.float(), self.weight, self.bias)


class _Fp32Conv2d(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        with autocast(input.device.type, enabled=False):
            logits: Tensor = self._conv_forward(input.float(), self.weight, self.bias)
            return logits


_IN_FP32: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: _Fp32Linear,
    # timm's own, in the efficient CNNs; it only looks after TorchScript.
    Linear: _Fp32Linear,
    # 1 x 1, in place of a linear layer (ResNet v2, DPN).
    nn.Conv2d: _Fp32Conv2d,
}


def keep_classifier_in_fp32(model: nn.Module) -> None:
    """Swap the class of every layer of the classifier: same weights, same names in the state dict.

    Args:
        model: has `get_classifier`, as all models of timm have.
    """
    classifier: nn.Module | tuple[nn.Module, ...] = model.get_classifier()  # type: ignore[operator]
    # DeiT's distilled models have two.
    for part in classifier if isinstance(classifier, tuple) else (classifier,):
        for module in part.modules():
            if type(module) in _IN_FP32:
                module.__class__ = _IN_FP32[type(module)]
