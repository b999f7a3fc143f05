"""Applying declarations: judged as a whole, written one by one, and finished by whoever applies them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from certificates import build
from declaring import ASKED_BY, NOW, DeclaringHub, declared, declaring_hub, kinds, serving, target
from perennial import applying, declaration, issuance
from perennial.applying import TRIES, changes
from perennial.errors import AccessDenied, ConcurrentChange, InvalidInput, PolicyViolated
from perennial.inventory.records import ManagedRecord, ManagedState, VersionState
from perennial.inventory.store import Inventory
from perennial.lifecycle import Situation, Step, decide
from perennial.managed_certificate import ManagedCertificate, targets_digest
from perennial.renewal import Rules

LATER = NOW + timedelta(hours=1)
RULES = Rules(issuer="ca", keys=("EC-256", "RSA-2048"))


@pytest.fixture
def hub() -> Iterator[DeclaringHub]:
    with declaring_hub() as made:
        yield made


def record(wanted: ManagedCertificate, **more: Any) -> ManagedRecord:
    own = {"state": ManagedState.SERVING, "declared_at": NOW, "declared_by": ASKED_BY, **more}
    return ManagedRecord(declared=wanted, **own)


@contextmanager
def items_read() -> Iterator[list[int]]:
    """How many items each query and each batch gets."""
    counts: list[int] = []
    original = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        reply = original(client, operation, request)
        got = (
            [reply.get("Items", []), *reply.get("Responses", {}).values()] if operation != "TransactWriteItems" else []
        )
        counts.append(sum(map(len, got)))
        return reply

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", call)
        yield counts


# --- the difference ---


def test_the_kinds_of_change() -> None:
    """New, changed, the same, no longer declared; what was removed before is new again, or not told at all."""
    shop, blog = declared("shop"), declared("blog")
    existing = [
        record(declared("shop", service="old")),
        record(blog),
        record(declared("zoo")),
        record(declared("back"), removed_at=NOW),
        record(declared("gone"), removed_at=NOW),
        record(declared("attic")),
    ]
    found = changes([declared("new"), shop, blog, declared("back")], existing)
    assert list(kinds(found).items()) == [
        ("new", "added"),
        ("shop", "changed"),
        ("blog", "unchanged"),
        ("back", "added"),
        ("attic", "removed"),
        ("zoo", "removed"),
    ]


def test_fields_that_differ() -> None:
    """Each field that differs is told with what it was and what it will be; targets by their names, and their order."""
    before = declared("shop", target("a"), target("b"), service="x", contacts={"team": ["anna", "bob"]})
    after = declared("shop", target("b", deadline=30), target("c"), key="RSA-2048", contacts={"team": ["anna"]})
    (change,) = changes([after], [record(before)])
    assert [(each.field, each.before, each.after) for each in change.fields] == [
        ("key", "", "RSA-2048"),
        ("contacts.team", "anna, bob", "anna"),
        ("targets", "a, b", "b, c"),
        ("targets.b.deadline", "", "30"),
        ("targets.c.kind", "", "elb"),
        ("targets.c.load_balancer", "", "c"),
        ("targets.c.port", "", "443"),
        ("service", "x", ""),
        ("targets.a.kind", "elb", ""),
        ("targets.a.load_balancer", "a", ""),
        ("targets.a.port", "443", ""),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"on_failure": "stay"}),
        ({}, {"adopts": "5a" * 32}),
        ({"names": ["a.example.com", "b.example.com"]}, {"names": ["b.example.com", "a.example.com"]}),
        ({"windows": ["nights"]}, {"windows": ["mondays"]}),
        ({}, {"environment": "production"}),
        ({}, {"issuer": "other"}),
        ({"validity_days": 30}, {"validity_days": 31}),
    ],
)
def test_no_change_without_a_field(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Whatever differs, a field says so."""
    (change,) = changes([declared("shop", **second)], [record(declared("shop", **first))])
    assert change.kind == "changed" and len(change.fields) == 1


# --- what is written ---


def test_a_new_one(hub: DeclaringHub) -> None:
    """It is kept as requested, due at once, with who asked."""
    wanted = declared("shop", target(), environment="production", contacts={"team": ["anna"]})
    assert kinds(hub.apply(wanted)) == {"shop": "added"}
    found = hub.record()
    assert (found.declared, found.state, found.due_at) == (wanted, ManagedState.REQUESTED, NOW)
    assert (found.declared_by, found.declared_at, found.serving) == (ASKED_BY, NOW, None)
    assert decide(Situation(record=found, rules=RULES), NOW).step is Step.PLAN
    assert list(hub.deployment.inventory.managed()) == ["shop"]


def test_twice_writes_nothing(hub: DeclaringHub) -> None:
    """The same declarations again leave every item as it is."""
    both = (declared("shop", target()), declared("blog"))
    hub.apply(*both)
    before = hub.table()
    assert kinds(hub.apply(*both, now=LATER)) == {"shop": "unchanged", "blog": "unchanged"}
    assert hub.table() == before


def test_a_changed_one(hub: DeclaringHub) -> None:
    """What is declared is replaced and looked at at once; what serves, what failed and its time stay."""
    hub.apply(declared("shop"))
    was = hub.deployment.inventory.save_managed(
        replace(
            hub.record(),
            state=ManagedState.FAILING,
            serving=serving(2),
            attempts=4,
            failed="version shop/3",
            failed_at=NOW,
            failure="policy",
            due_at=NOW + timedelta(days=1),
        )
    )
    assert kinds(hub.apply(declared("shop", service="x"), now=LATER)) == {"shop": "changed"}
    found = hub.record()
    assert found == replace(
        was,
        declared=declared("shop", service="x"),
        declared_at=LATER,
        attempts=0,
        due_at=LATER,
        revision=was.revision + 1,
    )


def test_without_prune_it_stays(hub: DeclaringHub) -> None:
    """What is no longer declared is told, and nothing of it is written."""
    hub.apply(declared("shop"), declared("blog"))
    before = hub.table()
    assert kinds(hub.apply(declared("blog"))) == {"blog": "unchanged", "shop": "removed"}
    assert hub.table() == before


def test_with_prune_it_is_retired(hub: DeclaringHub) -> None:
    """Each version that is not retired is retired after its environment's grace period, or when it was to be."""
    hub.apply(declared("shop", environment="production"), declared("blog"))
    for number, state in enumerate(
        (VersionState.RETIRED, VersionState.FAILED, VersionState.ISSUED, VersionState.ISSUED), start=1
    ):
        hub.version(number, state)
    soon = NOW + timedelta(hours=2)
    hub.deployment.inventory.save_managed(
        replace(hub.record(), serving=serving(4), state=ManagedState.SERVING, retiring=((3, soon),), due_at=soon)
    )
    assert kinds(hub.apply(declared("blog"), prune=True)) == {"blog": "unchanged", "shop": "removed"}
    found, end = hub.record(), NOW + timedelta(hours=48)
    assert (found.removed_at, found.due_at, found.state) == (NOW, NOW, ManagedState.REMOVING)
    assert found.retiring == ((2, end), (3, soon), (4, end))
    decision = decide(Situation(record=found, rules=RULES), NOW)
    assert (decision.step, decision.version, decision.at) == (Step.RETIRE, 3, soon)
    before = hub.table()
    assert kinds(hub.apply(declared("blog"), prune=True, now=LATER)) == {"blog": "unchanged"}
    assert hub.table() == before


@pytest.mark.parametrize(
    ("state", "kept"), [(VersionState.ISSUED, True), (VersionState.RETIRED, False)], ids=["serving", "retired"]
)
def test_one_that_was_removed_comes_back(hub: DeclaringHub, state: VersionState, kept: bool) -> None:
    """What serves is kept and no longer retired; where it was retired meanwhile, another is requested at once."""
    hub.apply(declared("shop"))
    hub.version(1)
    version = hub.version(2, state)
    hub.deployment.inventory.save_managed(replace(hub.record(), serving=serving(2)))
    hub.apply(prune=True)
    assert kinds(hub.apply(declared("shop"), now=LATER)) == {"shop": "added"}
    found = hub.record()
    assert (found.removed_at, found.due_at) == (None, LATER)
    assert (found.serving is not None) == kept
    assert [number for number, _ in found.retiring] == ([1] if kept else [1, 2])
    decision = decide(Situation(record=found, rules=RULES, version=version), LATER)
    assert decision.state is (ManagedState.SERVING if kept else ManagedState.REQUESTED)
    hub.apply(prune=True, now=LATER)
    assert [number for number, _ in hub.record().retiring] == [1, 2], "its secret came back, with all of its keys"


def test_an_adopted_one(hub: DeclaringHub) -> None:
    """The adopted certificate is the one that serves, as the inventory knows it, and is renewed when its time comes."""
    there = build(names=["shop.example.com"], not_before=NOW, not_after=NOW + timedelta(days=90))
    hub.known(there)
    wanted = declared("shop", target(), adopts=there.fingerprint)
    hub.apply(wanted, now=LATER)
    found = hub.record()
    assert found.serving is not None
    assert (found.serving.number, found.serving.fingerprint, found.serving.key) == (0, there.fingerprint, "EC-256")
    assert (found.serving.issuer, found.serving.request, found.serving.since) == ("", None, LATER)
    assert (found.serving.not_before, found.serving.not_after) == (NOW, NOW + timedelta(days=90))
    assert found.serving.signature == "ecdsa-with-SHA256"
    assert found.serving.targets == targets_digest(wanted.targets)
    decision = decide(Situation(record=found, rules=RULES), LATER)
    assert decision.state is ManagedState.SERVING


def test_what_serves_is_not_adopted_away(hub: DeclaringHub) -> None:
    """Where a version of its own serves, a declaration that adopts another certificate leaves that."""
    there = build(names=["shop.example.com"])
    hub.known(there)
    hub.apply(declared("shop"))
    hub.deployment.inventory.save_managed(replace(hub.record(), serving=serving(2)))
    hub.apply(declared("shop", adopts=there.fingerprint))
    assert hub.record().serving == serving(2)


def test_another_one_is_adopted(hub: DeclaringHub) -> None:
    """Until then, the one that is adopted may be corrected; the line may also go once it has done its work."""
    first, second = build(names=["shop.example.com"]), build(names=["shop.example.com"], serial=7)
    hub.known(first, second)
    hub.apply(declared("shop", adopts=first.fingerprint))
    hub.apply(declared("shop", adopts=second.fingerprint))
    found = hub.record().serving
    assert found and found.fingerprint == second.fingerprint
    hub.apply(declared("shop"))
    assert hub.record().serving == found


# --- what is refused ---

REFUSED: list[tuple[tuple[ManagedCertificate, ...], str]] = [
    ((declared(profile="none"),), "certificates.shop.profile: there is no profile none; perennial.toml has in-kms,"),
    ((declared(issuer="bad"),), "certificates.shop.issuer: The issuer bad is distrusted"),
    (
        (declared(issuer="none"),),
        "certificates.shop.issuer: The profile web does not allow the issuer none. Accepted: ca",
    ),
    ((declared(profile="short", issuer="other"),), "certificates.shop.issuer: The profile short does not allow"),
    (
        (declared(names=["shop.example.com", "x.example.org"]),),
        "certificates.shop.names[2]: x.example.org: The profile",
    ),
    ((declared(owner="x"),), "certificates.shop.owner: [policy.owners] does not name x"),
    ((declared(key="EC-384"),), "certificates.shop.key: The profile web does not allow EC-384"),
    ((declared(validity_days=61),), "certificates.shop.validity_days: 61 days are more than the profile web allows"),
    ((declared(profile="own-key"),), "certificates.shop.profile: own-key takes a CSR for each certificate"),
    (
        (declared("shop", target(), profile="in-kms"),),
        "certificates.shop.targets[1]: Listener of a Classic Load Balancer: it",
    ),
    (
        (declared("shop", target(), profile="secrets"),),
        "certificates.shop.targets[1]: the profile secrets is for targets",
    ),
    (
        (declared(environment="none"),),
        "certificates.shop.environment: there is no environment none; perennial.toml has",
    ),
    ((declared(windows=["none"]),), "certificates.shop.windows: there is no window none; perennial.toml has mondays"),
    (
        (declared(windows=["yearly"]),),
        "certificates.shop.windows: certificates of 60 days could not be renewed in time",
    ),
    (
        (declared(profile="short", windows=["mondays"]),),
        "certificates.shop.windows: certificates of 6 days could not be",
    ),
    ((declared(environment="frozen"),), "certificates.shop.environment: certificates of 60 days could not be renewed"),
    ((declared(adopts="5a" * 32),), f"certificates.shop.adopts: the inventory has no certificate {'5a' * 32}"),
    (
        (declared("shop", {"kind": "iam", "name": "a", "name_prefix": "x"}),),
        "certificates.shop.targets[1]: targets.kinds of perennial.toml has no iam",
    ),
    (
        (declared("shop", target(account="3" * 12)),),
        "certificates.shop.targets[1]: targets.accounts of perennial.toml has",
    ),
    (
        (declared("shop", target("a"), target("b", load_balancer="a")),),
        "certificates.shop.targets[2]: it is the same place as certificates.shop.targets[1]",
    ),
    (
        (declared("shop", target("a")), declared("blog", target("a", account="123456789012", region="eu-west-1"))),
        "certificates.blog.targets[1]: it is the same place as certificates.shop.targets[1]",
    ),
]


@pytest.mark.parametrize(("wanted", "words"), REFUSED, ids=[words.partition(": ")[0] for _, words in REFUSED])
def test_what_perennial_toml_does_not_allow(
    hub: DeclaringHub, wanted: tuple[ManagedCertificate, ...], words: str
) -> None:
    """One problem each, with the field that it is about; nothing is written."""
    before = hub.kept()
    with pytest.raises(InvalidInput) as caught:
        hub.apply(*wanted)
    assert [each for each in str(caught.value).split("\n") if each.startswith(words)], str(caught.value)
    assert hub.kept() == before


@pytest.mark.parametrize(
    "wanted",
    [
        declared(issuer="other"),
        declared(windows=["mondays"]),
        declared(profile="short", environment="production"),
        declared("shop", target("a"), target("b", load_balancer="a", port="8443")),
        declared("shop", target("a"), target("b", load_balancer="a", account="222222222222")),
    ],
)
def test_what_is_allowed(hub: DeclaringHub, wanted: ManagedCertificate) -> None:
    """The neighbours of what is refused are taken."""
    assert kinds(hub.apply(wanted)) == {"shop": "added"}


def test_several_on_one_list_and_at_one_webhook(hub: DeclaringHub) -> None:
    """Certificates share a listener's list (SNI) and a webhook; a default certificate has its slot alone."""
    listener = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/x/0123456789abcdef/0123456789abcdef"
    shared = [
        {"kind": "elbv2", "name": "list", "listener": listener, "slot": "sni"},
        {"kind": "webhook", "name": "hook", "url": "https://x.example.com/", "secret": "perennial/webhooks/x"},
    ]
    hub.apply(declared("shop", *shared), declared("blog", *shared))
    default = {"kind": "elbv2", "name": "list", "listener": listener}
    hub.apply(declared("shop", default), declared("blog", *shared))
    with pytest.raises(
        InvalidInput, match=r"blog.targets\[1\]: it is the same place as certificates.shop.targets\[1\]"
    ):
        hub.apply(declared("shop", default), declared("blog", default))


def test_the_place_of_what_stays(hub: DeclaringHub) -> None:
    """A place is taken by what is no longer declared too, until it is removed."""
    hub.apply(declared("old", target("a")))
    with pytest.raises(InvalidInput, match=r"shop.targets\[1\]: it is the same place as certificates.old.targets\[1\]"):
        hub.apply(declared("shop", target("a")))
    assert kinds(hub.apply(declared("shop", target("a")), prune=True)) == {"shop": "added", "old": "removed"}


def test_a_part_of_what_is_declared(hub: DeclaringHub) -> None:
    """Of the others only those are looked at that are at its places: also what moved there since, and not what was
    there before. Nothing is removed."""
    hub.apply(declared("old", target("a")), declared("moved", target("b")), declared("gone", target("c")))
    hub.apply(declared("old", target("a")), declared("moved", target("d")), prune=True)
    assert kinds(hub.apply(declared("shop", target("b"), target("c")), part=True)) == {"shop": "added"}
    for place, name in (("a", "old"), ("d", "moved"), ("b", "shop")):
        words = rf"blog.targets\[1\]: it is the same place as certificates.{name}.targets\[1\]"
        with pytest.raises(InvalidInput, match=words):
            applying.planned(hub.deployment, [declared("blog", target(place))], NOW, part=True)
        with pytest.raises(InvalidInput, match=words):
            hub.apply(declared("blog", target(place)), part=True)
    assert kinds(hub.apply(declared("shop", target("b"), target("e")), part=True)) == {"shop": "changed"}
    assert kinds(hub.apply(declared("shop", target("b"), target("e")), part=True)) == {"shop": "unchanged"}


def test_a_part_costs_the_same_however_much_is_declared(hub: DeclaringHub) -> None:
    """One more certificate among many reads no more of the table than among few, but for the audit trail's end."""
    read = []
    for first, last in ((0, 2), (2, 40)):
        hub.apply(*(declared(f"n{number}", target(f"n{number}")) for number in range(first, last)), part=True)
        with items_read() as counts:
            hub.apply(declared(f"shop{last}", target(f"shop{last}")), part=True)
        read.append(sum(counts))
    assert max(read) <= 2, read


def test_a_certificate_that_cannot_be_adopted(hub: DeclaringHub) -> None:
    """A CA's certificate, and one whose dates cannot be read, are refused."""
    authority = build("A CA", ca=True)
    hub.known(
        authority, replace(authority, certificate=replace(authority.certificate, fingerprint="cd" * 32, der=b"x"))
    )
    with pytest.raises(InvalidInput) as caught:
        hub.apply(declared("shop", adopts=authority.fingerprint), declared("blog", adopts="cd" * 32))
    first, second = str(caught.value).split("\n")
    assert first.startswith("certificates.shop.adopts: this is the certificate of a CA")
    assert second.startswith("certificates.blog.adopts: the dates of this certificate cannot be read")


def test_all_problems_come_at_once_with_their_lines(hub: DeclaringHub) -> None:
    """What policy, targets and windows refuse in several certificates is one message, each behind its line."""
    reading = declaration.read(
        [
            (
                "c.yaml",
                "certificates:\n"
                "  shop:\n"
                "    names:\n"
                "      - shop.example.com\n"
                "      - shop.example.org\n"
                "    profile: strict\n"
                "    owner: shop\n"
                "    targets:\n"
                "      - {kind: iam, name: a, name_prefix: x}\n"
                "  blog:\n"
                "    names: [blog.example.com]\n"
                "    profile: web\n"
                "    owner: shop\n"
                "    windows: [yearly]\n",
            )
        ]
    )
    before = hub.kept()
    with pytest.raises(InvalidInput) as caught:
        hub.apply(*reading.certificates, places=reading.places)
    told = [each.split(": ")[:2] for each in str(caught.value).split("\n")]
    assert [place for place, _ in told] == ["c.yaml:4", "c.yaml:5", "c.yaml:5", "c.yaml:9", "c.yaml:14"]
    assert told[0][1] == "certificates.shop.names[1]"
    assert hub.kept() == before


def test_what_stays_as_it_is_is_not_judged(hub: DeclaringHub) -> None:
    """A rule that came later does not stand in the way of others: the lifecycle tells of it."""
    hub.apply(declared("shop"))
    settings = hub.deployment.settings
    hub.deployment.__dict__["settings"] = replace(
        settings, profiles={**settings.profiles, "web": replace(settings.profiles["web"], names=("blog.example.com",))}
    )
    assert kinds(hub.apply(declared("shop"), declared("blog"))) == {"shop": "unchanged", "blog": "added"}
    with pytest.raises(InvalidInput, match=r"^certificates\.shop\.names"):
        hub.apply(declared("shop", service="x"))


def test_the_chosen_issuer_is_asked(hub: DeclaringHub) -> None:
    """A request goes to the issuer that it chooses, else to the profile's; one that may not be chosen is refused."""
    for number, (issuer, expected) in enumerate((("", "ca"), ("ca", "ca"), ("other", "other"))):
        wanted = declared(issuer=issuer).request
        assert issuance.request(hub.deployment, f"m{number}", wanted, "jo", NOW, source="cli").issuer == expected
    for issuer, words in (("bad", "is distrusted"), ("none", "does not allow the issuer none")):
        with pytest.raises(PolicyViolated, match=words):
            issuance.request(hub.deployment, "x", declared(issuer=issuer).request, "jo", NOW, source="cli")


# --- interrupted, and at the same time as others ---


class Killed(BaseException):
    """The process is gone."""


def _killed_after(number: int, patched: pytest.MonkeyPatch) -> None:
    """The process dies after its n-th write."""
    call, counted = BaseClient._make_api_call, []

    def counting(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        answer = call(client, operation, request)
        if operation in ("PutItem", "UpdateItem", "BatchWriteItem", "TransactWriteItems"):
            counted.append(operation)
            if len(counted) == number:
                raise Killed
        return answer

    patched.setattr(BaseClient, "_make_api_call", counting)


@pytest.mark.parametrize("number", range(1, 8))
def test_interrupted_after_any_write(number: int) -> None:
    """Whoever applies again finishes it: the table is as if nothing had happened."""
    there = build(names=["new.example.com"])
    wanted = (declared("new", adopts=there.fingerprint), declared("shop", service="x"), declared("back"))

    def begun(hub: DeclaringHub) -> None:
        hub.known(there)
        hub.apply(declared("shop"), declared("back"), declared("old"))
        hub.version(1, managed="old")
        hub.apply(declared("shop"), declared("old"), prune=True)

    with declaring_hub() as hub:
        begun(hub)
        hub.apply(*wanted, prune=True)
        expected = list(hub.deployment.inventory.declared())
    with declaring_hub() as hub:
        begun(hub)
        with pytest.MonkeyPatch.context() as patched, suppress(Killed):
            _killed_after(number, patched)
            hub.apply(*wanted, prune=True)
        hub.apply(*wanted, prune=True)
        assert list(hub.deployment.inventory.declared()) == expected
        assert kinds(hub.apply(*wanted, prune=True)) == dict.fromkeys(("new", "shop", "back"), "unchanged")


def test_a_step_of_the_lifecycle_between(hub: DeclaringHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lifecycle wrote after the reading is kept, and the declaration is written into that."""
    hub.apply(declared("shop"), declared("old"))
    save, stepped = Inventory.save_managed, []

    def meanwhile(inventory: Inventory, record: ManagedRecord, event: Any) -> ManagedRecord:
        if record.name not in stepped:
            stepped.append(record.name)
            save(inventory, replace(hub.record(record.name), serving=serving(1), state=ManagedState.SERVING))
        return save(inventory, record, event)

    monkeypatch.setattr(Inventory, "save_managed", meanwhile)
    hub.apply(declared("shop", service="x"), prune=True)
    assert hub.record().declared.service == "x"
    assert hub.record().serving == serving(1)
    assert hub.record("old").removed_at == NOW
    assert hub.record("old").serving == serving(1)


def test_two_at_the_same_time(hub: DeclaringHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one that applied the same meanwhile has done the work: nothing is written a second time."""
    wanted, save = declared("shop"), Inventory.save_managed

    def first(inventory: Inventory, record: ManagedRecord, event: Any) -> ManagedRecord:
        monkeypatch.setattr(Inventory, "save_managed", save)
        hub.apply(wanted, declared("blog"), now=LATER)
        return save(inventory, record, event)

    monkeypatch.setattr(Inventory, "save_managed", first)
    hub.apply(wanted, declared("blog"))
    assert [hub.record(each).revision for each in ("shop", "blog")] == [1, 1]
    assert hub.record().declared_at == LATER


def test_it_gives_up_where_the_record_never_rests(hub: DeclaringHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries the error goes on."""
    tried = []

    def refuse(inventory: Inventory, record: ManagedRecord, event: Any) -> ManagedRecord:
        tried.append(record.name)
        raise ConcurrentChange("changed")

    monkeypatch.setattr(Inventory, "save_managed", refuse)
    with pytest.raises(ConcurrentChange):
        hub.apply(declared("shop"))
    assert len(tried) == TRIES


def test_an_error_of_aws_is_told_in_words(hub: DeclaringHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A permission that is missing is an AccessDenied, as everywhere."""
    from botocore.exceptions import ClientError

    def denied(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        answer: Any = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
        raise ClientError(answer, operation)

    monkeypatch.setattr(BaseClient, "_make_api_call", denied)
    with pytest.raises(AccessDenied, match="judging declarations"):
        applying.planned(hub.deployment, [declared("shop")], NOW)


def test_each_change_is_watched(hub: DeclaringHub) -> None:
    """Who shows the progress is told of each one as it is done."""
    seen: list[str] = []
    hub.apply(declared("shop"), declared("blog"), watch=lambda change: seen.append(change.name))
    assert seen == ["shop", "blog"]
