"""What of a report is wanted: to read and fit hundreds of maps takes seconds."""

from typing import NamedTuple


class ReportParts(NamedTuple):
    """What takes long in a report, and can be left out of one that is not shown as a whole."""

    fields: bool = True
    """Receptive fields."""
    fits: bool = True
    """The Gaussians through them; else they are arrays only."""
    views: bool = True
    """Position biases."""


WHOLE = ReportParts()
"""All that there is."""

NO_MAPS = ReportParts(fields=False, fits=False, views=False)
"""Numbers only."""

FIELD_ARRAYS = ReportParts(fits=False, views=False)
"""Receptive fields as arrays, and what has them."""

FIELDS = ReportParts(views=False)
"""Receptive fields, measured."""

VIEWS = ReportParts(fields=False, fits=False)
"""Position biases."""
