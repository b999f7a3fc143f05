"""CSV for spreadsheets: RFC 4180, no cell that is taken for a formula, no control characters."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from perennial.cli.plain import cell
from perennial.findings import Finding
from perennial.manifest import Scope
from perennial.survey import Survey

SCAN_COLUMNS = (
    "severity",
    "check",
    "detail",
    "title",
    "not_after",
    "key",
    "issuer",
    "names",
    "owner",
    "account",
    "region",
    "source",
    "location",
    "resource",
    "fingerprint",
    "remediation",
)


def lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A head and a line for each row; a list is one cell, its values separated by blanks."""
    yield _line(columns)
    for row in rows:
        yield _line([cell(_joined(row.get(column))) for column in columns])


def _joined(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _line(values: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def scan_rows(survey: Survey, shown: Iterable[Finding]) -> Iterator[dict[str, Any]]:
    """A row for each finding, the worst first, then one for each place without any: every place is there."""
    from perennial.cli.documents import of_finding, of_subject

    subjects = [*survey.subjects, *survey.loose]
    places = {each.sighting.location: {**of_subject(each), "names": _names(each)} for each in subjects}
    told: set[str] = set()
    for finding in shown:
        told.add(finding.place)
        about = {name: value for name, value in of_finding(finding).items() if name not in ("title", "certificate")}
        yield {**places[finding.place], **about, **_parts(finding.scope)}
    for each in subjects:
        if each.sighting.location not in told:
            yield {**places[each.sighting.location], **_parts(each.scope)}


def _names(subject: Any) -> tuple[str, ...]:
    certified = subject.certificate.names if subject.certificate else ()
    return certified or tuple(subject.sighting.attributes.get("names", ()))


def _parts(scope: Scope) -> dict[str, str]:
    return {"account": scope.account, "region": scope.region, "source": scope.source}
