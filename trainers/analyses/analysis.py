"""What a trial may be asked beside its training: what every kind of analysis answers."""

from abc import ABC
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, TypeVar

from trainers.analyses.questions import LearnedBiasConfig
from trainers.data.splitting import SplitSizes
from trainers.metrics import Metric
from trainers.models.model import Model
from trainers.strict import StrictModel, kind_of

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.analyses.observer import Observer
    from trainers.data.splits import ImageSplit
    from trainers.ranks import World


class Analysis(StrictModel, ABC):
    """A look at a model that moves no number of its training. A kind is one file here and one line in `trainers.kinds`.

    Its file imports what looks only where it is asked to look: the file is all that other trials read of it.
    """

    metrics: ClassVar[tuple[Metric, ...]] = ()
    """What a claim may rest on, as `<kind>/<name>`."""
    looks_at_images: ClassVar[bool] = False
    """Whether what it finds depends on which images it is shown."""

    @property
    def bias_question(self) -> LearnedBiasConfig | None:
        """How closely the position bias is looked at, at which every trial looks at its end (`None`: as usual)."""
        return None

    @property
    def draws_images(self) -> bool:
        """Whether each seed looks at images of its own."""
        return False

    def complaint(self, model: Model) -> str | None:
        """Why this model can't be asked this, told before anything is built (`None`: it can).

        Without it trials would succeed, and show nothing.
        """
        return None

    def grid_of(self, model: Model) -> tuple[int, int] | None:
        """Height and width of the tokens in which it measures lengths (`None`: it measures none)."""
        return None

    def caveats_of_fresh(self, models: Iterable[Model]) -> tuple[str, ...]:
        """What a reader of a plan should know where these models start from drawn weights."""
        return ()

    def forward_passes(self, sizes: SplitSizes, *, epochs: int) -> int:
        """Images that it sends through the model in a whole trial, a backward pass counted as two."""
        return 0

    def observer(
        self,
        split: "ImageSplit",
        normalize: "Callable[[Tensor], Tensor]",
        *,
        seed: int,
        world: "World",
    ) -> "Observer | None":
        """What looks at a trial under way (`None`: nothing has to).

        Args:
            split: whose images are used.
            normalize: makes the model's input of the split's images.
            seed: the trial's, for images that are drawn.
            world: ranks that share the images; each of them looks whenever one does, and finds the same.
        """
        return None


AnalysisT = TypeVar("AnalysisT", bound=Analysis)


def one_of_each(analyses: tuple[AnalysisT, ...]) -> tuple[AnalysisT, ...]:
    """The analyses as they are: two of a kind would write under the same names.

    Raises:
        ValueError: there are.
    """
    kinds = [kind_of(type(analysis)) for analysis in analyses]
    for position, kind in enumerate(kinds):
        if kind in kinds[:position]:
            raise ValueError(f"the analysis `{kind}` is asked for twice; one of a kind is all")
    return analyses
