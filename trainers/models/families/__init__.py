"""Families of models that take an attention bias. A family is one file here and one line in `FAMILIES`."""

from trainers.models.families import beit, eva, plain, relpos, swin, swin_v2
from trainers.models.families.family import AttachmentSite, Family, PositionParameters

FAMILIES: tuple[Family, ...] = (
    relpos.FAMILY,
    plain.FAMILY,
    beit.FAMILY,
    swin.FAMILY,
    swin_v2.FAMILY,
    eva.FAMILY,
)

__all__ = ["FAMILIES", "AttachmentSite", "Family", "PositionParameters"]
