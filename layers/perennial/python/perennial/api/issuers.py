"""Issuers and profiles, as perennial.toml has them: which certificates can be requested, and of whom.

Nothing of accounts at a CA is told: no secret's name, no contact. Nor are roots, which are long and public elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from perennial import profiles
from perennial.api.asking import asking
from perennial.api.models import Model
from perennial.api.routes import route, routes
from perennial.profiles import ChallengeKind, KeyHome
from perennial.roles import Action

router = routes()


class Issuer(Model):
    """A CA that Perennial can ask."""

    name: str = Field(examples=["lets-encrypt"])
    kind: str = Field(description="acme, acm_pca or acm.", examples=["acme"])
    public: bool = Field(description="Whether its certificates are publicly trusted.")
    asked: str = Field(
        description="Where: a directory's URL, the ARN of a CA, a region; empty: ACM in the hub's region.",
        examples=["https://acme-v02.api.letsencrypt.org/directory"],
    )
    keys: list[str] = Field(description="Keys that it takes.", examples=[["EC-256", "RSA-2048"]])
    challenge: ChallengeKind | None = Field(
        description="How control of a name is proven to it; null: not by Perennial."
    )
    own_roots: bool = Field(description="Whether its chains end at roots that are configured for it.")
    distrusted: bool = Field(description="Nothing is requested of it any more.")
    orders_per_hour: int = Field(description="That are planned at the most.")
    certificates_per_domain_and_week: int = Field(description="At the most; 0: any number.")
    profiles: list[str] = Field(description="Profiles that use it, or may.")


class Issuers(Model):
    """All issuers, by name."""

    items: list[Issuer]


class Profile(Model):
    """One kind of certificate that can be requested."""

    name: str = Field(examples=["web"])
    issuer: str
    issuers: list[str] = Field(description="Further ones that a request may choose.")
    keys: list[str] = Field(description="Allowed keys, the default first.", examples=[["EC-256"]])
    key_home: KeyHome = Field(description="Where the private key is made and stays.")
    rotate_key: bool = Field(description="A new key at every renewal.")
    validity_days: int = Field(description="At most.", examples=[90])
    usages: list[str] = Field(description="Extended key usages.", examples=[["serverAuth"]])
    names: list[str] = Field(
        description="Rules of names: a name, .example.com for those below, *.example.com, networks."
    )
    wildcards: bool
    addresses: bool = Field(description="Whether IP addresses may be in it.")
    max_names: int
    targets: list[str] = Field(description="Kinds of targets that it may be put at; []: any.")


class Profiles(Model):
    """All profiles, by name."""

    items: list[Profile]


@route(router, "GET", "/issuers", Action.READ_ISSUERS, summary="List issuers")
def list_issuers() -> Issuers:
    """The issuers of perennial.toml, by name."""
    asker = asking(router)
    asker.reach(Action.READ_ISSUERS, kind="issuer")
    settings = asker.hub.settings
    users = {name: _users(settings.profiles.values(), name) for name in settings.issuers}
    return Issuers(items=[issuer_of(each, users[name]) for name, each in sorted(settings.issuers.items())])


@route(router, "GET", "/profiles", Action.READ_PROFILES, summary="List profiles")
def list_profiles() -> Profiles:
    """The profiles of perennial.toml, by name."""
    asker = asking(router)
    asker.reach(Action.READ_PROFILES, kind="profile")
    return Profiles(items=[profile_of(each) for _, each in sorted(asker.hub.settings.profiles.items())])


def _users(known: Iterable[profiles.Profile], issuer: str) -> list[str]:
    return sorted(each.name for each in known if issuer in (each.issuer, *each.issuers))


def issuer_of(issuer: profiles.Issuer, users: list[str]) -> Issuer:
    acme = issuer if isinstance(issuer, profiles.AcmeIssuer) else None
    asked = [getattr(issuer, name, "") for name in ("directory", "authority", "region")]
    return Issuer(
        name=issuer.name,
        kind=issuer.kind,
        public=issuer.public,
        asked=next(filter(None, asked), ""),
        keys=list(issuer.keys),
        challenge=acme.challenge if acme else None,
        own_roots=bool(issuer.roots),
        distrusted=issuer.distrusted,
        orders_per_hour=issuer.orders_per_hour,
        certificates_per_domain_and_week=issuer.certificates_per_domain_and_week,
        profiles=users,
    )


def profile_of(profile: profiles.Profile) -> Profile:
    return Profile(
        name=profile.name,
        issuer=profile.issuer,
        issuers=list(profile.issuers),
        keys=list(profile.keys),
        key_home=profile.key_home,
        rotate_key=profile.rotate_key,
        validity_days=profile.validity_days,
        usages=list(profile.usages),
        names=list(profile.names),
        wildcards=profile.wildcards,
        addresses=profile.addresses,
        max_names=profile.max_names,
        targets=list(profile.targets),
    )
