"""How verdicts look wherever one is drawn: one colour and one mark each.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; marks differ in shape too.
"""

from orchestrator.statistics.comparison import Verdict

VERDICT_COLORS = {
    Verdict.IMPROVED: "#0072B2",
    Verdict.WORSE: "#D55E00",
    Verdict.LARGER: "#0072B2",
    Verdict.SMALLER: "#0072B2",
    Verdict.SUGGESTIVE: "#8A5A9E",
    Verdict.EQUIVALENT: "#009E73",
    Verdict.INCONCLUSIVE: "#6B6B6B",
}
VERDICT_MARKS = {
    Verdict.IMPROVED: "D",
    Verdict.WORSE: "X",
    Verdict.LARGER: "^",
    Verdict.SMALLER: "v",
    Verdict.SUGGESTIVE: "d",
    Verdict.EQUIVALENT: "s",
    Verdict.INCONCLUSIVE: "o",
}
"""Matplotlib's names."""
