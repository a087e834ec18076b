"""The code behind stored trials, part by part: so that a refusal to mix two versions names what has changed."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.code_of_arms import code_of
from orchestrator.store.conflicts import insert_or
from orchestrator.store.tables import CodeRow, TrialRow
from trainers.config import TrialConfig
from trainers.version import NUMERIC_LIBRARIES, UsedCode, used_code

_MAX_NAMED = 8
"""So many changed parts are named."""


def keep_codes(session: Session, codes: Iterable[UsedCode]) -> None:
    """Keep what versions of the code consist of; those that are there stay as they are."""
    parts = {code.version: dict(code.parts) for code in codes}
    if not parts:
        return
    rows = [{"version": version, "parts": parts[version]} for version in sorted(parts)]
    session.execute(insert_or(session, CodeRow, rows).on_conflict_do_nothing(index_elements=[CodeRow.version]))


def changes_of_code(session: Session, experiment_id: str, versions: Collection[str] | None = None) -> str:
    """What of the code behind an experiment's trials is another here and now, in words.

    `trainers.models.gaussian, torch (2.8.0, now 2.9.1)`; empty where nothing is, or where it is not known (trials of
    earlier versions, which did not keep it).

    Args:
        session: an open read.
        experiment_id: its id.
        versions: of the code of those trials that matter (`None`: of all).
    """
    examples = session.execute(
        select(TrialRow.code, func.min(TrialRow.id))
        .where(TrialRow.experiment_id == experiment_id, TrialRow.code.is_not(None))
        .group_by(TrialRow.code)
    ).all()
    changes: dict[str, None] = {}
    for version, trial_id in examples:
        if version is not None and (versions is None or version in versions):
            changes |= dict.fromkeys(_changes(session, version, trial_id))
    named = sorted(changes)
    more = f" and {len(named) - _MAX_NAMED} more" if len(named) > _MAX_NAMED else ""
    return ", ".join(named[:_MAX_NAMED]) + more


def _changes(session: Session, version: str, trial_id: int) -> Iterator[str]:
    """Of one version, on the example of one of its trials."""
    before = session.scalar(select(CodeRow.parts).where(CodeRow.version == version))
    example = session.execute(select(TrialRow.config, TrialRow.arm).where(TrialRow.id == trial_id)).one_or_none()
    if before is None or example is None:
        return
    text, arm = example
    try:
        config = TrialConfig.model_validate_json(text)
    except ValidationError:
        # Of a version whose configs are not understood any more; nothing can be said of its code.
        return
    with code_of(arm):
        now = used_code(config).parts
    yield from _differences(before, now)


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for part in sorted({*before, *now}):
        if part not in now:
            yield f"{part} (gone)"
        elif part not in before:
            yield f"{part} (new)"
        elif before[part] != now[part]:
            # A module's digest says nothing to people, a library's version does.
            yield f"{part} ({before[part]}, now {now[part]})" if part in NUMERIC_LIBRARIES else part
