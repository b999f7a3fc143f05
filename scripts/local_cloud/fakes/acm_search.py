"""Which certificates a ListCertificates or SearchCertificates request asks for, and in which order.

Filters become predicates, so that a request over 100,000 certificates walks them once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_cloud.fakes.acm_certificate import METADATA, Certificate, metadata

Predicate = Callable[[Certificate], bool]

LISTED_KEYS = ("RSA_1024", "RSA_2048")
"""What ListCertificates returns without `Includes.keyTypes`."""
LISTED_ORIGINS = ("AWS_MANAGED", "CUSTOMER_PROVIDED")
"""What ListCertificates returns without `CertificateKeyPairOrigins`."""


@dataclass(frozen=True)
class Moment:
    """What a filter needs to know besides the certificate: the time, and who uses it."""

    now: datetime
    in_use: Callable[[Certificate], bool]


def listed(request: dict[str, Any], moment: Moment) -> Predicate:
    """The filter of a ListCertificates request, with its silent defaults."""
    includes = request.get("Includes", {})
    keys = frozenset(includes.get("keyTypes") or LISTED_KEYS)
    origins = frozenset(request.get("CertificateKeyPairOrigins") or LISTED_ORIGINS)
    checks: list[Predicate] = [lambda item: item.key_algorithm in keys, lambda item: item.origin in origins]
    checks.append(lambda item: "keyTypes" in includes or bool(item.domain_name))
    if statuses := request.get("CertificateStatuses"):
        checks.append(lambda item: item.status(moment.now) in statuses)
    if usages := includes.get("keyUsage"):
        checks.append(lambda item: not set(usages).isdisjoint(item.key_usages))
    if extended := includes.get("extendedKeyUsage"):
        checks.append(lambda item: not set(extended).isdisjoint(item.usage_names))
    if option := includes.get("exportOption"):
        checks.append(lambda item: item.export_option == option)
    if manager := includes.get("managedBy"):
        checks.append(lambda item: item.managed_by == manager)
    return lambda item: all(check(item) for check in checks)


def searched(statement: dict[str, Any] | None, moment: Moment) -> Predicate:
    """The filter of a SearchCertificates request."""
    if not statement:
        return lambda _: True
    kind, content = next(iter(statement.items()))
    if kind == "Not":
        inner = searched(content, moment)
        return lambda item: not inner(item)
    if kind == "Filter":
        return _filter(content, moment)
    parts = [searched(part, moment) for part in content]
    combine = all if kind == "And" else any
    return lambda item: combine(part(item) for part in parts)


def _filter(content: dict[str, Any], moment: Moment) -> Predicate:
    kind, wanted = next(iter(content.items()))
    if kind == "CertificateArn":
        return lambda item: item.arn == wanted
    name, value = next(iter(wanted.items()))
    if kind == "AcmCertificateMetadataFilter":
        return _metadata_filter(name, value, moment)
    return _x509_filter(name, value)


def _metadata_filter(name: str, value: Any, moment: Moment) -> Predicate:
    if name == "InUse":
        return lambda item: moment.in_use(item) == value
    if name == "Status":
        return lambda item: item.status(moment.now) == value
    read = METADATA[name]
    return lambda item: read(item) == value


def _x509_filter(name: str, value: Any) -> Predicate:
    if name == "Subject":
        return _text_filter(
            value["CommonName"], lambda item: (item.facts and item.facts.common_name) or item.domain_name
        )
    if name == "SubjectAlternativeName":
        compare = _comparison(value["DnsName"])
        return lambda item: any(compare(dns_name) for dns_name in item.names)
    if name in ("NotAfter", "NotBefore"):
        return _range_filter(name, value)
    return _X509_EQUALS[name](value)


_X509_EQUALS: dict[str, Callable[[Any], Predicate]] = {
    "KeyAlgorithm": lambda value: lambda item: item.key_algorithm == value,
    "SerialNumber": lambda value: lambda item: item.facts is not None and item.facts.serial == value,
    "KeyUsage": lambda value: lambda item: value in item.key_usages,
    "ExtendedKeyUsage": lambda value: lambda item: value in item.usage_names,
}


def _comparison(wanted: dict[str, str]) -> Callable[[str], bool]:
    value = wanted["Value"].lower()
    if wanted["ComparisonOperator"] == "CONTAINS":
        return lambda text: value in text.lower()
    return lambda text: value == text.lower()


def _text_filter(wanted: dict[str, str], read: Callable[[Certificate], str | None]) -> Predicate:
    compare = _comparison(wanted)
    return lambda item: compare(read(item) or "")


def _range_filter(name: str, value: dict[str, datetime]) -> Predicate:
    start, end = value.get("Start"), value.get("End")
    attribute = "not_after" if name == "NotAfter" else "not_before"

    def within(item: Certificate) -> bool:
        if item.facts is None:
            return False
        time = getattr(item.facts, attribute)
        return (start is None or start <= time) and (end is None or time <= end)

    return within


_SORT_KEYS: dict[str, Callable[[Certificate], Any]] = {
    "NOT_AFTER": lambda item: item.facts and item.facts.not_after,
    "NOT_BEFORE": lambda item: item.facts and item.facts.not_before,
    "KEY_ALGORITHM": lambda item: item.key_algorithm,
    "CERTIFICATE_ARN": lambda item: item.arn,
    "COMMON_NAME": lambda item: (item.facts and item.facts.common_name) or item.domain_name,
}


def ordered(found: Iterable[Certificate], sort_by: str | None, order: str | None, moment: Moment) -> list[Certificate]:
    """The certificates in the order that was asked for, those without the value last; as created without one."""
    if sort_by is None:
        return list(found)
    read = _SORT_KEYS.get(sort_by) or _metadata_key(sort_by, moment)
    keyed = [(read(item), item) for item in found]
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=order == "DESCENDING")
    return [item for _, item in known] + [item for value, item in keyed if value is None]


def _metadata_key(sort_by: str, moment: Moment) -> Callable[[Certificate], Any]:
    name = "".join(part.capitalize() for part in sort_by.split("_"))
    return lambda item: metadata(item, moment.now, moment.in_use(item))[name]
