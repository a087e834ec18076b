"""The page of one comparison: its pairs, and of one of them both trials side by side."""

import asyncio
from http import HTTPStatus
from typing import Annotated, NamedTuple
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from markupsafe import Markup

from api.dependencies import ExperimentsDep, PicturesDep, ReportsDep
from api.errors import RequestError
from api.pages.experiment import report_for_page
from api.pages.glimpsed import glimpse_or_why
from api.pages.rendering import page
from api.pages.route import pages_router
from api.report_desk import Glimpse, ReportDesk
from orchestrator.report import Report
from orchestrator.report.drawing.difference_glyph import difference_glyph
from orchestrator.report.drawing.drawn_pairs import not_all_words
from orchestrator.report.drawing.slope_glyph import slope_glyph
from orchestrator.report.words.answers import pairing_words
from orchestrator.service.experiments import Experiments
from orchestrator.service.pair import PairTrials
from orchestrator.service.views import ExperimentView
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import TrialStatus
from orchestrator.stored.disagreements import Disagreement, Kind
from trainers.errors import DataError

router = pages_router()
pictures_router = APIRouter(include_in_schema=False)

MAX_ROWS = 500
"""Pairs with a row of their own."""
IMAGES = 24
"""On one page."""
IMAGES_SECONDS = 1.0
"""How long the page waits for images: the first time a process starts for them."""

_Text = Annotated[str, Path(max_length=300)]
_Seed = Annotated[int | None, Query(ge=0, lt=2**63)]


class _Shown(NamedTuple):
    """Images of one page."""

    counts: dict[Kind, int]
    num_images: int
    kind: Kind
    images: tuple[Disagreement, ...]
    next_after: int | None


@router.get("/experiments/{experiment_id}/pairs/{model}/{dataset}/{treatment}")
async def show_pair(
    request: Request,
    experiment_id: str,
    model: _Text,
    dataset: _Text,
    treatment: _Text,
    experiments: ExperimentsDep,
    reports: ReportsDep,
    pictures: PicturesDep,
    seed: _Seed = None,
    images: Kind | None = None,
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> Response:
    """All pairs of a comparison; of one of them curves, circumstances, and images that both trials disagree on."""
    last_event = await run_in_threadpool(experiments.last_event, experiment_id)
    view, told = await asyncio.gather(
        run_in_threadpool(experiments.get, experiment_id), report_for_page(reports, experiment_id)
    )
    # Whoever writes an address by hand may take the label, which is no other arm's name.
    treatment = {label: name for name, label in view.arm_labels.items()}.get(treatment, treatment)
    glimpse, trouble = (None, told) if isinstance(told, str) else (told, "")
    comparison = None
    if glimpse is not None:
        comparison = glimpse.answer.whole(_comparison(glimpse.answer.report, view, model, dataset, treatment))
    parts = "/".join(quote(part, safe="") for part in (model, dataset, treatment))
    path = f"/experiments/{experiment_id}/pairs/{parts}"
    chosen = _chosen_seed(comparison, seed)
    trials = PairTrials(None, None)
    if chosen is not None:
        trials = await run_in_threadpool(
            experiments.pair, experiment_id, cell=f"{model}/{dataset}", treatment=treatment, seed=chosen
        )
    control, name = (view.arm_labels.get(arm, arm) for arm in (view.control, treatment))
    shown = await _images(pictures, experiment_id, trials, images, after)
    return page(
        request,
        "pair",
        view=view,
        experiment_path=f"/experiments/{experiment_id}",
        path=path,
        model=model,
        dataset=dataset,
        control=control,
        treatment=name,
        comparison=comparison,
        report=None if glimpse is None else glimpse.answer.report,
        is_newest=glimpse is not None and glimpse.is_newest,
        trouble=trouble,
        last_event=last_event,
        seed=chosen,
        trials=trials,
        metric=_metric_to_begin_with(comparison),
        pairing=_pairing(comparison),
        max_rows=MAX_ROWS,
        not_all="" if comparison is None else not_all_words([comparison]),
        kinds={
            Kind.ONLY_TREATMENT: f"only {name} is right",
            Kind.ONLY_CONTROL: f"only {control} is right",
            Kind.BOTH_WRONG: "both are wrong, in different ways",
        },
        shown=shown,
        image_link=lambda **asked: f"{path}?{urlencode({'seed': chosen, **asked})}#images",
        drawn=None
        if glimpse is None or comparison is None
        else _drawn(comparison, glimpse.answer.report, path, chosen),
    )


def _comparison(report: Report, view: ExperimentView, model: str, dataset: str, treatment: str) -> Comparison:
    """The row of the report.

    Raises:
        RequestError: 404, it has none like that.
    """
    name = view.arm_labels.get(treatment, treatment)
    for comparison in report.comparisons:
        if (comparison.cell.model, comparison.cell.dataset, comparison.treatment) == (model, dataset, name):
            return comparison
    detail = f"experiment {view.id} compares no {treatment!r} on {model!r} and {dataset!r}"
    raise RequestError(HTTPStatus.NOT_FOUND, "comparison_not_found", detail)


def _chosen_seed(comparison: Comparison | None, seed: int | None) -> int | None:
    """The seed that was asked for, else the first complete pair's, else the first one's."""
    if comparison is None or not comparison.pairs:
        return seed
    seeds = [pair.seed for pair in comparison.pairs]
    if seed in seeds:
        return seed
    return next((pair.seed for pair in comparison.pairs if pair.effect is not None), seeds[0])


def _pairing(comparison: Comparison | None) -> str | None:
    gain = None if comparison is None else comparison.pairing
    return None if comparison is None or gain is None else pairing_words(comparison, gain)


def _metric_to_begin_with(comparison: Comparison | None) -> str:
    """The compared metric's twin on validation, which each epoch tells."""
    return "train/loss" if comparison is None else f"val/{comparison.metric.rpartition('/')[2]}"


class _Drawn(NamedTuple):
    """Pictures of all pairs."""

    slopes: Markup
    differences: Markup


def _drawn(comparison: Comparison, report: Report, path: str, seed: int | None) -> _Drawn:
    def link(of_seed: int) -> str:
        return f"{path}?seed={of_seed}#pair"

    # Numbers, and names that the glyphs escape.
    slopes = Markup(slope_glyph(comparison, report.decimals, link=link, chosen=seed))  # noqa: S704
    differences = Markup(difference_glyph(comparison, report.decimals, is_interim=not report.is_over))  # noqa: S704
    return _Drawn(slopes, differences)


async def _images(
    pictures: ReportDesk, experiment_id: str, trials: PairTrials, kind: Kind | None, after: int
) -> _Shown | str | None:
    """Images of one kind (`None`: still being looked for), or why there are none."""
    control, treatment = trials
    if control is None or treatment is None:
        return "the trials of this pair are not planned yet"
    if any(each.record.status is not TrialStatus.SUCCEEDED for each in (control, treatment)):
        return "both trials must have succeeded first"
    told = await glimpse_or_why(
        pictures, IMAGES_SECONDS, disagreements, experiment_id, control.id, treatment.id, kind, after
    )
    return told.answer if isinstance(told, Glimpse) else told


def disagreements(
    experiments: Experiments, experiment_id: str, control: int, treatment: int, kind: Kind | None, after: int
) -> _Shown | str:
    """One page of the test images on which both disagree: there may be tens of thousands."""
    found = experiments.disagreements(experiment_id, control, treatment)
    if isinstance(found, str):
        return found
    counts = {each: len(found.images[each]) for each in Kind}
    wanted = kind or next((each for each in Kind if counts[each]), Kind.ONLY_TREATMENT)
    rest = found.images[wanted][after:]
    return _Shown(counts, found.num_images, wanted, rest[:IMAGES], after + IMAGES if len(rest) > IMAGES else None)


def drawn_picture(experiments: Experiments, experiment_id: str, trial_id: int, place: int) -> bytes | str:
    """One image as PNG, or why there is none."""
    try:
        return experiments.picture(experiment_id, trial_id, place)
    except DataError as error:
        return str(error)


@pictures_router.get("/experiments/{experiment_id}/trials/{trial_id}/images/{place}.png")
async def show_picture(
    experiment_id: str,
    trial_id: Annotated[int, Path(ge=0, lt=2**63)],
    place: Annotated[int, Path(ge=0, lt=2**63)],
    pictures: PicturesDep,
) -> Response:
    """A scored image, as the trial's model gets it."""
    png = await pictures.once(drawn_picture, experiment_id, trial_id, place)
    if isinstance(png, str):
        raise RequestError(HTTPStatus.NOT_FOUND, "image_not_found", png)
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600", "Vary": "Cookie"}
    return Response(png, media_type="image/png", headers=headers)
