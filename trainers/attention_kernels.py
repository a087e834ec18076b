"""Which kernels compute attention: chosen for both arms of a pair alike, and written down as they ran.

Left alone, torch chooses for each layer, and a mask decides. One that wants a gradient (a treatment's learned Gaussian)
shuts out flash attention and cuDNN, which a control without a mask gets. On a GPU the arms would then round
differently and draw attention dropout by different generators. On a CPU the treatment would be slower by a fifth.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from timm.layers.attention import Attention, AttentionRope
from timm.models.eva import EvaAttention
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from trainers.optimization.recipe import AttentionKernels

_MASK_IS_THE_GAUSSIAN_ALONE = (Attention, AttentionRope, EvaAttention)
"""timm's layers that have no position bias of their own."""
_FUSED = re.compile(r"aten\._scaled_dot_product_(\w+?)_attention")


def chosen_kernels(choice: AttentionKernels, device: torch.device) -> AbstractContextManager[object]:
    """Context of the whole training, scoring and analyses included.

    On CUDA `matched` is memory-efficient attention, the one fused kernel that gives a mask's gradient (torch's
    `sdp_utils.cpp`); what it can't take (a head of 30 channels, say) is computed without a fused kernel in every arm.
    """
    if choice == "fastest" or device.type != "cuda":
        return nullcontext()
    return sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])


def match_plain_attention(model: nn.Module, choice: AttentionKernels, device: torch.device) -> None:
    """On a CPU, `matched` lets layers without a position bias of their own multiply and take the softmax step by step.

    No fused kernel of a CPU gives a mask's gradient, and what torch takes instead looks for rows without any finite
    logit, which costs more than timm's own steps. Layers with a learned bias have that mask in every arm, and stay.
    """
    if choice == "fastest" or device.type != "cpu":
        return
    for module in model.modules():
        if isinstance(module, _MASK_IS_THE_GAUSSIAN_ALONE):
            module.fused_attn = False  # type: ignore[misc]  # final to TorchScript alone


class KernelRecord:
    """What computed attention, looked at once for each purpose and each run of a trial: in its first forward pass."""

    def __init__(self, *, is_compiled: bool) -> None:
        """Nothing has been seen yet; of a compiled model nothing ever is, because looking would make it run eagerly."""
        self._is_compiled = is_compiled
        self._ran: dict[str, set[str]] = {}
        self._looked_at: set[str] = set()

    @property
    def ran(self) -> dict[str, list[str]]:
        """Purpose -> kernels seen so far, for the state of a trial under way."""
        return {purpose: sorted(kernels) for purpose, kernels in self._ran.items()}

    def goes_on_from(self, ran: Mapping[str, Sequence[str]]) -> None:
        """Add what was seen before the training was interrupted, elsewhere perhaps."""
        for purpose, kernels in ran.items():
            self._ran.setdefault(purpose, set()).update(kernels)

    @contextmanager
    def of(self, purpose: str) -> Iterator[None]:
        """Around a forward pass for this purpose (`training`, `scoring`)."""
        if self._is_compiled or purpose in self._looked_at:
            yield
            return
        with _FusedKernels() as seen:
            yield
        self._looked_at.add(purpose)
        self._ran.setdefault(purpose, set()).update(seen.names or {"unfused"})

    def provenance(self) -> dict[str, str]:
        """For provenance: `attention`, such as `training: efficient, scoring: efficient`.

        `unfused` is matrix products and a softmax, one after another; also of a model without attention.
        """
        if self._is_compiled:
            return {"attention": "chosen when the model was compiled"}
        return {"attention": ", ".join(f"{purpose}: {' and '.join(kernels)}" for purpose, kernels in self.ran.items())}


class _FusedKernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names of the fused kernels that run meanwhile: `flash`, `efficient`, `cudnn`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: tuple[type, ...],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        if func is torch.ops.aten.scaled_dot_product_attention.default:
            # In inference mode it comes whole: the choice lies inside.
            with self:
                return func.decompose(*args, **(kwargs or {}))
        found = _FUSED.match(str(func))
        if found:
            self.names.add(found[1])
        return func(*args, **(kwargs or {}))
