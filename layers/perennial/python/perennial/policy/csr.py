"""A requester's CSR says the same as the request: it is what the issuer sees, the request is what people saw."""

from __future__ import annotations

from collections.abc import Iterator

from perennial.names import shown
from perennial.policy.asked import MAX_JUDGED, listed, quoted
from perennial.policy.interface import Rule, Subject, Violation

MAX_PROBLEM = 600  # characters of what is wrong with a CSR


def _read(subject: Subject) -> Iterator[Violation]:
    if subject.request.csr and subject.csr is None:
        detail = subject.csr_problem[:MAX_PROBLEM] or "Nobody read the CSR."
        yield Violation("csr", "csr.read", detail, "a CSR (PKCS #10) whose names, key and signature can be read")


def _names(subject: Subject) -> Iterator[Violation]:
    if subject.csr is None:
        return
    wished, given = set(subject.request.names), set(subject.csr.names)
    for what, differing in (("does not have", wished - given), ("also has", given - wished)):
        if differing:
            names = listed(map(shown, sorted(differing)[:MAX_JUDGED]))
            yield Violation("csr", "csr.names", f"The CSR {what} {names}.", "a CSR and a request with the same names")


def _key(subject: Subject) -> Iterator[Violation]:
    wished = subject.request.key
    if subject.csr is not None and wished and wished != subject.csr.key:
        detail = f"The CSR is for a key of type {quoted(subject.csr.key)}, the request for {quoted(wished)}."
        yield Violation(
            "csr", "csr.key", detail, "a CSR and a request with the same key type, or a request without one"
        )


def _usages(subject: Subject) -> Iterator[Violation]:
    strange = sorted(set(subject.csr.usages if subject.csr else ()) - set(subject.profile.usages))
    if strange:
        detail = f"The CSR asks for {listed(strange)}, which the profile {subject.profile.name} does not allow."
        yield Violation("csr", "csr.usages", detail, f"a CSR for {listed(subject.profile.usages)}, or for no usage")


RULES = (
    Rule(
        id="csr.read",
        title="What the CSR asks for is known",
        cites="RFC 2986 section 4",
        run=_read,
    ),
    Rule(
        id="csr.names",
        title="The CSR has the names of the request and no others",
        cites="RFC 8555 section 7.4",
        run=_names,
    ),
    Rule(
        id="csr.key",
        title="The CSR is for the key type of the request",
        cites="RFC 2986 section 4.1",
        run=_key,
    ),
    Rule(
        id="csr.usages",
        title="The CSR asks for usages of the profile only",
        cites="RFC 5280 section 4.2.1.12; `usages` of `[profiles.<name>]`",
        run=_usages,
    ),
)
