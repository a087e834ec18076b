"""The masks of an image's objects."""

from trainers.data.nearest_mask import NearestMask


class InstanceMasks(NearestMask):
    """[n, H, W] uint8: 1 where each object is; what comes from outside of the image belongs to none."""
