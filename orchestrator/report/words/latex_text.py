r"""LaTeX's small change: escaping, numbers, and the frame of a table (needs `booktabs`)."""

import re
from collections.abc import Sequence

from orchestrator.report.content.report import Report
from orchestrator.report.words.numbers import fixed

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "²": "$^2$",
    # After a row's end, LaTeX would take these for the options of its line break.
    "[": "{[}",
    "*": "{*}",
}
_PATTERN = re.compile("|".join(map(re.escape, _SPECIAL)))
_LAST_LATIN = "\u017f"
"""Last letter of Latin Extended-A, as far as T1 fonts go."""
_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9-]+")
_BREAK_AFTER = re.compile(r"(\\_|[./,:=+-])(?=\S)")
_POWER = re.compile(r"(?<=\d)e([+-]\d+)")
_LONG_RUN = re.compile(r"[A-Za-z0-9]{16,}")

SIZES = {"small": 0.92, "footnotesize": 0.85, "scriptsize": 0.76}
"""LaTeX's size -> its width relative to normal text of 10 pt."""
TEXT_WIDTH_PT = 345.0
"""Width of a line in LaTeX's `article` at 10 pt: the narrowest that is common."""
_WIDTHS_PT = {
    ".": 2.8,
    ",": 2.8,
    " ": 3.4,
    "[": 2.8,
    "]": 2.8,
    "+": 7.8,
    "-": 7.8,
    "±": 11.2,
    "(": 3.9,
    ")": 3.9,
    "_": 7.5,
}
_WIDTH_PT, _CAPITAL_PT = 5.0, 7.2


def escape(text: str) -> str:
    """Show a text as it is, special characters included; what pdfLaTeX can't set becomes `?`."""
    escaped = _PATTERN.sub(lambda match: _SPECIAL[match[0]], " ".join(text.split()))
    return "".join(
        character if character.isascii() or (character.isalpha() and character <= _LAST_LATIN) else "?"
        for character in escaped
    )


def breakable(text: str) -> str:
    """Escaped, with places where a narrow column may break it: after punctuation and inside long digests."""
    with_breaks = _BREAK_AFTER.sub(r"\1\\allowbreak{}", escape(text))
    return _LONG_RUN.sub(lambda run: r"\allowbreak{}".join(re.findall(".{1,10}", run[0])), with_breaks)


def width_pt(text: str) -> float:
    """About how wide a text is at 10 pt, before escaping."""
    return sum(_WIDTHS_PT.get(letter, _CAPITAL_PT if letter.isupper() else _WIDTH_PT) for letter in text)


def label(report: Report, *more: str) -> str:
    """`tab:name-more`."""
    return f"tab:{_NOT_IN_LABEL.sub('-', '-'.join([report.experiment.name, *more]))}"


def footer(report: Report) -> str:
    """The line below a table that says where its numbers come from."""
    return rf"\\[2pt]{{\scriptsize sigmalab, digest \texttt{{{breakable(report.provenance.digest)}}}\par}}"


def table(
    *,
    columns: str,
    header: str,
    rows: Sequence[str],
    caption: str,
    label: str,
    below: str,
    size: str = "small",
    sep: float = 3,
) -> str:
    """A floating table with rules; `sep` is half the space between columns, in pt."""
    body = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\{size}",
        rf"\setlength{{\tabcolsep}}{{{sep:g}pt}}",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        # Captions stand above the table, where `article` leaves no space.
        r"\vspace{4pt}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        header,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        below,
        r"\end{table}",
    ]
    return "\n".join(body)


def mean_sd(mean: float | None, sd: float | None, decimals: int) -> str:
    r"""`$51.2 \pm 4.5$`."""
    if mean is None:
        return "--"
    return math(fixed(mean, decimals) if sd is None else rf"{fixed(mean, decimals)} \pm {fixed(sd, decimals)}")


def interval(low: float | None, high: float | None, decimals: int) -> str:
    """`$[5.1, 9.3]$`."""
    return "--" if low is None or high is None else math(f"[{fixed(low, decimals)}, {fixed(high, decimals)}]")


def math(text: str) -> str:
    r"""Numbers in math mode, `1.0e-12` as `$1.0 \cdot 10^{-12}$`; a dash where there is none."""
    return "--" if text == "-" else f"${_POWER.sub(_power_of_ten, text)}$"


def _power_of_ten(found: re.Match[str]) -> str:
    return rf" \cdot 10^{{{int(found[1])}}}"


def bold(math: str) -> str:
    """A formula in bold."""
    return rf"$\mathbf{{{math.strip('$')}}}$"
