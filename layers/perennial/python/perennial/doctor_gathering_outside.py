"""What the doctor asks outside the deployment: issuers, hosted zones and DNS. Reads only.

Sources: RFC 8555 7.1.1 (`caaIdentities`), API_DescribeCertificateAuthority, API_GetHostedZone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any

from perennial.doctor import Unknown
from perennial.doctor_dns import AMAZON, MAX_DOMAINS, DomainFacts, Wanted, ZoneFacts
from perennial.doctor_issuers import AcmFacts, AuthorityFacts, BrokenFacts, DirectoryFacts, Facts
from perennial.doctor_permissions import RoleFacts
from perennial.errors import InvalidConfiguration, InvalidReply, NotFound
from perennial.profiles import AcmeIssuer, AcmIssuer, Issuer, PcaIssuer

if TYPE_CHECKING:
    from perennial.clients import Clients
    from perennial.doctor_resolver import Caa, Resolver
    from perennial.settings import Settings

Questions = dict[str, Callable[[], Any]]


def questions(
    clients: Clients, settings: Settings, wanted: Sequence[Wanted], resolver: Resolver | Unknown, own: str
) -> Questions:
    """What is asked of each issuer and about each domain. `own`: the hub's account."""
    asked: Questions = {
        f"issuer {name}": partial(_issuer, clients, each)
        for name, each in settings.issuers.items()
        if not each.distrusted
    }
    domains = wanted[:MAX_DOMAINS]
    if any(each.by_records for each in domains):
        asked["zones"] = partial(_zones, clients, settings, own, [each.domain for each in domains])
    if not isinstance(resolver, Unknown):
        asked |= {f"caa {each.domain}": partial(resolver.caa, each.domain) for each in domains}
    return asked


def delegations(found: Mapping[str, Any], resolver: Resolver | Unknown) -> Questions:
    """What is asked about each zone that was found: whether the world asks it."""
    zones = found.get("zones")
    if isinstance(resolver, Unknown) or not isinstance(zones, dict):
        return {}
    names = {each.name for each in zones.values() if isinstance(each, ZoneFacts)}
    return {f"servers {name}": partial(resolver.name_servers, name) for name in sorted(names)}


def domain_facts(wanted: Sequence[Wanted], found: Mapping[str, Any]) -> dict[str, DomainFacts]:
    """The answers about each domain."""
    return {each.domain: _domain(each.domain, found) for each in wanted[:MAX_DOMAINS]}


def _domain(domain: str, found: Mapping[str, Any]) -> DomainFacts:
    zones = found.get("zones", Unknown("no zone was asked for"))
    zone = zones if isinstance(zones, Unknown) else zones[domain]
    servers = found.get(f"servers {zone.name}", _NO_RESOLVER) if isinstance(zone, ZoneFacts) else ()
    caa: tuple[str, tuple[Caa, ...]] | Unknown = found.get(f"caa {domain}", _NO_RESOLVER)
    at, records = ("", caa) if isinstance(caa, Unknown) else caa
    return DomainFacts(zone=zone, servers=servers, caa=records, caa_at=at)


_NO_RESOLVER = Unknown("no resolver is known here")


# --- roles ---


def roles(settings: Settings, own: str) -> tuple[tuple[str, str, str], ...]:
    """Account, role and use of each role of another account that issuing and deploying need."""
    solvers, targets = settings.solvers, settings.targets
    zones = ((each, solvers.role_name, "challenges in its zones") for each in solvers.zone_accounts)
    looking = ((each, f"{targets.role_name}Look", "looking at its targets") for each in targets.accounts)
    return tuple(each for each in (*zones, *looking) if each[0] != own)


def role_questions(clients: Clients, settings: Settings, own: str) -> Questions:
    """Whether each of them lets the caller in."""
    external_id = settings.discovery.external_id
    return {
        f"role {account} {role}": partial(_assumed, clients, account, role, external_id)
        for account, role, _ in roles(settings, own)
    }


def role_facts(settings: Settings, own: str, found: Mapping[str, Any]) -> tuple[RoleFacts, ...]:
    """The answers about them."""
    return tuple(
        RoleFacts(account=account, role=role, needed_for=use, assumed=found[f"role {account} {role}"])
        for account, role, use in roles(settings, own)
    )


def _assumed(clients: Clients, account: str, role: str, external_id: str) -> bool:
    from botocore.exceptions import ClientError

    from perennial.clients import DENIED

    try:
        clients.assume(account, role, external_id)
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        return False
    return True


# --- issuers ---


def _issuer(clients: Clients, issuer: Issuer) -> Facts:
    """Raises: PerennialError, ClientError, BotoCoreError where nothing can be said."""
    if isinstance(issuer, AcmeIssuer):
        return _directory(issuer)
    if isinstance(issuer, PcaIssuer):
        return _authority(clients, issuer)
    region = issuer.region or clients.region or ""
    clients("acm", region).list_certificates(MaxItems=1)
    return AcmFacts(region=region)


def _directory(issuer: AcmeIssuer) -> DirectoryFacts | BrokenFacts:
    from perennial.issuers.acme_http import Http
    from perennial.issuers.acme_network import Network, read_directory

    try:
        http = Http(issuer.directory_roots, field=f"issuers.{issuer.name}.directory_roots", reply_seconds=15.0)
        fields = Network(http, issuer).get(issuer.directory, "directory").read()
        directory, meta = read_directory(fields), fields.of("meta")
        identities = meta.texts("caaIdentities", 20)
    except (InvalidConfiguration, InvalidReply, NotFound) as error:
        return BrokenFacts(words=str(error))
    return DirectoryFacts(
        account_bound=directory.account_bound,
        profiles=directory.profiles,
        advises=bool(directory.renewal_info),
        identities=identities,
    )


def _authority(clients: Clients, issuer: PcaIssuer) -> AuthorityFacts | BrokenFacts:
    from botocore.exceptions import ClientError

    parts = issuer.authority.split(":")
    if len(parts) != 6:
        return BrokenFacts(words="its authority is not the ARN of a private CA")
    try:
        reply = clients("acm-pca", parts[3]).describe_certificate_authority(CertificateAuthorityArn=issuer.authority)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return BrokenFacts(words=f"there is no private CA {issuer.authority}")
    found = reply["CertificateAuthority"]
    ends = found.get("NotAfter")
    return AuthorityFacts(status=str(found["Status"]), not_after=ends.astimezone(UTC) if ends else None)


def identities(issuer: Issuer, found: Facts | Unknown) -> tuple[str, ...] | Unknown:
    """The names by which CAA records allow an issuer."""
    if isinstance(issuer, AcmIssuer):
        return AMAZON
    if isinstance(found, DirectoryFacts):
        return found.identities
    return found if isinstance(found, Unknown) else Unknown("the issuer does not answer as it should")


# --- zones ---


def _zones(
    clients: Clients, settings: Settings, own: str, domains: Sequence[str]
) -> dict[str, ZoneFacts | Unknown | None]:
    """The closest hosted zone of each domain. One after the other: Route 53 takes few requests a second."""
    from perennial.route53_zones import Zones

    reached, missing = _accounts(clients, settings, own)
    zones = Zones({account: partial(each, "route53") for account, each in reached.items()})
    found: dict[str, ZoneFacts | Unknown | None] = {}
    for domain in domains:
        try:
            zone = zones.closest(domain)
        except InvalidConfiguration as error:
            found[domain] = Unknown(str(error))
            continue
        if zone is None:
            found[domain] = Unknown(missing) if missing else None
            continue
        reply = reached[zone.account]("route53").get_hosted_zone(Id=zone.id)
        servers = reply.get("DelegationSet", {}).get("NameServers", ())
        found[domain] = ZoneFacts(
            name=zone.name, account=zone.account, servers=tuple(sorted(each.lower().rstrip(".") for each in servers))
        )
    return found


def _accounts(clients: Clients, settings: Settings, own: str) -> tuple[dict[str, Clients], str]:
    """The clients of each account with zones that lets the caller in, and why another one does not."""
    from botocore.exceptions import ClientError

    from perennial.clients import meaning

    reached, missing = {own: clients}, ""
    role = settings.solvers.role_name
    for account in settings.solvers.zone_accounts:
        try:
            reached.setdefault(account, clients.assume(account, role, settings.discovery.external_id))
        except ClientError as error:
            missing = str(meaning(error, f"the role {role} of account {account}, which trusts the hub's functions"))
    return reached, missing
