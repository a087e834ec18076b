"""Labels of arms: what people read carries them; what machines read keeps the names, with the labels beside them."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from orchestrator.report import Report
from orchestrator.report.content.arrays import to_npz
from orchestrator.report.formats.folder import report_files
from orchestrator.report.formats.latex import to_latex
from orchestrator.report.formats.markdown import to_short_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.sections.comparisons.csv import comparisons_to_csv
from orchestrator.report.sections.order import pictures_of
from orchestrator.report.sections.search.csv import searches_to_csv
from orchestrator.report.sections.trials import trials_to_csv
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell
from orchestrator.status import TrialStatus
from orchestrator.store.database import open_database
from orchestrator.stored.report import read_experiment, report_of
from tests.orchestrator.planted_maps import with_fields, write_maps
from tests.orchestrator.planted_views import write_views
from tests.orchestrator.report.test_search_history import CHOSEN, ONE, TRIED
from tests.orchestrator.synthetic import make_record, make_records, make_spec, play, report_on

# Names that no sentence of ours has; labels of the same order, with all that a label may have.
NAMES = {"control": "arm-zero", "gaussian": "arm-one", "placebo": "arm-two"}
LABELS = {"arm-zero": "Gewöhnlich", "arm-one": "Für s_2 (ours)", "arm-two": "Gemischt, 50+"}


def stored_report(folder: Path, labels: dict[str, str]) -> Report:
    """Seven seeds, one of them failed, with all that trials leave behind."""
    arms = [
        arm | {"name": NAMES[arm["name"]], "label": labels.get(NAMES[arm["name"]])}
        for arm in make_spec().model_dump(mode="json")["arms"]
    ]
    spec = make_spec(arms=arms, seeds=list(range(7)), analyses=[{"kind": "receptive_field", "every_epochs": 2}])
    records = [with_fields(record) for record in make_records(make_spec(seeds=list(range(7))), num_epochs=5)]
    for record in records:
        write_maps(folder, record.identity, record.arm, record.seed)
        write_views(folder, record.identity, record.arm, record.seed)
    failed = {"status": TrialStatus.FAILED, "error": "gone"}
    records[4] = records[4].model_copy(update=failed)
    database = open_database(f"sqlite:///{folder / 'db'}")
    try:
        id_ = play(database, spec, [record.model_copy(update={"arm": NAMES[record.arm]}) for record in records])
        with database.read() as session:
            return report_of(read_experiment(session, id_), storage=folder)
    finally:
        database.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return stored_report(tmp_path_factory.mktemp("labelled"), LABELS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return stored_report(tmp_path_factory.mktemp("plain"), {})


def as_named(text: str) -> str:
    """A text with names where labels stand, without what depends on their widths: breaks, rules, pictures, the id."""
    text = (
        re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
        .replace(r"\allowbreak{}", "")
        .replace(r"\_", "_")
        .replace(' class="long"', "")
    )
    text = re.sub(r"\d{4}-\d\d-\d\d [\d:]+ UTC|\b[0-9a-z]{15}\b", "", text)
    text = re.sub(r"\s+", " ", re.sub(r"\\([(),+])", r"\1", text))
    for name, label in LABELS.items():
        text = text.replace(label, name)
    return re.sub(r"-{2,}|:-+|-+:", "", text)


def texts_of(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_without_labels_a_report_is_for_people_as_it_is(plain: Report) -> None:
    assert plain.for_people() is plain
    assert (
        "label"
        not in comparisons_to_csv(plain, plain.comparisons).splitlines()[0] + trials_to_csv(plain).splitlines()[0]
    )


def test_every_format_for_people_says_labels_and_nothing_else_changes(report: Report, plain: Report) -> None:
    read = {
        name: (content.decode(), other.decode())
        for (_, name, content), (_, _, other) in zip(report_files(report), report_files(plain), strict=True)
        if name.endswith((".md", ".html", ".txt", ".tex"))
    }
    read["summary"] = to_short_markdown(report.for_people()), to_short_markdown(plain)
    assert len(read) == 7
    for name, (labelled, unlabelled) in read.items():
        assert not re.search(r"arm-(?:\\allowbreak\{\})?(?:zero|one|two)", labelled), name
        assert re.search(r"arm-(?:\\allowbreak\{\})?one", unlabelled), name
        assert as_named(labelled).split() == as_named(unlabelled).split(), name
    assert "Für s_2 (ours): failed (gone)" in read["report.html"][0]
    assert r"Für s\_2 (ours) & 6 &" in read["table.tex"][0]
    labels = re.findall(r"\\label\{(.*?)\}", read["table.tex"][0])
    assert len(labels) == len(set(labels)) > 3


def test_pictures_say_labels(report: Report, plain: Report) -> None:
    shown = report.for_people()
    pictures, others = pictures_of(shown), pictures_of(plain)
    assert list(pictures) == list(others)
    for name, picture in pictures.items():
        unlabelled, labelled = (texts_of(each.draw()) for each in (others[name], picture))
        assert "arm-" not in labelled, name
        assert ("arm-one" in unlabelled) == ("Für s_2 (ours)" in labelled), name


def test_machines_get_names_as_before_and_labels_beside_them(report: Report, plain: Report) -> None:
    document, unlabelled = (json.loads(each.model_dump_json()) for each in (report, plain))
    assert {arm["name"]: arm["label"] for arm in document["arms"]} == LABELS
    for field in ("comparisons", "pooled", "curves", "bias", "position", "settings", "receptive_fields", "exclusions"):
        assert document[field] == unlabelled[field], field
    assert [trial["identity"] for trial in document["trials"]] == [trial["identity"] for trial in unlabelled["trials"]]
    rows = list(csv.DictReader(io.StringIO(comparisons_to_csv(report, report.comparisons))))
    assert [(row["treatment"], row["treatment_label"]) for row in rows] == list(LABELS.items())[1:]
    trials = list(csv.DictReader(io.StringIO(trials_to_csv(report))))
    assert {(row["arm"], row["arm_label"]) for row in trials} == set(LABELS.items())
    assert to_npz(report.receptive_fields.means) == to_npz(plain.receptive_fields.means)
    assert to_npz(report.bias_views.means) == to_npz(plain.bias_views.means)


def test_sentences_say_labels_in_a_report_for_machines_too(report: Report, plain: Report) -> None:
    for field in ("answers", "remarks", "caveats"):
        sentences, others = getattr(report, field), getattr(plain, field)
        assert sentences
        assert [as_named(sentence) for sentence in sentences] == [as_named(other) for other in others]
        assert "arm-" not in " ".join(sentences)
    assert any("1 of Für s_2 (ours)" in caveat for caveat in report.caveats)


def test_searches_say_labels_in_tables_and_pictures() -> None:
    arms = [arm | {"label": f"Über {arm['name']}"} for arm in ONE.model_dump(mode="json")["arms"]]
    spec = ExperimentSpec.model_validate_json(json.dumps(ONE.model_dump(mode="json") | {"arms": arms}))
    report = report_on(spec, TRIED + make_records(spec), chosen_params=CHOSEN)
    shown = report.for_people()
    assert {search.arm for search in shown.searches} == {"Über gaussian"}
    assert "Über gaussian" in to_text(shown)
    assert "Über gaussian" in texts_of(pictures_of(shown)["search"].draw())
    assert "Über" not in searches_to_csv(report)


def test_labels_that_read_alike_in_ascii_are_two_tables() -> None:
    alike = {"gaussian": "Größe", "placebo": "Grüße"}
    arms = [arm | {"label": alike.get(arm["name"])} for arm in make_spec().model_dump(mode="json")["arms"]]
    spec = make_spec(arms=arms, seeds=[0, 1])
    cells = [Cell(model="vit", dataset=dataset) for dataset in ("pets", "cars")]
    trials = [make_record(arm.name, seed, cell) for cell in cells for seed in spec.seeds for arm in spec.arms]
    text = to_latex(report_on(spec, trials, cells=cells).for_people())
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(labels) == len(set(labels)) > 3
    assert any(label.endswith("Gr-e-2") for label in labels)
