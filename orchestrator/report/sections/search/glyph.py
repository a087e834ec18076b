"""One search as an SVG element for pages: the score against the searched value, or parallel coordinates."""

from collections.abc import Callable, Sequence

from markupsafe import escape

from orchestrator.report.content.search import Candidate, SearchSummary
from orchestrator.report.drawing.svg import svg
from orchestrator.report.sections.search.axis import height_of, marks_of
from orchestrator.report.sections.search.tables import interval_of_level
from orchestrator.report.words.numbers import params_text
from orchestrator.statistics.metric import metric_named

_LEFT, _TOP, _BOTTOM, _HEIGHT = 56, 12, 252, 284
_WIDTH_OF_ONE, _WIDTH_OF_AXIS = 440, 130


def search_glyph(search: SearchSummary, scores: tuple[float, float], confidence: float) -> str:
    """Hovering tells params and score; what has no score is grey, what was chosen stands out.

    Args:
        search: at least one value is searched.
        scores: least and greatest score that there is room for, as the metric is told.
        confidence: of the control's band.
    """
    paths = sorted(search.space, key=lambda path: -search.importance.get(path, 0.0))
    is_one = len(paths) == 1
    right = _LEFT + (_WIDTH_OF_ONE if is_one else _WIDTH_OF_AXIS * len(paths))
    scale = metric_named(search.metric).scale

    def y(score: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (score - scores[0]) / (scores[1] - scores[0]), 1)

    shapes = _control(search, y, right, scale, confidence)
    shapes += _one(search, y, right - _LEFT, scale) if is_one else _many(search, paths, y, scale)
    where = _LEFT - 6 if is_one else right + 6
    for level in scores:
        anchor = "end" if is_one else "start"
        shapes.append(f'<text x="{where}" y="{y(level) + 4}" text-anchor="{anchor}">{level:.4g}</text>')
    width = right + 70
    words = f"{search.arm} on {search.cell.key}: {search.metric} of {len(search.candidates)} candidates"
    return svg("search", width, _HEIGHT, shapes, words=words)


def _control(
    search: SearchSummary, y: Callable[[float], float], right: int, scale: float, confidence: float
) -> list[str]:
    level = search.control
    if level is None:
        return []
    # Of several axes only the last one is of scores.
    left = _LEFT if len(search.space) == 1 else right - 14
    shapes = []
    found = interval_of_level(level.mean, level.sd, level.num_seeds, confidence)
    if found is not None:
        top, bottom = (min(_BOTTOM, max(_TOP, y(scale * end))) for end in reversed(found))
        box = f'x="{left}" y="{top}" width="{right - left}" height="{round(bottom - top, 1)}"'
        shapes.append(f'<rect class="level" {box}/>')
    ends = f'x1="{left}" x2="{right}" y1="{y(scale * level.mean)}" y2="{y(scale * level.mean)}"'
    shapes.append(f'<line class="level" {ends}><title>control: {scale * level.mean:.4g}</title></line>')
    return shapes


def _one(search: SearchSummary, y: Callable[[float], float], width: int, scale: float) -> list[str]:
    ((path, distribution),) = search.space.items()

    def x(height: float) -> float:
        return round(_LEFT + 10 + (width - 20) * height, 1)

    shapes = [f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + width}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>']
    for height, text in marks_of(distribution):
        shapes.append(f'<text x="{x(height)}" y="{_BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>')
    shapes.append(f'<text x="{_LEFT + width / 2}" y="{_HEIGHT - 2}" text-anchor="middle">{escape(path)}</text>')
    for candidate in search.candidates:
        place = x(height_of(distribution, candidate.params[path]))
        told = f"<title>{escape(_told(candidate, scale))}</title>"
        if candidate.score is None:
            lines = f"M{place - 4} {_BOTTOM - 12}l8 8m0-8l-8 8"
            shapes.append(f'<g class="candidate none">{told}<path d="{lines}"/></g>')
            continue
        values = [scale * seed.value for seed in candidate.seeds if seed.value is not None]
        dots = "".join(f'<circle class="seed" cx="{place}" cy="{y(value)}" r="2.5"/>' for value in values)
        ring = f'<circle class="ring" cx="{place}" cy="{y(scale * candidate.score)}" r="9"/>'
        mean = f'<circle class="mean" cx="{place}" cy="{y(scale * candidate.score)}" r="5"/>'
        look = "stopped" if candidate.num_failed else "whole"
        shapes.append(f'<g class="candidate {look}">{told}{dots}{mean}{ring if candidate.is_chosen else ""}</g>')
    return shapes


def _many(search: SearchSummary, paths: Sequence[str], y: Callable[[float], float], scale: float) -> list[str]:
    def height(path: str, candidate: Candidate) -> float:
        share = height_of(search.space[path], candidate.params[path])
        return round(_BOTTOM - (_BOTTOM - _TOP) * share, 1)

    shapes = []
    for candidate in sorted(search.candidates, key=lambda each: (each.is_chosen, each.score is not None)):
        points = [f"{_LEFT + place * _WIDTH_OF_AXIS},{height(path, candidate)}" for place, path in enumerate(paths)]
        look = "none"
        if candidate.score is not None:
            points.append(f"{_LEFT + len(paths) * _WIDTH_OF_AXIS},{y(scale * candidate.score)}")
            look = "chosen" if candidate.is_chosen else "stopped" if candidate.num_failed else "whole"
        told = escape(_told(candidate, scale))
        shapes.append(f'<g class="candidate {look}"><title>{told}</title><polyline points="{" ".join(points)}"/></g>')
    for place, path in enumerate([*paths, search.metric]):
        x = _LEFT + place * _WIDTH_OF_AXIS
        shapes.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_BOTTOM}"/>')
        name = path.rpartition(".")[2]
        shapes.append(
            f'<text x="{x}" y="{_HEIGHT - 12}" text-anchor="middle"><title>{escape(path)}</title>{escape(name)}</text>'
        )
        if path in search.space:
            for share, text in marks_of(search.space[path]):
                where = f'x="{x - 5}" y="{round(_BOTTOM - (_BOTTOM - _TOP) * share + 4, 1)}"'
                shapes.append(f'<text class="mark" {where} text-anchor="end">{escape(text)}</text>')
    return shapes


def _told(candidate: Candidate, scale: float) -> str:
    score = "no score" if candidate.score is None else f"{scale * candidate.score:.4g} over {candidate.num_seeds} seeds"
    told = f"candidate {candidate.number}: {params_text(dict(candidate.params))}: {score}"
    if candidate.num_failed:
        told += f", {candidate.num_failed} failed, stopped or open"
    return f"{told} (chosen)" if candidate.is_chosen else told
