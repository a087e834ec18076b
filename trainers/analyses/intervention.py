"""What is done to a model before it is looked at. Needs no torch: the command line knows the names too."""

from typing import Literal

Intervention = Literal["none", "reinitialise-position", "zero-position", "gaussian", "no-gaussian"]
"""What is done to a model before it is looked at (paper, section 3):

`none`: as it is. `reinitialise-position`, `zero-position`: its relative or absolute position embedding drawn anew, or
set to zero. `gaussian`: a Gaussian with its initial values added. `no-gaussian`: the Gaussian that it has left out.
An experiment has the same as arms that change `model.position_embedding` and `attention_bias`, see `docs/paper.md`.
"""
