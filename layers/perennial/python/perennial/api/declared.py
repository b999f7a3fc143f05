"""A declaration as the API takes and gives it: the fields of certificates.yaml, under the same names and bounds.

The documents say of what form a declaration is. Whether it means something, `declaration` says, which reads files too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from perennial import declaration
from perennial.api.models import LINE, Reason, Sent
from perennial.declaration import MAX_CONTACTS
from perennial.issuance import MANAGED
from perennial.issuance_settings import MAX_DAYS, MAX_NAMES
from perennial.managed_certificate import ManagedCertificate
from perennial.profiles import KEYS
from perennial.settings_table import TABLE_NAME
from perennial.target_settings import MAX_TARGETS, MAX_TEXTS, RETURN, STAY
from perennial.window_settings import MAX_WINDOWS

MAX_NAME = 64  # characters, as MANAGED has it
NAME = f"^{MANAGED.pattern}$"
TABLE = f"^{TABLE_NAME.pattern}$"
ManagedName = Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=NAME)]
TableName = Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=TABLE)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=LINE)]
VISIBLE = r"^[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+$"  # \S differs by dialect
DnsName = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern=VISIBLE)]
FieldText = Annotated[str, StringConstraints(max_length=2_048, pattern=LINE)]
FieldTexts = Annotated[list[FieldText], Field(max_length=MAX_TEXTS)]


class Contacts(Sent):
    """Who is told when a renewal does not succeed, beside the owner."""

    team: list[Words] = Field(default=[], max_length=MAX_CONTACTS)
    business: list[Words] = Field(default=[], max_length=MAX_CONTACTS)
    on_call: list[Words] = Field(default=[], max_length=MAX_CONTACTS)


class Target(Sent):
    """A place where the certificate must serve. Its other members are those of its kind: docs/targets.md has them."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, FieldText | int | FieldTexts]

    kind: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_]+$")]
    name: TableName
    account: Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")] | None = None
    region: Annotated[str, StringConstraints(max_length=32, pattern=r"^[a-z0-9-]+$")] | None = None
    names: list[DnsName] = Field(default=[], max_length=MAX_NAMES)
    endpoints: list[FieldText] = Field(default=[], max_length=MAX_TEXTS)
    proof: Literal["handshake", "read-back"] | None = None
    deadline: int | None = Field(default=None, ge=1, le=86_400, description="Seconds.")


class Declaration(Sent):
    """What is wished for: docs/declaring.md has every field."""

    names: list[DnsName] = Field(min_length=1, max_length=MAX_NAMES, description="The first is the one people read.")
    profile: TableName
    owner: Words = Field(description="The team whose certificate it is.")
    issuer: TableName | None = None
    key: Literal[KEYS] | None = None  # type: ignore[valid-type]
    validity_days: int | None = Field(default=None, ge=1, le=MAX_DAYS)
    environment: TableName | None = None
    windows: list[TableName] = Field(default=[], max_length=MAX_WINDOWS)
    service: Words | None = Field(default=None, description="The business service that depends on it.")
    contacts: Contacts = Contacts()
    adopts: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="SHA-256 of the certificate that serves now."
    )
    on_failure: Literal["return", "stay"] = "return"
    targets: list[Target] = Field(default=[], max_length=MAX_TARGETS, description="In their order, the canary first.")


assert (RETURN, STAY) == ("return", "stay"), "Declaration.on_failure has the words of target_settings"


class Change(Declaration):
    """A declaration as it shall be, as a whole, and why."""

    reason: Reason


class Creation(Change):
    """A new managed certificate."""

    name: ManagedName


def certificate(name: str, wished: Declaration) -> ManagedCertificate:
    """The managed certificate that a document declares.

    Raises: InvalidInput with every problem, one a line.
    """
    document = wished.model_dump(mode="json", exclude={"name", "reason"}, exclude_none=True, exclude_defaults=True)
    (found,) = declaration.parse({declaration.TOP: {name: document}})
    return found


def document(declared: ManagedCertificate) -> dict[str, Any]:
    """A declaration as certificates.yaml has it, which `Declaration` takes."""
    return dict(declaration.document(declared))
