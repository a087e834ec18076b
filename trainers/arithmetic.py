"""What a GPU computes fp32 in: IEEE single precision, or TF32, which keeps 10 bits of each factor."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fp32_products(*, tf32: bool) -> Iterator[None]:
    """Choose for matrix products and convolutions alike, and put back what was there before.

    torch's own default is neither: convolutions in TF32, matrix products in IEEE. A CPU has no TF32 and notices
    nothing. The settings are torch's older ones, which every version since 2.0 knows; its newer ones (2.9) must not
    be mixed with them.

    Args:
        tf32: whether factors may be rounded to TF32.
    """
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    _set("high" if tf32 else "highest", cudnn_tf32=tf32)
    try:
        yield
    finally:
        _set(matmul, cudnn_tf32=cudnn)


def _set(matmul: str, *, cudnn_tf32: bool) -> None:
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = cudnn_tf32
