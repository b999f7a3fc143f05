"""A certificate that Discovery found becomes a declaration, with a target for each place where it serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from certificates import Built, build
from declaring import NOW, DeclaringHub, declared, declaring_hub, kinds, serving
from estate import HUB, REGION
from perennial import adoption, declaration, declaration_writing
from perennial.adoption import Adoption
from perennial.errors import InvalidInput, NotFound
from perennial.manifest import Difference, Role, Scope, Sighting
from perennial.target_settings import MAX_TARGETS

ELB = f"arn:aws:elasticloadbalancing:{REGION}:{HUB}"
LISTENER = f"{ELB}:listener/app/shop/0123456789abcdef/0123456789abcdef"
DOMAIN = f"arn:aws:apigateway:{REGION}::/domainnames/api.example.com"
SECRET = f"arn:aws:secretsmanager:{REGION}:{HUB}:secret:shop/tls-AbCdEf"
SHOP = build("Shop", names=["*.shop.example.com", "shop.example.com"])


def arn(number: int = 1) -> str:
    return f"arn:aws:acm:{REGION}:{HUB}:certificate/{number:08}-2222-3333-4444-555555555555"


@pytest.fixture
def hub() -> Iterator[DeclaringHub]:
    with declaring_hub() as made:
        yield made


def sight(hub: DeclaringHub, source: str, *sightings: Sighting, region: str = REGION, account: str = HUB) -> None:
    none: Any = ()
    change = Difference(added=sightings, changed=none, gone=none)
    hub.deployment.inventory.apply(Scope(account, region, source), change, NOW)


def held(where: str, what: Built = SHOP, **attributes: Any) -> Sighting:
    role = attributes.pop("role", Role.STORED)
    resource = attributes.pop("resource", where)
    return Sighting(location=where, role=role, resource=resource, fingerprint=what.fingerprint, attributes=attributes)


def attached(resource: str, holder: str, location: str = "", **attributes: Any) -> Sighting:
    return Sighting(
        location=location or f"{resource}#{holder}",
        role=Role.ATTACHED,
        resource=resource,
        holder=holder,
        attributes=attributes,
    )


def imported(hub: DeclaringHub, what: Built = SHOP, kind: str = "IMPORTED") -> None:
    """The certificate in ACM."""
    hub.known(what)
    sight(hub, "acm", held(arn(), what, type=kind))


def adopted(hub: DeclaringHub, what: str = "", **more: Any) -> Adoption:
    return adoption.adopted(hub.deployment, what or arn(), NOW, **{"owner": "shop", **more})


def test_what_is_attached_becomes_its_targets(hub: DeclaringHub) -> None:
    """Names, key, owner and profile are those that it has; each place where it is attached is a target; what is
    printed can be applied as it is, and then it is the one that serves."""
    imported(hub)
    sight(hub, "elbv2", attached(LISTENER, arn(), binding="default"))
    sight(hub, "elb", attached(f"{ELB}:loadbalancer/old", arn(), f"{ELB}:loadbalancer/old:443#{arn()}"))
    sight(hub, "apigateway", attached(DOMAIN, arn()), account="222222222222")
    hub.deployment.inventory.own(SHOP.fingerprint, "shop", arn())
    found = adopted(hub, owner="")
    assert found.remarks == ()
    assert found.declared.name == "wildcard-shop-example-com"
    assert found.declared.adopts == SHOP.fingerprint
    request = found.declared.request
    assert (request.names, request.profile) == (("*.shop.example.com", "shop.example.com"), "web")
    assert (request.owner, request.key) == ("shop", "")
    targets = {each.name: each for each in found.declared.targets}
    assert list(targets) == ["apigateway", "elbv2", "elb"]
    assert targets["apigateway"].account == "222222222222"
    assert targets["elbv2"].text("listener") == LISTENER
    assert (targets["elb"].text("load_balancer"), targets["elb"].text("port")) == ("old", "443")
    before = hub.table()
    text = f"certificates:\n{declaration_writing.text(found.declared, found.remarks)}"
    assert declaration.load(text) == [found.declared]
    assert hub.table() == before
    assert kinds(hub.apply(*declaration.load(text))) == {found.declared.name: "added"}
    serves = hub.record(found.declared.name).serving
    assert serves and serves.fingerprint == SHOP.fingerprint


@pytest.mark.parametrize("what", ["fingerprint", "beginning", "colons"])
def test_how_it_is_named(hub: DeclaringHub, what: str) -> None:
    """By its fingerprint, the beginning of it, or as openssl prints it."""
    imported(hub)
    given = {
        "fingerprint": SHOP.fingerprint,
        "beginning": SHOP.fingerprint[:12],
        "colons": ":".join(SHOP.fingerprint[at : at + 2].upper() for at in range(0, 64, 2)),
    }
    assert adopted(hub, given[what]).declared.adopts == SHOP.fingerprint


STORES: list[tuple[str, Sighting, list[Sighting], list[tuple[str, dict[str, str]]], int]] = [
    # source, where it is held, what is attached, the targets' kinds and some fields, places that none reaches
    ("acm", held(arn(), type="IMPORTED"), [], [("acm", {"certificate": arn()})], 0),
    ("acm", held(arn(), type="AMAZON_ISSUED"), [], [], 1),
    (
        "acm",
        held(arn(), type="IMPORTED"),
        [attached(LISTENER, arn(), binding="default"), attached("arn:x", arn())],
        [("acm", {"certificate": arn()})],
        0,
    ),
    (
        "acm",
        held(arn(), type="AMAZON_ISSUED"),
        [attached(LISTENER, arn(), binding="sni"), attached("arn:x", arn())],
        [("elbv2", {"listener": LISTENER, "slot": "sni", "replaces": arn()})],
        1,
    ),
    ("secretsmanager", held(SECRET, has_key=True), [], [("secretsmanager", {"secret": SECRET})], 0),
    ("secretsmanager", held(SECRET, has_key=False), [], [], 1),
    ("secretsmanager", held(f"{SECRET}#2", has_key=True, resource=SECRET), [], [], 1),
    (
        "secretsmanager",
        held(f"arn:aws:secretsmanager:{REGION}:{HUB}:secret:perennial/certificates/x-AbCdEf", has_key=True),
        [],
        [],
        1,
    ),
    (
        "iam",
        held(f"arn:aws:iam::{HUB}:server-certificate/cdn/shop-3-0123abcd"),
        [],
        [("iam", {"name_prefix": "shop", "path": "/cdn/"})],
        0,
    ),
    (
        "iam",
        held(f"arn:aws:iam::{HUB}:server-certificate/shop"),
        [],
        [("iam", {"name_prefix": "shop", "path": "/"})],
        0,
    ),
    ("endpoints", held("www.shop.example.com:443", role=Role.SERVED), [], [], 1),
]


@pytest.mark.parametrize(("source", "store", "uses", "targets", "unreached"), STORES)
def test_each_kind_of_place(
    hub: DeclaringHub,
    source: str,
    store: Sighting,
    uses: list[Sighting],
    targets: list[tuple[str, dict[str, str]]],
    unreached: int,
) -> None:
    """A store whose users are all reached is not changed itself; one that can be changed is the target where they are
    not; what none reaches is told, place by place. Every target is one that a person could declare."""
    hub.known(SHOP)
    sight(hub, source, store)
    sight(hub, "elbv2", *uses)
    found = adopted(hub, SHOP.fingerprint)
    made = [
        (each.kind, {name: each.text(name) for name in fields})
        for each, (_, fields) in zip(found.declared.targets, targets, strict=True)
    ]
    assert made == targets
    told = [each for each in found.remarks if each.startswith("no target reaches ")]
    assert len(told) == unreached
    text = f"certificates:\n{declaration_writing.text(found.declared, found.remarks)}"
    assert declaration.load(text) == [found.declared]


def test_a_classic_load_balancer_with_a_server_certificate(hub: DeclaringHub) -> None:
    """The target keeps the store that the listener refers to."""
    server = f"arn:aws:iam::{HUB}:server-certificate/shop"
    hub.known(SHOP)
    sight(hub, "iam", held(server), region="aws-global")
    sight(hub, "elb", attached(f"{ELB}:loadbalancer/old", server, f"{ELB}:loadbalancer/old:443#{server}"))
    (target,) = adopted(hub, server).declared.targets
    assert (target.kind, target.text("store")) == ("elb", "iam")


def test_what_is_gone_is_no_target(hub: DeclaringHub) -> None:
    """Places that no longer hold or use it are left out."""
    imported(hub)
    use = attached(LISTENER, arn(), binding="default")
    domain = attached(DOMAIN, arn())
    sight(hub, "elbv2", use)
    sight(hub, "apigateway", domain)
    none: Any = ()
    hub.deployment.inventory.apply(Scope(HUB, REGION, "elbv2"), Difference(added=none, changed=none, gone=(use,)), NOW)
    assert [each.kind for each in adopted(hub).declared.targets] == ["apigateway"]


def test_several_of_a_kind_are_numbered(hub: DeclaringHub) -> None:
    """Names of targets are unique."""
    imported(hub)
    listeners = [LISTENER[:-1] + each for each in "abc"]
    sight(hub, "elbv2", *(attached(each, arn(), binding="default") for each in listeners))
    found = adopted(hub).declared.targets
    assert [each.name for each in found] == ["elbv2-1", "elbv2-2", "elbv2-3"]
    assert [each.text("listener") for each in found] == listeners


# --- the profile ---


def test_its_key_type_is_declared_where_the_profile_has_it(hub: DeclaringHub) -> None:
    """A type that is not the profile's first stays as it is; one that no profile has gives way, and that is told."""
    imported(hub, build("Shop", names=["shop.example.com"], key="RSA-2048"))
    assert adopted(hub).declared.request.key == "RSA-2048"
    other = build("Shop", names=["shop.example.com"], key="RSA-3072")
    hub.known(other)
    found = adopted(hub, other.fingerprint)
    assert found.declared.request.key == ""
    assert [each for each in found.remarks if each.startswith("key: web has EC-256 keys; this one is RSA-3072")]


def test_no_profile_fits(hub: DeclaringHub) -> None:
    """Then none is named, each says why, and what is printed cannot be applied before a person named one."""
    imported(hub, build("Other", names=["shop.example.org"]))
    found = adopted(hub)
    assert found.declared.request.profile == ""
    first, *rest = [each for each in found.remarks if each.startswith("profile: ")]
    assert first == "profile: no profile of perennial.toml allows it; name or add one"
    assert [each.split()[1] for each in rest] == list(hub.deployment.settings.profiles)
    text = declaration_writing.text(found.declared, found.remarks)
    assert '    profile: ""\n' in text
    with pytest.raises(InvalidInput, match=r"certificates.shop-example-org.profile: ''"):
        declaration.load(f"certificates:\n{text}")


def test_no_owner_is_known(hub: DeclaringHub) -> None:
    """Then none is named; the profile is found all the same."""
    imported(hub)
    found = adopted(hub, owner="")
    assert (found.declared.request.owner, found.declared.request.profile) == ("", "web")
    assert [each for each in found.remarks if each.startswith("owner: nobody is known")]


def test_what_applying_would_refuse_is_told(hub: DeclaringHub) -> None:
    """A kind of target that perennial.toml does not name, and an owner without the name."""
    hub.known(SHOP)
    sight(hub, "iam", held(f"arn:aws:iam::{HUB}:server-certificate/shop"), region="aws-global")
    told = "\n".join(adopted(hub, SHOP.fingerprint, owner="nobody").remarks)
    assert "targets[1]: targets.kinds of perennial.toml has no iam" in told
    assert "owner: [policy.owners] does not name nobody" in told
    assert "certificates." not in told


def test_a_profile_for_other_targets_is_not_taken(hub: DeclaringHub) -> None:
    """The profile must be for the kinds of targets where it serves."""
    imported(hub)
    sight(hub, "elbv2", attached(LISTENER, arn(), binding="default"))
    settings = hub.deployment.settings
    web = replace(settings.profiles["web"], targets=("secretsmanager",))
    hub.deployment.__dict__["settings"] = replace(settings, profiles={"web": web})
    found = adopted(hub)
    assert found.declared.request.profile == ""
    assert any("it is for targets of the kinds secretsmanager" in each for each in found.remarks)


# --- names ---


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("shop.example.com", "shop-example-com"),
        ("*.example.com", "wildcard-example-com"),
        ("10.1.2.3", "10-1-2-3"),
        ("2001:db8::1", "2001-db8-1"),
        ("xn--bcher-kva.example.com", "xn-bcher-kva-example-com"),
        (f"{'a' * 60}.example.com", "a" * 56),
    ],
)
def test_its_name(hub: DeclaringHub, first: str, expected: str) -> None:
    """A valid name is made of the first DNS name."""
    there = build("Shop", names=[first])
    imported(hub, there)
    assert adopted(hub, there.fingerprint).declared.name == expected


def test_its_name_is_free(hub: DeclaringHub) -> None:
    """Names of the inventory and of the file that it goes to are taken."""
    imported(hub, build("Shop", names=["shop.example.com"]))
    hub.apply(declared("shop-example-com", names=["shop.example.com"]))
    hub.version(1, managed="shop-example-com-2")
    hub.deployment.inventory.remember("managed", "shop-example-com-2")
    assert adopted(hub, taken={"shop-example-com-3"}).declared.name == "shop-example-com-4"
    assert adopted(hub, name="mine").declared.name == "mine"


def test_names_that_cannot_be_requested_are_told(hub: DeclaringHub) -> None:
    """They are left out with a remark; one without any other is refused."""
    imported(hub, build("Shop", names=["a_b.example.com", "shop.example.com"]))
    found = adopted(hub)
    assert found.declared.request.names == ("shop.example.com",)
    assert any("names: left out" in each and "a_b.example.com" in each for each in found.remarks)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (build("A CA", ca=True), "is the certificate of a CA"),
        (build("Shop", names=None), "has no name that can be requested"),
        (build("Shop", names=["email:a@example.com"]), "has no name that can be requested"),
    ],
)
def test_what_cannot_be_adopted(hub: DeclaringHub, there: Built, words: str) -> None:
    """A CA's certificate and one without names are refused in words."""
    hub.known(there)
    with pytest.raises(InvalidInput, match=words):
        adopted(hub, there.fingerprint)


def test_what_is_not_there(hub: DeclaringHub) -> None:
    """An unknown fingerprint, place or text is told."""
    for what in ("ab" * 32, "ab" * 10, arn(9)):
        with pytest.raises(NotFound):
            adopted(hub, what)
    with pytest.raises(InvalidInput, match="is not a fingerprint"):
        adopted(hub, "shop")


@pytest.mark.parametrize("how", ["adopted", "serving"])
def test_what_is_managed_already(hub: DeclaringHub, how: str) -> None:
    """One that a declaration adopts, or that serves as a version, is not adopted again; after its removal it may be."""
    imported(hub)
    own: dict[str, Any] = {"adopts": SHOP.fingerprint} if how == "adopted" else {}
    hub.apply(declared("mine", **own))
    if how == "serving":
        known = hub.record("mine")
        hub.deployment.inventory.save_managed(replace(known, serving=serving(1, SHOP.fingerprint)))
        hub.version(1, managed="mine")
    with pytest.raises(InvalidInput, match="is managed already, as mine"):
        adopted(hub)
    hub.apply(prune=True)
    assert adopted(hub).declared.adopts == SHOP.fingerprint


# --- the text ---


def test_the_text_is_for_people(hub: DeclaringHub) -> None:
    """Remarks are comments above the entry, whatever is in them; texts are quoted where YAML could mistake them."""
    wanted = declared("shop", service="yes", contacts={"team": ["a: b", "007", "\N{SNOWMAN}\N{GRINNING FACE}"]})
    text = declaration_writing.text(wanted, ["it is\nso: \x1b[2J\u202e"])
    assert text.splitlines()[0] == "  # it is so:  [2J "
    assert '    service: "yes"' in text
    assert '      team: ["a: b", "007", "\N{SNOWMAN}\N{GRINNING FACE}"]' in text
    assert declaration.load(f"certificates:\n{text}") == [wanted]


BLOG = "  blog:\n    names: [blog.example.com]\n    profile: web\n    owner: shop"
FILES = {
    "nothing": "",
    "blank lines": "\n\n",
    "comments alone": "# ours\n",
    "comments": f"# ours\ncertificates:\n  # the blog\n{BLOG}  # us\n",
    "without a line end": f"certificates:\n{BLOG}",
    "further in": f"certificates:\n{BLOG}\n".replace("  ", "      "),
    "a comment at the end": "certificates:  # all\n\n  blog: {names: [a.example.com], profile: web, owner: a}\n# end\n",
    "Windows lines": f"certificates:\n{BLOG}\n".replace("\n", "\r\n"),
}


@pytest.mark.parametrize("before", FILES.values(), ids=FILES)
def test_an_entry_is_added_to_a_file(before: str) -> None:
    """What stood there stays, byte for byte, and is read as before; the new entry is read too."""
    after = declaration_writing.added("c.yaml", before, declared("shop"), ["a remark"])
    assert after.startswith(before)
    known = declaration.load(before) if "blog" in before else []
    assert declaration.load(after) == [*known, declared("shop")]
    again = declaration_writing.added("c.yaml", after, declared("third"))
    assert [each.name for each in declaration.load(again)][-2:] == ["shop", "third"]


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("certificates: {}\n", "laid out so that nothing can be added"),
        ("certificates: {blog: {names: [a.example.com], profile: web, owner: shop}}\n", "laid out so that nothing"),
        ('{"certificates": {}}', "laid out so that nothing can be added"),
        ("certificates:\n  blog: {names: [a.example.com], profile: web, owner: shop}\n...\n", "laid out so"),
        ("certificates:\n  shop: {names: [a.example.com], profile: web, owner: shop}\n", "declares shop already"),
        ("certificates:\n  blog: 1\n", "c.yaml:2: certificates.blog: 1 is not a table"),
        ("\tx", "c.yaml:1: this is not YAML"),
    ],
)
def test_a_file_to_which_nothing_can_be_added(before: str, words: str) -> None:
    """It is refused in words, and never written over."""
    with pytest.raises(InvalidInput) as caught:
        declaration_writing.added("c.yaml", before, declared("shop"))
    assert words in str(caught.value)


def test_an_entry_that_a_person_must_complete_is_added_too(hub: DeclaringHub) -> None:
    """An empty owner or profile is no reason not to write; applying tells the line."""
    imported(hub)
    found = adopted(hub, owner="")
    after = declaration_writing.added("c.yaml", "", found.declared, found.remarks)
    with pytest.raises(InvalidInput, match=r"c.yaml:\d+: certificates.wildcard-shop-example-com.owner: '' is not"):
        declaration.read([("c.yaml", after)])


def test_many_places(hub: DeclaringHub) -> None:
    """A certificate that serves at more places than one may declare has all of them told by their number."""
    imported(hub)
    listeners = [LISTENER[:-3] + f"{each:03x}" for each in range(MAX_TARGETS + 1)]
    sight(hub, "elbv2", *(attached(each, arn(), binding="default") for each in listeners))
    found = adopted(hub)
    assert len(found.declared.targets) == MAX_TARGETS
    assert any("targets: 1 more places" in each for each in found.remarks)
