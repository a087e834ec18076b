"""Reports as the terminal reads them: parts of the service's, of whatever version that is."""

import io
import json

import pytest
from pydantic import BaseModel
from rich.console import Console

from api.cli import readings
from api.cli.readings import ReportReading
from api.cli.report_tables import print_report
from orchestrator.report import Report
from orchestrator.report.content import curves, pairs, position_bias, receptive_fields, report
from orchestrator.statistics.comparison import Comparison
from tests.api.conftest import JsonObject
from tests.orchestrator.synthetic import make_records, make_spec, report_on

WHOLE = {
    readings.ReportReading: report.Report,
    readings.ExperimentReading: report.ExperimentFacts,
    readings.ArmReading: report.ArmSummary,
    readings.LearnedBias: curves.BiasSeries,
    readings.LearnedPosition: position_bias.PositionFit,
    readings.Excluded: report.Exclusion,
    readings.RepeatReading: pairs.RepeatCheck,
    readings.ReceptiveFields: receptive_fields.ReceptiveFields,
    readings.FieldLevel: receptive_fields.FieldLevel,
    readings.ComparisonReading: Comparison,
}


@pytest.fixture(scope="module")
def document() -> JsonObject:
    spec = make_spec(seeds=[0, 1, 2])
    written: JsonObject = json.loads(report_on(spec, make_records(spec, num_epochs=2)).model_dump_json())
    return written


def shown(document: JsonObject) -> str:
    console = Console(file=io.StringIO(), width=160)
    print_report(console, ReportReading.model_validate_json(json.dumps(document)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("part", "whole"), WHOLE.items(), ids=lambda kind: kind.__name__)
def test_they_have_no_field_of_their_own(part: type[BaseModel], whole: type[BaseModel]) -> None:
    assert part.model_fields.keys() <= whole.model_fields.keys()


def test_none_is_left_out() -> None:
    own = [kind for kind in vars(readings).values() if getattr(kind, "__module__", "") == readings.__name__]
    assert set(own) == WHOLE.keys()


def test_a_newer_services_report_is_shown_all_the_same(document: JsonObject) -> None:
    """A lab's own kind of data set is on the service alone; a new version has fields that this one has not."""
    newer = json.loads(json.dumps(document))
    newer["spec"]["datasets"][0] = {"kind": "labs_own"}
    for part in (newer, newer["experiment"], newer["comparisons"][0], newer["bias"][0], newer["arms"][0]):
        part["new"] = "of the next version"
    with pytest.raises(ValueError, match=r"spec\.datasets\.0"):
        Report.model_validate_json(json.dumps(newer))
    assert shown(newer) == shown(document)
