"""Where a script's numbers are found, and what they mean, as a user declares it."""

import csv
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from trainers.command.rows import Row, RowChoice, number
from trainers.errors import CommandError
from trainers.metrics import Metric
from trainers.strict import StrictModel

_NAME = re.compile(r"(train|val|test)/[a-z][a-z0-9_]*")
_MAX_BYTES = 64 * 2**20
PERCENT, FRACTION = "percent", "fraction"


def _as_a_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a name of a metric: its split, a slash, and lower-case letters, digits and `_`, such as "
            "`test/top1`, `val/top1` or `train/loss`"
        )
    return name


MetricName = Annotated[str, AfterValidator(_as_a_name)]


class DeclaredMetric(StrictModel):
    """One number that a script writes."""

    column: str = Field(default="", max_length=500)
    """Its column in a table, its key in JSON (dots lead into objects), or the regular expression whose group it is.
    Empty: the metric's name behind the slash."""
    better: Literal["higher", "lower", "neither"]
    """Which direction is better; with `neither` verdicts are `larger` or `smaller`."""
    unit: str = Field(default="", max_length=16)
    """`percent` (0 to 100) and `fraction` (0 to 1) are compared in percentage points; anything else is the unit of the
    values themselves, such as `ms` (empty: a pure number)."""

    @field_validator("unit")
    @classmethod
    def _is_no_other_word_for_percent(cls, unit: str) -> str:
        if unit.strip().lower() in ("%", "pp", "percentage", "percentages", "per cent"):
            raise ValueError(f"`{unit}` would be taken as it is: write `{PERCENT}` (0 to 100) or `{FRACTION}` (0 to 1)")
        return unit


def _choosing(metrics: Mapping[str, DeclaredMetric]) -> list[str]:
    """Those that may choose the best row."""
    return [name for name, each in metrics.items() if name.startswith("val/") and each.better != "neither"]


class Results(StrictModel, ABC):
    """The numbers of one training."""

    metrics: dict[MetricName, DeclaredMetric] = Field(min_length=1, max_length=32)
    """Name -> what it is. The part before the slash says what it was scored on: `test/` (what chose nothing), `val/`
    (what may choose the row, and params), `train/`."""
    row: RowChoice = "only"
    """Which row counts where there are several: the `last`, or the `best` by a `val/` metric (`only`: there is one; a
    metric that stands in a single row counts from there in any case)."""
    best_by: str | None = Field(default=None, max_length=100, validate_default=True)
    """The `val/` metric that chooses the best row; may be left out where there is one."""

    kind: str

    def __hash__(self) -> int:
        """Of the whole config: its metrics are a dict, which has no hash."""
        return hash(self.model_dump_json())

    @field_validator("metrics")
    @classmethod
    def _mean_one_thing_on_every_split(cls, metrics: dict[str, DeclaredMetric]) -> dict[str, DeclaredMetric]:
        seen: dict[str, tuple[str, DeclaredMetric]] = {}
        for name, declared in metrics.items():
            other, first = seen.setdefault(name.partition("/")[2], (name, declared))
            if (first.unit, first.better) != (declared.unit, declared.better):
                raise ValueError(f"{other} and {name} are one metric on two splits: give both the same unit and better")
        if all(name.startswith("train/") for name in metrics):
            raise ValueError("no metric is of `test/` or `val/`: there is nothing to compare")
        return metrics

    @field_validator("row")
    @classmethod
    def _is_chosen_by_validation(cls, row: RowChoice, info: ValidationInfo) -> RowChoice:
        metrics: dict[str, DeclaredMetric] = info.data.get("metrics", {})
        if row == "best" and metrics and not _choosing(metrics):
            raise ValueError(
                "the best row is chosen by a `val/` metric, and none says what is better; where nothing chooses, take "
                "`last`"
            )
        return row

    @field_validator("best_by")
    @classmethod
    def _is_one_of_validation(cls, best_by: str | None, info: ValidationInfo) -> str | None:
        choosing = _choosing(info.data.get("metrics", {}))
        if info.data.get("row") != "best":
            if best_by is not None:
                raise ValueError('no row is chosen by it: take `"row": "best"`, or leave it out')
        elif choosing and (best_by not in choosing if best_by is not None else len(choosing) > 1):
            what = "several metrics may choose" if best_by is None else f"{best_by} can't choose"
            raise ValueError(f"{what} the best row: name one of {', '.join(choosing)}")
        return best_by

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics behind their splits, each once."""
        return tuple({name.partition("/")[2]: _metric(name, each) for name, each in self.metrics.items()}.values())

    @property
    def chooser(self) -> tuple[str, bool] | None:
        """The metric that chooses the best row, and whether more of it is better (`None`: there is none)."""
        name = self.best_by or next(iter(_choosing(self.metrics)), None)
        return None if name is None else (name, self.metrics[name].better != "lower")

    @abstractmethod
    def rows(self, folder: Path, said: Sequence[str], *, is_over: bool, but: Collection[Path] = ()) -> list[Row]:
        """Everything that is there so far.

        Args:
            folder: where the script runs.
            said: what `heard` has made of its output.
            is_over: whether the script has ended; before, a file may be absent, and its last line unfinished.
            but: files that are not read: they lay there before the script began.

        Raises:
            CommandError: it can't be read.
        """

    def heard(self, line: str) -> list[str]:
        """What counts of a line of the script's output."""
        return []

    def column_of(self, name: str) -> str:
        """Where a metric is found."""
        return self.metrics[name].column or name.partition("/")[2]

    def in_range(self, value: float | None, name: str, place: str) -> float | None:
        """A value that is possible in its metric's unit.

        Raises:
            CommandError: it is not.
        """
        most = {PERCENT: 100.0, FRACTION: 1.0}.get(self.metrics[name].unit)
        if value is not None and most is not None and not 0 <= value <= most:
            unit = self.metrics[name].unit
            hint = f"; is its unit {PERCENT}?" if unit == FRACTION else ""
            raise CommandError(f"{name} is {value:g} in {place}, and a {unit} is 0 to {most:g}{hint}")
        return value


def _metric(name: str, declared: DeclaredMetric) -> Metric:
    short = name.partition("/")[2]
    better = {"higher": True, "lower": False, "neither": None}[declared.better]
    if declared.unit in (PERCENT, FRACTION):
        scale = 1.0 if declared.unit == PERCENT else 100.0
        return Metric(short, "pp", scale, better, short.replace("_", " "), (0.1, 0.3, 1.0, 3.0))
    return Metric(short, declared.unit, 1.0, better, short.replace("_", " "))


class _FileResults(Results):
    file: str = Field(min_length=1, max_length=1000)
    """The file, from the folder that the script runs in on (`*` stands for any name, where one file fits)."""
    epoch: str = Field(default="epoch", min_length=1, max_length=200)
    """Column, or key, of the epoch, by which rows are joined where it is there. Several rows are taken for epochs:
    their `val/` and `train/` metrics become curves."""

    @field_validator("file")
    @classmethod
    def _stays_in_the_folder(cls, file: str) -> str:
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise ValueError(
                f"{file!r} is not a path inside of the folder that the script runs in; let it write to `{{output}}`"
            )
        return file

    def rows(self, folder: Path, said: Sequence[str], *, is_over: bool, but: Collection[Path] = ()) -> list[Row]:
        """Rows of the file."""
        text = self._text(folder, but, is_over=is_over)
        rows = []
        for place, record in self._records(text, is_over=is_over):
            where = f"{place} of {self.file}"
            values = {name: self._value(record, name, where) for name in self.metrics}
            found = {name: value for name, value in values.items() if value is not None}
            rows.append(Row(where, self._epoch_of(record, where) if found else None, found))
        return rows

    def _value(self, record: dict[str, Any], name: str, where: str) -> float | None:
        value = number(_inside(record, self.column_of(name)), name, where)
        return self.in_range(value, name, where)

    def _epoch_of(self, record: dict[str, Any], where: str) -> int | None:
        found = number(_inside(record, self.epoch), f"`{self.epoch}`", where)
        return None if found is None else int(found)

    def _text(self, folder: Path, but: Collection[Path], *, is_over: bool) -> str:
        files = sorted(folder.glob(self.file)) if "*" in self.file else [folder / self.file]
        files = [file for file in files if file.is_file() and file not in but]
        if not files and not is_over:
            return ""
        if not files:
            written = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
            beside = f"; there are {', '.join(written[:8])}{' and others' if len(written) > 8 else ''}"
            raise CommandError(f"the script wrote no {self.file} where it runs{beside if written else ''}")
        if len(files) > 1:
            raise CommandError(f"{len(files)} files fit {self.file}: {', '.join(file.name for file in files[:8])}")
        try:
            if files[0].stat().st_size > _MAX_BYTES:
                raise CommandError(f"{self.file} is larger than {_MAX_BYTES // 2**20} MiB: it is not a table of epochs")
            text = files[0].read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{self.file} can't be read: {error}") from error
        # Of a script that is still writing, what stands behind the last end of a line is half a row.
        return text if is_over else text[: text.rfind("\n") + 1]

    @abstractmethod
    def _records(self, text: str, *, is_over: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        """Place and content of each row."""


class CsvResults(_FileResults):
    """A table with a header: one row, or one for each epoch."""

    kind: Literal["csv"] = "csv"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """What parts its columns."""

    def _records(self, text: str, *, is_over: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        reader = csv.DictReader(io.StringIO(text), delimiter=self.delimiter, skipinitialspace=True)
        try:
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            missing = [self.column_of(name) for name in self.metrics if self.column_of(name) not in columns]
            if missing and (columns or is_over):
                there = ", ".join(columns) or "nothing"
                raise CommandError(f"{self.file} has no column `{missing[0]}`; it has {there}")
            for record in reader:
                yield f"line {reader.line_num}", record
        except csv.Error as error:
            raise CommandError(f"{self.file} is not a table: {error}") from error


class JsonResults(_FileResults):
    """JSON: an object, a list of objects, or a line for each epoch (JSON Lines)."""

    kind: Literal["json"] = "json"

    def _records(self, text: str, *, is_over: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            whole = json.loads(text)
            found = [(f"entry {i + 1}", each) for i, each in enumerate(whole if isinstance(whole, list) else [whole])]
        except RecursionError as error:
            raise CommandError(f"{self.file} is JSON nested too deeply: it is not a table of epochs") from error
        except ValueError:
            found = list(self._lines(text))
        for place, record in found:
            if not isinstance(record, dict):
                raise CommandError(f"{place} of {self.file} is not an object: {str(record)[:60]}")
            yield place, record

    def _lines(self, text: str) -> Iterator[tuple[str, Any]]:
        for i, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                yield f"line {i}", json.loads(line)
            except ValueError as error:
                raise CommandError(f"line {i} of {self.file} is not JSON: {line[:60]}") from error


class RegexResults(Results):
    """What the script prints: each metric's `column` is a regular expression with one group, sought in every line."""

    kind: Literal["regex"] = "regex"

    @field_validator("metrics")
    @classmethod
    def _are_expressions(cls, metrics: dict[str, DeclaredMetric]) -> dict[str, DeclaredMetric]:
        for name, declared in metrics.items():
            try:
                groups = re.compile(declared.column).groups
            except re.error as error:
                raise ValueError(f"the expression of {name} can't be read: {error}") from None
            if groups != 1:
                raise ValueError(
                    f"the expression of {name} has {groups} groups; its number is the one group, such as "
                    r"`Acc@1 ([\d.]+)`"
                )
        return metrics

    def heard(self, line: str) -> list[str]:
        """`<metric>=<text>` of every metric that the line tells."""
        found = ((name, re.search(each.column, line)) for name, each in self.metrics.items())
        return [f"{name}={match[1] or ''}" for name, match in found if match is not None]

    def rows(self, folder: Path, said: Sequence[str], *, is_over: bool, but: Collection[Path] = ()) -> list[Row]:
        """The first numbers of all metrics as a row, the second ones as the next, and so on."""
        by_name: dict[str, list[str]] = {}
        for each in said:
            name, _, text = each.partition("=")
            by_name.setdefault(name, []).append(text)
        if not by_name and is_over:
            raise CommandError(f"nothing that the script printed fits the expression of {next(iter(self.metrics))}")
        several = {name: len(texts) for name, texts in by_name.items() if len(texts) > 1}
        if is_over and self.row == "best" and len(set(several.values())) > 1:
            told = ", ".join(f"{name} {count} times" for name, count in several.items())
            raise CommandError(
                f"the script printed {told}, so nobody knows which of them belong together, and the best would be a "
                "guess: print all of an epoch each time, or write a table and read it as `csv` or `json`"
            )
        rows = []
        for i in range(max(map(len, by_name.values()), default=0)):
            where = f"what was printed the {_ordinal(i + 1)} time"
            texts = {name: found[i] for name, found in by_name.items() if i < len(found)}
            values = {name: self.in_range(number(text, name, where), name, where) for name, text in texts.items()}
            rows.append(Row(where, None, {name: value for name, value in values.items() if value is not None}))
        return rows


def _inside(record: dict[str, Any], path: str) -> object:
    """What stands at a key; dots lead into objects where no key is written with them."""
    if path in record:
        return record[path]
    name, _, rest = path.partition(".")
    inner = record.get(name)
    return _inside(inner, rest) if rest and isinstance(inner, dict) else None


def _ordinal(place: int) -> str:
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


ResultsConfig = CsvResults | JsonResults | RegexResults
