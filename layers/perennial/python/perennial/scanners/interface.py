"""What a scanner is, what it is given, and the names of the attributes that sightings carry.

A scanner yields what is in its scope now: one `Seen` for each place. It reads a certificate (one call each) only where
the previous manifest does not know it or the source says that it changed.

| attribute | value | told by |
| --- | --- | --- |
| names | host names served or claimed at this place | attached, served |
| binding | default, sni, alias, domain, origin (a client certificate shown to it): how it is attached | attached |
| listener, scheme | `HTTPS:443`; internet-facing or internal | elbv2, elb |
| mutual_authentication | verify or passthrough, where the listener asks for client certificates | elbv2 |
| trust_store | of client certificates: an ARN (elbv2), {uri, version, warnings} (apigateway) | elbv2, apigateway |
| ownership_certificate | ARN of the public certificate that proves the domain's owner, with mutual TLS | apigateway |
| ssl_support_method | sni-only, vip, static-ip | cloudfront |
| origins | ids of the origins that are shown the certificate (binding origin) | cloudfront |
| policy, protocols | TLS policy and the protocol versions it allows (`SSLv3`, `TLSv1` to `TLSv1.3`) | attached |
| protocol | negotiated version | endpoints |
| addresses | those that serve this certificate, only where the host's addresses differ | endpoints |
| handshake | why it failed although certificates were sent | endpoints |
| type | AMAZON_ISSUED, IMPORTED, PRIVATE (acm); ROOT, SUBORDINATE (acm_pca) | acm, acm_pca |
| usage_mode, shared | GENERAL_PURPOSE or SHORT_LIVED_CERTIFICATE; whether another account owns the CA | acm_pca |
| status, status_message | the service's own state, such as ISSUED, and its words on it | acm, acm_pca, domains … |
| in_use | the service says that something uses it | acm |
| renewal_status, renewal_eligible, exportable, managed_by, origin | as ACM tells them | acm |
| changed_at | when the certificate came here (not issued yet: was requested), ISO 8601 | acm, iam, secretsmanager |
| chain | fingerprints of the certificates sent or kept with it, leaf excluded, in order | stored, served |
| chain_status | complete, incomplete, misordered, self-signed, untrusted (see `chain.py`) | stored, served |
| chain_not_after | the earliest end of a chain certificate, ISO 8601 | stored, served |
| public | whether it chains to a publicly trusted root | stored, served |
| has_key | a private key is kept here too | secretsmanager |
| tags | the resource's tags | where the tagging API tells them |
| store, trusted_by | the trust store's name; resources that use it | trust_stores |
| problem | why the certificate could not be read, although it should be: a finding | all |
| note | why there is no certificate to read, and that is no defect | trust_stores |
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
