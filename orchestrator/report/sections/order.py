"""All sections, in the order of the report. Adding a section is one folder (or file) here and one line below."""

from orchestrator.report.content.report import Report
from orchestrator.report.sections.by_class import ByClassSection
from orchestrator.report.sections.by_image import ByImageSection
from orchestrator.report.sections.code_diffs import CodeDiffsSection
from orchestrator.report.sections.comparisons.section import ComparisonsSection
from orchestrator.report.sections.exclusions import ExclusionsSection
from orchestrator.report.sections.hyperparameters import HyperParametersSection
from orchestrator.report.sections.learned_sigma.section import LearnedSigmaSection
from orchestrator.report.sections.learning_curves.section import LearningCurvesSection
from orchestrator.report.sections.origin import OriginSection
from orchestrator.report.sections.other_metrics.section import OtherMetricsSection
from orchestrator.report.sections.position_bias.section import PositionBiasSection
from orchestrator.report.sections.provenance import ProvenanceSection
from orchestrator.report.sections.receptive_fields.section import ReceptiveFieldsSection
from orchestrator.report.sections.search.section import SearchSection
from orchestrator.report.sections.section import Chapter, Picture, Section
from orchestrator.report.sections.shown_images.section import ShownImagesSection
from orchestrator.report.sections.trials import TrialsSection

SECTIONS: tuple[Section, ...] = (
    ComparisonsSection(),
    CodeDiffsSection(),
    OtherMetricsSection(),
    ByClassSection(),
    ByImageSection(),
    ShownImagesSection(),
    LearningCurvesSection(),
    LearnedSigmaSection(),
    PositionBiasSection(),
    ReceptiveFieldsSection(),
    SearchSection(),
    ExclusionsSection(),
    ProvenanceSection(),
    OriginSection(),
    HyperParametersSection(),
    TrialsSection(),
)


def chapters_of(report: Report) -> list[Chapter]:
    """The chapters of all sections.

    Args:
        report: for people.
    """
    return [chapter for section in SECTIONS for chapter in section.chapters(report)]


def pictures_of(report: Report) -> dict[str, Picture]:
    """Name -> picture, of all sections; none of them is drawn yet.

    Args:
        report: for people.
    """
    parts = (part for chapter in chapters_of(report) for part in chapter.parts)
    return {part.name: part for part in parts if isinstance(part, Picture)}
