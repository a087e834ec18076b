r"""The report as LaTeX: tables to paste into a paper (needs `\usepackage{booktabs}`)."""

import re
from collections import Counter

from orchestrator.report.content.report import Report
from orchestrator.report.sections import order


def to_latex(report: Report) -> str:
    """Tables for a paper: models x data sets, every comparison, what was learned about position, what tokens see."""
    parts = [
        f"% {report.experiment.name}, digest {report.provenance.digest}; again: {report.ask_again}",
        r"% \usepackage{booktabs} in the preamble; \usepackage[T1]{fontenc} for names with quotation marks.",
        *(part for section in order.SECTIONS for part in section.latex(report)),
        f"% digest {report.provenance.digest}",
    ]
    return _with_own_labels("\n".join(parts)) + "\n"


def _with_own_labels(text: str) -> str:
    """The tables, those numbered on whose labels read alike once they are plain ASCII (`Größe` and `Grüße`)."""
    seen: Counter[str] = Counter()

    def own(found: re.Match[str]) -> str:
        seen[found[0]] += 1
        return found[0] if seen[found[0]] == 1 else rf"\label{{{found[1]}-{seen[found[0]]}}}"

    return re.sub(r"\\label\{([^{}]*)\}", own, text)
