"""Whether poor candidates end early: what every rule answers, and the rules there are."""

from abc import ABC
from typing import Literal, NamedTuple

from pydantic import Field

from trainers.counted import counted
from trainers.strict import StrictModel, kind_of


class Halving(NamedTuple):
    """Successive halving on epochs."""

    grace_epochs: int
    """Epochs that every candidate may train."""
    reduction_factor: float
    """One in this many candidates survives each rung."""


class EarlyStopping(StrictModel, ABC):
    """Which candidates of a search end early, as a spec names it."""

    @property
    def words(self) -> str:
        """What reports call it."""
        return kind_of(type(self))

    @property
    def halving(self) -> Halving | None:
        """The race of candidates (`None`: there is none)."""
        return None

    def complaint(self, *, epochs: int) -> str | None:
        """Why it never acts on trainings of so many epochs (`None`: it does, or is not meant to)."""
        return None


class NoEarlyStopping(EarlyStopping):
    """Every candidate trains to its end."""

    kind: Literal["none"] = "none"


class Asha(EarlyStopping):
    """Asynchronous successive halving on epochs, within one cell and arm."""

    kind: Literal["asha"] = "asha"
    grace_epochs: int = Field(default=1, ge=1)
    """Epochs that every candidate may train."""
    reduction_factor: float = Field(default=3.0, gt=1)
    """One in this many candidates survives each rung."""

    @property
    def words(self) -> str:
        """`asha from epoch 1, 1 in 3 goes on`."""
        return f"asha from epoch {self.grace_epochs}, 1 in {self.reduction_factor:g} goes on"

    @property
    def halving(self) -> Halving:
        """Its rungs."""
        return Halving(self.grace_epochs, self.reduction_factor)

    def complaint(self, *, epochs: int) -> str | None:
        """All candidates are through before the first rung."""
        if self.grace_epochs < epochs:
            return None
        return (
            f"early stopping after {counted(self.grace_epochs, 'epoch')} (`grace_epochs`) never takes effect in a "
            "training of "
            f"{epochs}"
        )
