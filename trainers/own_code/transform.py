"""Changes to images by the user's own code, and whether they fit."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from trainers.errors import DataError
from trainers.own_code.generators import generators_apart
from trainers.own_code.items import ImageOrTensor, image_of
from trainers.own_code.loading import as_function, told

if TYPE_CHECKING:
    from trainers.own_code.python_object import PythonObject


def own_transform(named: "PythonObject", input_size_px: int) -> "OwnTransform":
    """Make a transform.

    Args:
        named: target and arguments.
        input_size_px: side S of the images that it has to give.

    Raises:
        OwnCodeError: it can't be made.
    """
    with generators_apart():
        function = as_function(named, wanted="an augmentation", given={"input_size_px": input_size_px})
    return OwnTransform(named.target, function, input_size_px)


class OwnTransform(torch.nn.Module):
    """An image to an image of the model's size, of the same sort: PIL's or a tensor."""

    def __init__(self, target: str, function: Callable[[Any], Any], size_px: int) -> None:
        """Keep the function.

        Args:
            target: how messages call it.
            function: the user's.
            size_px: side S.
        """
        super().__init__()
        self._target, self._function, self._size_px = target, function, size_px

    def forward(self, image: ImageOrTensor) -> ImageOrTensor:
        """The changed image.

        Raises:
            DataError: it raises, or gives something else, or another size.
        """
        try:
            changed = self._function(image)
        except Exception as error:
            raise DataError(f"{self._target} can't change an image: {told(error)}") from error
        made = image_of(changed, f"what {self._target} gives")
        size = made.size if isinstance(made, Image.Image) else (made.shape[-1], made.shape[-2])
        if size != (self._size_px, self._size_px):
            raise DataError(
                f"{self._target} gives an image of {size[0]} x {size[1]} pixels, and the model sees {self._size_px} x "
                f"{self._size_px}: let it end in a crop or a resize; an argument `input_size_px` gets the side"
            )
        if isinstance(image, Tensor):
            return (
                made
                if isinstance(made, Tensor)
                else v2.functional.to_dtype(v2.functional.pil_to_tensor(made), torch.float32, scale=True)
            )
        return made if isinstance(made, Image.Image) else v2.functional.to_pil_image(made)
