"""What a scanner is, what it is given, and the names of the attributes that sightings carry.

A scanner yields what is in its scope now: one `Seen` for each place. It reads a certificate (one call each) only where
the previous manifest does not know it or the source says that it changed.

| attribute | value | told by |
| --- | --- | --- |
| names | host names served or claimed at this place | attached, served |
| binding | default, sni, alias, domain: how it is attached | attached |
| listener | `HTTPS:443` | elbv2, elb |
| policy, protocols | TLS policy and the protocol versions it allows (`TLSv1`, `TLSv1.1`, `TLSv1.2`, `TLSv1.3`) | attached |
| protocol | negotiated version | endpoints |
| type | AMAZON_ISSUED, IMPORTED, PRIVATE | acm |
| status | the service's own state, such as ISSUED, ACTIVE, PENDING_VALIDATION | acm, acm_pca, domains |
| in_use | the service says that something uses it | acm |
| renewal_status, renewal_eligible, exportable, managed_by, origin | as ACM tells them | acm |
| changed_at | when the certificate came here, ISO 8601 | acm, iam, secretsmanager |
| chain | fingerprints of the certificates sent or kept with it, leaf excluded, in order | stored, served |
| chain_status | complete, incomplete, misordered, self-signed, untrusted (see `chain.py`) | stored, served |
| chain_not_after | the earliest end of a chain certificate, ISO 8601 | stored, served |
| public | whether it chains to a publicly trusted root | stored, served |
| has_key | a private key is kept here too | secretsmanager |
| tags | the resource's tags | where the tagging API tells them |
| trusted_by | resources that use this trust store | trust_stores |
| problem | why the certificate could not be read | all |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.manifest import Scope, Seen, Sighting
from perennial.settings import Discovery

GLOBAL = "aws-global"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a scanner is given for one scope.

    `client(service)` makes a boto3 client in the scope's account and region (a second argument overrides the region).
    `known` is the scope's previous manifest by location, empty at the first time. `full` is False for a quick scan:
    then nothing is read that needs a call per certificate. `tags(resource_type)` maps ARN to tags for one type of the
    tagging API (`acm:certificate`), {} in a quick scan.
    """

    scope: Scope
    client: Callable[..., Any]
    known: Mapping[str, Sighting]
    full: bool
    settings: Discovery
    tags: Callable[[str], Mapping[str, Mapping[str, str]]]
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """One source of certificates. `scan` raises botocore's ClientError for what it may not or cannot read: the scope is
    then incomplete. What concerns one certificate only (a secret without permission) is yielded with a problem."""

    source: str
    title: str  # for documentation and progress
    actions: tuple[str, ...]  # IAM actions, least privilege
    scan: Callable[[Reading], Iterator[Seen]]
    everywhere: bool = True  # in every region; False: a global service, scanned once an account
    hub_only: bool = False  # scanned once, from the hub account (endpoints)
