"""The classifier in fp32 while the rest of the model runs under bf16's autocast.

bf16 keeps 8 bits: of 1,000 logits several are equal then, and which of them is the largest is chance.
"""

from torch import Tensor, nn
from torch.amp import autocast
from torch.nn import functional as F


class _Fp32Linear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        with autocast(input.device.type, enabled=False):
            return F.linear(input.float(), self.weight, self.bias)


def keep_classifier_in_fp32(model: nn.Module) -> None:
    """Swap the class of every linear layer of the classifier: same weights, same names in the state dict.

    Args:
        model: has `get_classifier`, as all models of timm have; a classifier that is not linear stays as it is.
    """
    classifier: nn.Module | tuple[nn.Module, ...] = model.get_classifier()  # type: ignore[operator]
    # DeiT's distilled models have two.
    for part in classifier if isinstance(classifier, tuple) else (classifier,):
        for module in part.modules():
            if type(module) is nn.Linear:
                module.__class__ = _Fp32Linear
