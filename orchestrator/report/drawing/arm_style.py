"""How arms look in all figures that draw them as lines: one colour and one mark per arm, wherever it is shown."""

from collections.abc import Sequence
from typing import NamedTuple

# Grey for the control, then Okabe and Ito's colours, which stay apart for colour-blind readers.
CONTROL_COLOR = "#6B6B6B"
TREATMENT_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_CONTROL_MARK, _TREATMENT_MARKS = "o", "Ds^vPX"


class ArmStyle(NamedTuple):
    """Of one arm."""

    color: str
    """Of lines and marks."""
    mark: str
    """Differs as the colour does, for who can't tell colours apart."""


def arm_style(arm: str, arms: Sequence[str], control: str) -> ArmStyle:
    """Style of one arm; that of a treatment depends on its place in the spec, not on which arms a figure shows.

    Args:
        arm: the arm; one that is not among `arms` looks like the control.
        arms: names of all arms of the experiment, in the order of the spec.
        control: name of the control.
    """
    treatments = [name for name in arms if name != control]
    if arm not in treatments:
        return ArmStyle(CONTROL_COLOR, _CONTROL_MARK)
    place = treatments.index(arm)
    return ArmStyle(TREATMENT_COLORS[place % len(TREATMENT_COLORS)], _TREATMENT_MARKS[place % len(_TREATMENT_MARKS)])
