"""One object for all ranks, whose tensors never lie on the GPU together.

`torch.distributed.broadcast_object_list` makes bytes of the whole object and sends them as one tensor, under NCCL
through the GPU's memory: a training's state, optimizer included, beside the model and optimizer that are there already.
"""

import io
import pickle
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

CHUNK_BYTES = 32 * 2**20
"""What is sent at once, through the GPU under NCCL."""


def broadcast_from_main(value: T | None, *, is_main: bool) -> T:
    """Rank 0's object, on every rank; its tensors come out on the CPU.

    Args:
        value: on rank 0 the object; what else it holds than tensors is small, and can be pickled.
        is_main: whether this is rank 0.
    """
    box: list[tuple[bytes, list[tuple[torch.dtype, torch.Size]]] | None] = [None]
    tensors: list[Tensor] = []
    if is_main:
        frame = io.BytesIO()
        pickler = _WithoutTensors(frame)
        pickler.dump(value)
        tensors = pickler.tensors
        box = [(frame.getvalue(), [(tensor.dtype, tensor.shape) for tensor in tensors])]
    dist.broadcast_object_list(box, src=0)
    assert box[0] is not None
    content, kinds = box[0]
    if not is_main:
        tensors = [torch.empty(shape, dtype=dtype) for dtype, shape in kinds]
    way = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    for tensor in tensors:
        # Bytes: a backend need not know the type.
        flat = tensor.view(-1).view(torch.uint8)
        for start in range(0, len(flat), CHUNK_BYTES):
            part = flat[start : start + CHUNK_BYTES]
            sent = part.to(way)
            dist.broadcast(sent, src=0)
            if not is_main:
                part.copy_(sent)
    if is_main:
        assert value is not None
        return value
    whole: T = _WithTensors(io.BytesIO(content), tensors).load()
    return whole


class _WithoutTensors(pickle.Pickler):
    """Writes a number in place of each tensor."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.tensors: list[Tensor] = []

    def persistent_id(self, obj: object) -> int | None:
        if not isinstance(obj, Tensor):
            return None
        self.tensors.append(obj.detach().cpu().contiguous())
        return len(self.tensors) - 1


class _WithTensors(pickle.Unpickler):
    """Puts the tensors back; what it reads comes from rank 0 of this training."""

    def __init__(self, file: io.BytesIO, tensors: list[Tensor]) -> None:
        super().__init__(file)
        self._tensors = tensors

    def persistent_load(self, pid: int) -> Tensor:
        return self._tensors[pid]
