"""The Route 53 solver: the right zone, CNAME records followed, others' values kept, and few requests."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from perennial import errors
from perennial.profiles import Solvers
from perennial.solvers import route53
from perennial.solvers.interface import Challenge, Shown
from perennial.solvers.route53 import TRIES, Route53
from scripted_aws import Refused
from strict_route53 import HUB, StrictRoute53

ZONES, MEMBER = "222222222222", "333333333333"
NAME = "_acme-challenge.shop.example.com"
MINE, OTHER = '"mine"', '"theirs"'


def txt(value: str = "mine", where: str = NAME, **more: Any) -> Challenge:
    return Challenge(shown=Shown.TXT, where=where, value=value, name=where.removeprefix("_acme-challenge."), **more)


def cname(value: str = "_y.acm-validations.aws", where: str = "_x.example.com", **more: Any) -> Challenge:
    return Challenge(shown=Shown.CNAME, where=where, value=value, name="example.com", **more)


@pytest.fixture
def service() -> StrictRoute53:
    return StrictRoute53(HUB, ZONES)


@pytest.fixture
def zone(service: StrictRoute53) -> str:
    return service.zone("example.com")


def solver(service: StrictRoute53, **delegations: str) -> Route53:
    return Route53(service.clients, {key.replace("__", "."): value for key, value in delegations.items()})


# --- one value ---


def test_a_value_is_shown_and_removed(service: StrictRoute53, zone: str) -> None:
    """A challenge becomes a TXT record of a minute's TTL, is ready when INSYNC, and leaves nothing behind."""
    tokens = solver(service).present([txt()])
    assert service.record(zone, NAME) == {
        "Name": f"{NAME}.",
        "Type": "TXT",
        "TTL": 60,
        "ResourceRecords": [{"Value": MINE}],
    }
    assert tokens == (f"{HUB}/C00001",)
    assert [solver(service).ready(tokens) for _ in range(2)] == [False, True]
    solver(service).clean([txt()])
    assert service.record(zone, NAME) is None


def test_requests_of_one_order(service: StrictRoute53, zone: str) -> None:
    """Ten names in a zone of few records take one listing of zones for each account, one reading, and one change."""
    challenges = [txt(where=f"_acme-challenge.n{number}.example.com") for number in range(10)]
    zones = ["ListHostedZones", "ListHostedZones"]
    for act in (solver(service).present, solver(service).clean):
        service.forget()
        act(challenges)
        assert sorted(service.calls()) == ["ChangeResourceRecordSets", *zones, "ListResourceRecordSets"]


def test_others_values_are_kept(service: StrictRoute53, zone: str) -> None:
    """What others wrote stays byte for byte, with its TTL, while a value comes and goes."""
    theirs = ('"a" "b"', '"back\\\\slash \\"quoted\\""', '"MINE"')
    service.put(zone, NAME, "TXT", *theirs, ttl=900)
    solver(service).present([txt()])
    assert service.record(zone, NAME)["TTL"] == 900  # type: ignore[index]
    assert service.values(zone, NAME) == [*theirs, MINE]
    solver(service).clean([txt()])
    assert (service.values(zone, NAME), service.record(zone, NAME)["TTL"]) == ([*theirs], 900)  # type: ignore[index]


def test_two_values_under_one_name(service: StrictRoute53, zone: str) -> None:
    """A name and its wildcard have challenges under one name, and both are shown by one change."""
    both = [txt("one"), txt("two")]
    assert len(solver(service).present(both)) == 1
    assert service.values(zone, NAME) == ['"one"', '"two"']
    solver(service).clean(both[:1])
    assert service.values(zone, NAME) == ['"two"']


def test_presenting_again(service: StrictRoute53, zone: str) -> None:
    """A value that is there is not added again, but written once more: only a new change tells when it has spread."""
    first, second = (solver(service).present([txt()]) for _ in range(2))
    assert service.values(zone, NAME) == [MINE]
    assert first != second != ()


def test_what_stays(service: StrictRoute53, zone: str) -> None:
    """A dns-persist-01 record is added where it is missing, not touched where it is there, and never removed."""
    lasting = txt("ca.example; accounturi=https://ca.example/a/1; policy=wildcard", stays=True)
    assert len(solver(service).present([lasting])) == 1
    assert solver(service).present([lasting]) == ()
    solver(service).clean([lasting])
    assert service.values(zone, NAME) == ['"ca.example; accounturi=https://ca.example/a/1; policy=wildcard"']
    assert len(service.batches) == 1


def test_nothing_to_do(service: StrictRoute53, zone: str) -> None:
    """Nothing is asked for no challenge; cleaning what is not there changes nothing, without a zone neither."""
    assert solver(service).present([]) == ()
    solver(service).clean([])
    assert solver(service).ready(())
    assert service.calls() == []
    solver(service).clean([txt(), txt(where="_acme-challenge.elsewhere.example")])
    assert service.batches == []


# --- the zone ---


def test_the_closest_public_zone(service: StrictRoute53, zone: str) -> None:
    """The longest name wins, in whatever account; a private zone never does, nor one that only ends alike."""
    closest = service.zone("shop.example.com", ZONES)
    service.zone("_acme-challenge.shop.example.com", private=True)
    service.zone("op.example.com")
    tokens = solver(service).present([txt(), txt(where="_acme-challenge.example.com")])
    assert service.values(closest, NAME) == [MINE]
    assert service.values(zone, "_acme-challenge.example.com") == [MINE]
    assert sorted(token.partition("/")[0] for token in tokens) == [HUB, ZONES]
    assert [solver(service).ready(tokens) for _ in range(3)] == [False, False, True]


def test_the_first_account_wins(service: StrictRoute53) -> None:
    """Of two accounts with a zone of the same name, the one that is configured first is used."""
    later, first = service.zone("example.com", ZONES), service.zone("example.com", HUB)
    solver(service).present([txt()])
    assert (service.values(first, NAME), service.values(later, NAME)) == ([MINE], [])


def test_two_zones_of_one_name(service: StrictRoute53, zone: str) -> None:
    """An account with two public zones of the same name is not guessed about: the message has both ids."""
    again = service.zone("example.com")
    with pytest.raises(errors.InvalidConfiguration, match=f"{zone}, {again}"):
        solver(service).present([txt()])


def test_no_zone(service: StrictRoute53, zone: str) -> None:
    """A name without a zone is told with the accounts that were asked and what to configure."""
    with pytest.raises(errors.NotFound, match=rf"_acme-challenge.a.test, in account {HUB}, {ZONES}; .*zone_accounts"):
        solver(service).present([txt(where="_acme-challenge.a.test")])


@pytest.mark.parametrize(("others", "listings"), [(120, 2), (700, 5)])
def test_many_zones(service: StrictRoute53, others: int, listings: int) -> None:
    """Zones are listed page by page; where there are more than 500, they are asked for by name."""
    for number in range(others):
        service.zone(f"z{number}.example")
    zone = service.zone("example.com")
    solver(service).present([txt()])
    assert service.values(zone, NAME) == [MINE]
    assert service.aws[HUB].count("route53.ListHostedZones") == listings
    assert service.aws[HUB].count("route53.ListHostedZonesByName") == (3 if others > 500 else 0)


def test_a_zone_of_many_records(service: StrictRoute53, zone: str) -> None:
    """In a large zone each name is asked for by itself; the records around it are not read as its own."""
    for number in range(700):
        service.put(zone, f"a{number}.example.com", "A", "192.0.2.1")
    service.put(zone, f"x.{NAME}", "TXT", OTHER)
    names = [NAME, "_acme-challenge.example.com"]
    solver(service).present([txt(where=name) for name in names])
    assert [service.values(zone, name) for name in (*names, f"x.{NAME}")] == [[MINE], [MINE], [OTHER]]
    assert service.calls().count("ListResourceRecordSets") == 2


def test_many_names_in_a_zone_of_many_records(service: StrictRoute53, zone: str) -> None:
    """A hundred names in a zone of 700 records are read in three pages, others' values among them."""
    for number in range(700):
        service.put(zone, f"a{number}.example.com", "A", "192.0.2.1")
    names = [f"_acme-challenge.n{number}.example.com" for number in range(100)]
    service.put(zone, names[99], "TXT", OTHER)
    solver(service).present([txt(where=name) for name in names])
    assert service.values(zone, names[99]) == [OTHER, MINE]
    assert service.calls().count("ListResourceRecordSets") == 3


# --- CNAME records ---


def test_a_cname_is_followed(service: StrictRoute53, zone: str) -> None:
    """The value is put where the CNAME leads, here into a zone of another account, and removed from there."""
    elsewhere = service.zone("acme.example.net", ZONES)
    service.put(zone, NAME, "CNAME", "Shop.Acme.example.NET.")
    tokens = solver(service).present([txt()])
    assert service.values(elsewhere, "shop.acme.example.net") == [MINE]
    assert tokens[0].startswith(ZONES)
    solver(service).clean([txt()])
    assert service.record(elsewhere, "shop.acme.example.net") is None
    assert service.values(zone, NAME, "CNAME") == ["Shop.Acme.example.NET."]


def test_names_that_lead_to_one(service: StrictRoute53, zone: str) -> None:
    """Values of several names that are CNAMEs to the same name become one record set."""
    for name in ("a", "b"):
        service.put(zone, f"_acme-challenge.{name}.example.com", "CNAME", "all.example.com")
    challenges = [txt(name, f"_acme-challenge.{name}.example.com") for name in ("a", "b")]
    solver(service).present(challenges)
    assert service.values(zone, "all.example.com") == ['"a"', '"b"']
    solver(service).clean(challenges[:1])
    assert service.values(zone, "all.example.com") == ['"b"']


@pytest.mark.parametrize(("length", "allowed"), [(8, True), (9, False)])
def test_a_long_way(service: StrictRoute53, zone: str, length: int, allowed: bool) -> None:
    """Eight CNAME records are followed, nine are not."""
    names = [NAME, *(f"hop{number}.example.com" for number in range(1, length + 1))]
    for start, end in pairwise(names):
        service.put(zone, start, "CNAME", f"{end}.")
    if allowed:
        solver(service).present([txt()])
        assert service.values(zone, names[-1]) == [MINE]
        return
    with pytest.raises(errors.InvalidConfiguration, match="circle or over more than 8 names"):
        solver(service).present([txt()])


def test_a_circle(service: StrictRoute53, zone: str) -> None:
    """CNAME records that lead in a circle are told with the way, and keep nothing else from being cleaned."""
    service.put(zone, NAME, "CNAME", "b.example.com")
    service.put(zone, "b.example.com", "CNAME", NAME)
    with pytest.raises(errors.InvalidConfiguration, match=f"{NAME} → b.example.com → {NAME}"):
        solver(service).present([txt()])
    fine = txt(where="_acme-challenge.fine.example.com")
    solver(service).present([fine])
    with pytest.raises(errors.InvalidConfiguration, match="circle"):
        solver(service).clean([txt(), fine])
    assert service.record(zone, fine.where) is None


def test_a_cname_to_nowhere(service: StrictRoute53, zone: str) -> None:
    """A CNAME to a name without a zone is told with both names."""
    service.put(zone, NAME, "CNAME", "a.elsewhere.test")
    with pytest.raises(errors.NotFound, match=f"for a.elsewhere.test, to which {NAME} leads"):
        solver(service).present([txt()])


def test_a_hostile_cname(service: StrictRoute53, zone: str) -> None:
    """A CNAME whose target is no name of a record is refused, not asked for."""
    service.put(zone, NAME, "CNAME", "a b/c.")
    with pytest.raises(errors.InvalidInput, match="not a name that a DNS record can have"):
        solver(service).present([txt()])


def test_a_configured_delegation(service: StrictRoute53) -> None:
    """Where the CNAME is in a zone that no account has, the configuration says where it leads."""
    elsewhere = service.zone("acme.example.net", ZONES)
    delegated = Route53(service.clients, {"_ACME-challenge.shop.example.com": "shop.acme.example.net."})
    delegated.present([txt()])
    assert service.values(elsewhere, "shop.acme.example.net") == [MINE]
    delegated.clean([txt()])
    assert service.record(elsewhere, "shop.acme.example.net") is None


# --- CNAME challenges ---


def test_a_cname_challenge(service: StrictRoute53, zone: str) -> None:
    """ACM's validation record is created, found again, and removed where it does not stay."""
    solver(service).present([cname()])
    assert service.values(zone, "_x.example.com", "CNAME") == ["_y.acm-validations.aws."]
    assert solver(service).present([cname(stays=True)]) == ()
    solver(service).clean([cname(stays=True)])
    assert service.values(zone, "_x.example.com", "CNAME")
    solver(service).clean([cname("_Y.acm-validations.AWS.")])
    assert service.record(zone, "_x.example.com", "CNAME") is None


def test_a_cname_challenge_is_not_followed(service: StrictRoute53, zone: str) -> None:
    """Someone else's CNAME at the name of a CNAME challenge is neither followed, replaced nor removed."""
    service.put(zone, "_x.example.com", "CNAME", "other.example.com")
    with pytest.raises(errors.InvalidConfiguration, match=r"is a CNAME to other.example.com already"):
        solver(service).present([cname()])
    solver(service).clean([cname()])
    assert service.values(zone, "_x.example.com", "CNAME") == ["other.example.com"]


# --- what stands in the way ---


@pytest.mark.parametrize("special", ["alias", "weighted"])
def test_records_that_are_not_simple(service: StrictRoute53, zone: str, special: str) -> None:
    """An alias or weighted records at the name are told with what to do, and left alone by cleaning."""
    if special == "alias":
        service.alias(zone, NAME, "TXT")
    else:
        service.put(zone, NAME, "TXT", OTHER, SetIdentifier="one", Weight=1)
        service.put(zone, NAME, "TXT", OTHER, SetIdentifier="two", Weight=1)
    with pytest.raises(errors.InvalidConfiguration, match=r"an alias or have a routing policy.*replace them"):
        solver(service).present([txt()])
    solver(service).clean([txt()])
    assert service.batches == []


def test_a_refusal_that_is_no_race(service: StrictRoute53, zone: str) -> None:
    """A record that Route 53 never allows is refused after three tries, with Route 53's own words."""
    service.put(zone, "_x.example.com", "TXT", OTHER)
    with pytest.raises(errors.ServiceRefused, match="conflicts with a CNAME record"):
        solver(service).present([cname()])
    assert service.calls().count("ChangeResourceRecordSets") == 3


def test_too_many_values(service: StrictRoute53, zone: str) -> None:
    """A record set that is full, or whose old and new values do not fit one request, is told with what to do."""
    service.put(zone, NAME, "TXT", *(f'"{number}"' for number in range(400)))
    with pytest.raises(errors.ServiceRefused, match=r"would have 401 values.*remove values"):
        solver(service).present([txt()])
    service.put(zone, NAME, "TXT", *(f'"{number:>090}"' for number in range(180)))
    with pytest.raises(errors.ServiceRefused, match="would have 181 values"):
        solver(service).present([txt()])


def test_large_batches_are_split(service: StrictRoute53, zone: str) -> None:
    """What does not fit one request becomes several, each within the limits, and each with its token."""
    challenges = [txt("v" * 3_000, f"_acme-challenge.n{number}.example.com") for number in range(25)]
    tokens = solver(service).present(challenges)
    assert len(tokens) == len(service.batches) == 3
    solver(service).clean(challenges)
    assert {name for name, kind, _ in service.zones[zone].records if kind == "TXT"} == set()


@pytest.mark.parametrize(
    "challenge",
    [txt(where="a..b"), txt(where="x" * 300), txt(where="a/b.example.com"), txt("v" * 4_100), cname("not a name")],
    ids=lambda each: each.where[:10] + each.value[:10],
)
def test_hostile_challenges(service: StrictRoute53, zone: str, challenge: Challenge) -> None:
    """A challenge that no DNS record can be is refused before anything is changed."""
    with pytest.raises(errors.InvalidInput):
        solver(service).present([challenge])
    assert service.batches == []


def test_values_of_any_characters(service: StrictRoute53, zone: str) -> None:
    """Quotes, backslashes, control characters, other scripts and long texts become valid TXT values, and go again."""
    odd = [txt('say "hi" \\ there'), txt("tab\there"), txt("schön"), txt("x" * 600), txt("")]
    solver(service).present(odd)
    assert service.values(zone, NAME)[:3] == ['"say \\042hi\\042 \\134 there"', '"tab\\011here"', '"sch\\303\\266n"']
    assert [len(part) for part in service.values(zone, NAME)[3].split(" ")] == [257, 257, 92]
    solver(service).clean(odd)
    assert service.record(zone, NAME) is None


# --- races and faults ---


def test_a_lost_race(service: StrictRoute53, zone: str) -> None:
    """A value that appears between reading and changing is read and kept."""
    service.before = lambda: service.put(zone, NAME, "TXT", OTHER)
    solver(service).present([txt()])
    assert service.values(zone, NAME) == [OTHER, MINE]
    service.before = lambda: service.put(zone, NAME, "TXT", MINE, '"third"', ttl=5)
    solver(service).clean([txt()])
    assert service.values(zone, NAME) == ['"third"']


def test_a_race_in_one_of_two_zones(service: StrictRoute53, zone: str) -> None:
    """What one zone has accepted is not written again when the change of another zone lost a race."""
    other, name = service.zone("example.net"), "_acme-challenge.example.net"

    def then_interfere() -> None:
        service.before = lambda: service.put(other, name, "TXT", OTHER)

    service.before = then_interfere  # in the second change
    tokens = solver(service).present([txt(), txt(where=name)])
    assert (service.values(zone, NAME), service.values(other, name)) == ([MINE], [OTHER, MINE])
    assert len(tokens) == len(service.batches) == 2


def test_a_race_that_does_not_end(service: StrictRoute53, zone: str) -> None:
    """After eight lost races the workflow tries again later."""
    lost = iter(range(100))

    def interfere() -> None:
        service.put(zone, NAME, "TXT", f'"{next(lost)}"')
        service.before = interfere

    service.before = interfere
    with pytest.raises(errors.ConcurrentChange):
        solver(service).present([txt()])
    assert next(lost) == TRIES


@pytest.mark.parametrize("stays", [False, True])
def test_a_lost_reply_that_the_client_repeats(service: StrictRoute53, zone: str, stays: bool) -> None:
    """When the SDK repeats a change whose reply was lost, it is refused; then there is still a change to wait for."""

    def refuse() -> None:
        raise Refused("InvalidChangeBatch", "Tried to create it but it already exists")

    service.after = refuse
    tokens = solver(service).present([txt(stays=stays)])
    assert tokens == (f"{HUB}/C00002",)
    assert service.values(zone, NAME) == [MINE]


def test_a_lost_reply(service: StrictRoute53, zone: str) -> None:
    """When no reply comes at all the step fails, and its repetition shows the value once."""

    def lose() -> None:
        raise ReadTimeoutError(endpoint_url="https://route53")

    service.after = lose
    with pytest.raises(errors.Unavailable):
        solver(service).present([txt()])
    assert solver(service).present([txt()]) == (f"{HUB}/C00002",)
    service.after = lose
    with pytest.raises(errors.Unavailable):
        solver(service).clean([txt()])
    solver(service).clean([txt()])
    assert service.record(zone, NAME) is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("PriorRequestNotComplete", errors.Throttled),
        ("Throttling", errors.Throttled),
        ("AccessDenied", errors.AccessDenied),
    ],
)
def test_refused_calls(service: StrictRoute53, zone: str, code: str, expected: type[errors.PerennialError]) -> None:
    """What Route 53 refuses for another reason is told as what it means, with the account, and is not tried again."""

    def refuse() -> None:
        raise Refused(code)

    service.before = refuse
    with pytest.raises(expected, match=f"ChangeResourceRecordSets in account {HUB}"):
        solver(service).present([txt()])
    assert service.calls().count("ChangeResourceRecordSets") == 1


# --- tokens, and the deployment ---


def test_tokens(service: StrictRoute53) -> None:
    """A change that Route 53 has forgotten has spread; what is no token, or of another account, is told."""
    assert solver(service).ready([f"{HUB}/C99999"])
    with pytest.raises(errors.InvalidInput, match="names no change"):
        solver(service).ready(["../../hostedzone"])
    with pytest.raises(errors.InvalidConfiguration, match=MEMBER):
        solver(service).ready([f"{MEMBER}/C00001"])


def test_the_solver_of_a_deployment(service: StrictRoute53) -> None:
    """The deployment's solver asks the hub's own account first, then each configured one in its role."""
    zone = service.zone("example.com", ZONES)
    asked: list[tuple[str, str]] = []

    def clients_of(account: str, role: str) -> Any:
        asked.append((account, role))
        return lambda name: service.clients[account]()

    settings = Solvers(zone_accounts=(ZONES, HUB), role_name="Solver", delegations={"a.test": NAME})
    deployment: Any = SimpleNamespace(account=HUB, clients_of=clients_of, settings=SimpleNamespace(solvers=settings))
    route53.of(deployment).present([txt(), txt(where="a.test")])
    assert service.values(zone, NAME) == [MINE]
    assert list(dict.fromkeys(asked)) == [(HUB, "Solver"), (ZONES, "Solver")]
