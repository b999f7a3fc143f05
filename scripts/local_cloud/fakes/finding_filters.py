"""AwsSecurityFindingFilters of GetFindings: which findings match, and which filters Security Hub refuses.

Source: the documentation of StringFilter, DateFilter and AwsSecurityFindingFilters in the Security Hub API. Positive
comparisons on one field are joined by OR, negative ones by AND, different fields by AND. CONTAINS and NOT_CONTAINS
belong to automation rules, CONTAINS_WORD to GetFindingsV2: GetFindings refuses all three.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

Finding = dict[str, Any]
Filter = dict[str, Any]

MAX_FIELDS = 10
MAX_VALUES = 20

_POSITIVE: dict[str, Callable[[str, str], bool]] = {"EQUALS": str.__eq__, "PREFIX": str.startswith}
_NEGATIVE: dict[str, Callable[[str, str], bool]] = {"NOT_EQUALS": str.__eq__, "PREFIX_NOT_EQUALS": str.startswith}


def _path(*names: str) -> Callable[[Finding], list[Any]]:
    """A reader of the values at a path; a list on the way yields one value for each of its members."""

    def read(finding: Finding) -> list[Any]:
        found: list[Any] = [finding]
        for name in names:
            found = [child for item in found for child in _flat(item.get(name))]
        return found

    return read


def _flat(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


_STRINGS = {
    name: _path(name)
    for name in (
        "ProductArn",
        "AwsAccountId",
        "Id",
        "GeneratorId",
        "Region",
        "Title",
        "Description",
        "ProductName",
        "CompanyName",
        "RecordState",
        "VerificationState",
        "SourceUrl",
    )
} | {
    "Type": _path("Types"),
    "SeverityLabel": _path("Severity", "Label"),
    "ResourceId": _path("Resources", "Id"),
    "ResourceType": _path("Resources", "Type"),
    "ResourceRegion": _path("Resources", "Region"),
    "ResourcePartition": _path("Resources", "Partition"),
    "WorkflowStatus": _path("Workflow", "Status"),
    "ComplianceStatus": _path("Compliance", "Status"),
    "NoteText": _path("Note", "Text"),
    "NoteUpdatedBy": _path("Note", "UpdatedBy"),
    "FindingProviderFieldsSeverityLabel": _path("FindingProviderFields", "Severity", "Label"),
    "FindingProviderFieldsTypes": _path("FindingProviderFields", "Types"),
}
_DATES = {name: _path(name) for name in ("CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt")}
_NUMBERS = {"SeverityNormalized": _path("Severity", "Normalized"), "Confidence": _path("Confidence"),
            "Criticality": _path("Criticality")}  # fmt: skip
_MAPS = {"ProductFields": _path("ProductFields"), "UserDefinedFields": _path("UserDefinedFields"),
         "ResourceTags": _path("Resources", "Tags")}  # fmt: skip
SORTABLE = _STRINGS | _DATES | _NUMBERS
"""The attributes that this fake can filter by and sort by: name -> reader."""


def refusal(filters: dict[str, list[Filter]]) -> str | None:
    """Why Security Hub would refuse `filters` as invalid input, or None."""
    if len(filters) > MAX_FIELDS:
        return f"Filters can use at most {MAX_FIELDS} finding attributes"
    for name, values in filters.items():
        if reason := _field_refusal(name, values):
            return f"Filter {name}: {reason}"
    return None


def unsupported(filters: dict[str, list[Filter]]) -> list[str]:
    """The attributes that Security Hub knows and this fake does not."""
    return sorted(set(filters) - set(_STRINGS) - set(_DATES) - set(_NUMBERS) - set(_MAPS))


def matches(finding: Finding, filters: dict[str, list[Filter]], now: datetime) -> bool:
    """Whether `finding` passes every one of `filters`; an attribute with no values filters nothing."""
    return all(_field_matches(finding, name, values, now) for name, values in filters.items() if values)


def _field_refusal(name: str, values: list[Filter]) -> str | None:
    comparisons = {value.get("Comparison") for value in values}
    if len(values) > MAX_VALUES:
        return f"at most {MAX_VALUES} values"
    if name in _STRINGS and (unknown := comparisons - set(_POSITIVE) - set(_NEGATIVE)):
        return f"{sorted(map(str, unknown))} cannot be used with GetFindings"
    if "EQUALS" in comparisons and comparisons & set(_NEGATIVE):
        return "EQUALS cannot be combined with NOT_EQUALS or PREFIX_NOT_EQUALS"
    return None


def _field_matches(finding: Finding, name: str, values: list[Filter], now: datetime) -> bool:
    if name in _STRINGS:
        return _strings_match(_STRINGS[name](finding), values)
    if name in _DATES:
        return any(_date_matches(text, value, now) for text in _DATES[name](finding) for value in values)
    if name in _NUMBERS:
        return any(_number_matches(number, value) for number in _NUMBERS[name](finding) for value in values)
    return any(_map_matches(entries, value) for entries in _MAPS[name](finding) for value in values)


def _strings_match(present: list[str], values: list[Filter]) -> bool:
    wanted = [value for value in values if value["Comparison"] in _POSITIVE]
    barred = [value for value in values if value["Comparison"] in _NEGATIVE]
    hit = any(_POSITIVE[value["Comparison"]](text, value["Value"]) for value in wanted for text in present)
    miss = any(_NEGATIVE[value["Comparison"]](text, value["Value"]) for value in barred for text in present)
    return (hit or not wanted) and not miss


def _date_matches(text: str, value: Filter, now: datetime) -> bool:
    when = datetime.fromisoformat(text)
    if "DateRange" in value:
        edge = now - timedelta(days=value["DateRange"]["Value"])
        older = value["DateRange"].get("Comparison", "WITHIN") == "OLDER_THAN"
        return when < edge if older else edge <= when <= now
    start, end = value.get("Start"), value.get("End")
    return (not start or datetime.fromisoformat(start) <= when) and (not end or when <= datetime.fromisoformat(end))


def _number_matches(number: float, value: Filter) -> bool:
    tests: dict[str, Callable[[float, float], bool]] = {
        "Eq": float.__eq__, "Gte": float.__ge__, "Lte": float.__le__, "Gt": float.__gt__, "Lt": float.__lt__,
    }  # fmt: skip
    return all(test(float(number), float(value[name])) for name, test in tests.items() if name in value)


def _map_matches(entries: dict[str, str], value: Filter) -> bool:
    same = entries.get(value["Key"]) == value.get("Value")
    return not same if value.get("Comparison") == "NOT_EQUALS" else same
