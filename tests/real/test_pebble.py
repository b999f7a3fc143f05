"""ACME orders through Pebble: `issuers.acme` against a server of other authors, with each step in a process of its own
as far as the issuer can tell. Pebble asks the local cloud's name server and is as strict as it can be."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from perennial.certificate import parse
from perennial.errors import InvalidConfiguration, PerennialError, ServiceRefused, ValidationFailed
from perennial.profiles import ChallengeKind, Profile
from real_acme import Lab, Run, Start


def common_name(pem: str) -> str:
    name = x509.load_pem_x509_certificate(pem.encode()).subject
    return str(name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def chains_to(run: Run, root: str) -> bool:
    """Whether each certificate of the chain is signed by the next one, and the last one by the root."""
    chain = [x509.load_der_x509_certificate(each) for each in run.outcome.chain]
    for below, above in zip(chain, [*chain[1:], x509.load_pem_x509_certificate(root.encode())], strict=True):
        below.verify_directly_issued_by(above)
    return True


@pytest.mark.parametrize(("names", "requests"), [(1, 9), (10, 27), (100, 207)])
def test_a_certificate_of_n_names_takes_2n_plus_7_requests(on_pebble: Start, names: int, requests: int) -> None:
    """With a warm account a certificate takes 2n + 7 requests, directory and nonce included, by the server's own log,
    although each step begins with nothing but the order; it has exactly these names and the CSR's key."""
    wanted = [f"n{number}.example.com" for number in range(names)]
    with on_pebble() as here:
        here.client.issue("warm.example.com")
        made: list[Run] = []
        counted = here.requests_of(lambda: made.append(here.client.issue(*wanted)))
        assert len(counted) == requests, counted
        run = made[0]
        assert run.names == set(wanted)
        assert run.leaf.public_key() == run.key.public_key()
        assert chains_to(run, here.server.roots[0])
        assert {each.where for each in run.presented} == {f"_acme-challenge.{name}" for name in wanted}


def test_a_wildcard_beside_its_base(on_pebble: Start) -> None:
    """A wildcard and its base are proven by two values at one record."""
    with on_pebble() as here:
        run = here.client.issue("example.com", "*.example.com")
        assert run.names == {"example.com", "*.example.com"}
        assert [each.where for each in run.presented] == ["_acme-challenge.example.com"] * 2
        assert len({each.value for each in run.presented}) == 2


def test_a_delegated_challenge(on_pebble: Start) -> None:
    """The CA follows a CNAME at the challenge's name, so the record may be in another zone."""
    with on_pebble() as here:
        here.client.records.add("_acme-challenge.shop.example.com", "CNAME", "shop.validation.example.com.")
        delegated = {"_acme-challenge.shop.example.com": "shop.validation.example.com"}
        client = replace(here.client, present_at=delegated)
        assert client.issue("shop.example.com").names == {"shop.example.com"}


def test_http_challenges_and_addresses(on_pebble: Start) -> None:
    """http-01 proves a host and an IP address (RFC 8738) in one order."""
    with on_pebble() as here:
        run = here.configured(challenge=ChallengeKind.HTTP).issue("web.example.com", "127.0.0.1")
        assert run.names == {"web.example.com", "127.0.0.1"}


def test_an_address_cannot_be_proven_by_dns(on_pebble: Start) -> None:
    """Where the CA does not offer the configured challenge for a name, the reason names both."""
    with on_pebble() as here, pytest.raises(ValidationFailed, match=r"http-01.*127\.0\.0\.1.*dns-01"):
        here.client.issue("127.0.0.1")


def test_every_second_nonce_is_refused(on_pebble: Start) -> None:
    """badNonce is repeated with a fresh nonce, also several times in a row (RFC 8555 6.5)."""
    names = [f"n{number}.example.com" for number in range(10)]
    with on_pebble(nonce_reject=50) as here:
        assert here.client.issue(*names).names == set(names)


def test_the_preferred_root_is_taken(on_pebble: Start) -> None:
    """Of several chains the one to the preferred root is taken; without a preference the CA's first; each verifies."""
    with on_pebble(alternate_roots=2, chain_length=2) as here:
        roots = {common_name(pem): pem for pem in here.server.roots}
        for root, pem in roots.items():
            run = here.client.issue("www.example.com", profile=Profile(name="web", issuer="test", preferred_root=root))
            assert run.top == root
            assert len(run.outcome.chain) == 3
            assert chains_to(run, pem)
        assert here.client.issue("www.example.com").top == common_name(here.server.roots[0])


def test_a_root_that_is_not_offered(on_pebble: Start) -> None:
    """Where no chain ends at the preferred root, the CA's first is taken (RFC 8555 7.4.2)."""
    with on_pebble(alternate_roots=1) as here:
        profile = Profile(name="web", issuer="test", preferred_root="Some other root")
        assert here.client.issue("www.example.com", profile=profile).top == common_name(here.server.roots[0])


def test_authorizations_are_used_again(on_pebble: Start) -> None:
    """A name that the CA knows to be controlled is not challenged again: nothing is shown, and nothing looked at."""
    with on_pebble(reuse=100) as here:
        here.client.issue("www.example.com")
        made: list[Run] = []
        counted = here.requests_of(lambda: made.append(here.client.issue("www.example.com")))
        assert made[0].presented == ()
        assert len(counted) == 6, counted
        mixed = here.client.issue("www.example.com", "new.example.com")
        assert [each.name for each in mixed.presented] == ["new.example.com"]


def test_a_failed_validation_names_the_name(on_pebble: Start) -> None:
    """A record that is missing ends in ValidationFailed with the names it failed for, and with no other."""
    with on_pebble() as here:
        client = replace(here.client, hide=("bad.example.com",))
        with pytest.raises(ValidationFailed) as failed:
            client.issue("good.example.com", "bad.example.com")
        assert "bad.example.com" in str(failed.value)
        assert "good.example.com" not in str(failed.value)
        assert client.issue("good.example.com").names == {"good.example.com"}


def test_a_wrong_value_is_not_enough(on_pebble: Start) -> None:
    """A record with other values fails, and what the CA said is in the reason."""
    with on_pebble() as here:
        here.client.records.add("_acme-challenge.www.example.com", "TXT", "of someone else")
        with pytest.raises(ValidationFailed, match=r"www\.example\.com.*Correct value not found"):
            replace(here.client, show=False).issue("www.example.com")
        assert here.client.issue("www.example.com").names == {"www.example.com"}


def test_slow_validation(on_pebble: Start) -> None:
    """A CA that takes its time is asked again until it has decided."""
    with on_pebble(sleep=3) as here:
        client = replace(here.client, settled=lambda: True)
        assert client.issue("a.example.com", "b.example.com", "c.example.com").steps > 3


def test_a_refused_name(on_pebble: Start) -> None:
    """A name that the CA does not issue for is a final reason with the name."""
    with (
        on_pebble(blocked=("blocked.example",)) as here,
        pytest.raises(PerennialError, match=r"www\.blocked\.example") as no,
    ):
        here.client.issue("www.blocked.example")
    assert not no.value.retry


def known(lab: Lab) -> None:
    """Skip with a version of Pebble that does not know profiles and renewal information."""
    if not lab.server.renewal_info:
        pytest.skip("this Pebble is too old for it: install Go, then run scripts/setup --with-pebble")


def test_profiles(on_pebble: Start) -> None:
    """A profile of the CA decides about the validity; one that it does not offer is a reason with those it offers."""
    with on_pebble(profiles={"long": 90 * 86400, "short": 6 * 86400}) as here:
        known(here)
        for name, days in (("short", 6), ("long", 90)):
            run = here.client.issue("www.example.com", profile=Profile(name="web", issuer="test", acme_profile=name))
            validity = run.leaf.not_valid_after_utc - run.leaf.not_valid_before_utc
            assert validity == timedelta(days=days, seconds=-1)
        with pytest.raises(InvalidConfiguration, match=r"none.*long, short|none.*short, long"):
            here.client.issue("www.example.com", profile=Profile(name="web", issuer="test", acme_profile="none"))


def test_renewal_information(on_pebble: Start) -> None:
    """The CA's window is read, also when it changes; a certificate that the CA does not know has none."""
    with on_pebble() as here:
        known(here)
        run = here.client.issue("www.example.com")
        certificate = parse(run.outcome.chain[0])
        window = here.client.issuer().renewal_window(certificate)
        assert window is not None
        assert run.leaf.not_valid_before_utc < window.start < window.end < run.leaf.not_valid_after_utc
        assert window.retry_after == 6 * 3600
        start = datetime(2030, 1, 1, tzinfo=UTC)
        told = {"start": start.isoformat(), "end": (start + timedelta(days=1)).isoformat()}
        content = {"suggestedWindow": told, "explanationURL": "https://ca.example/incident"}
        here.server.set_renewal_info(run.leaf.public_bytes(Encoding.PEM).decode(), json.dumps(content))
        moved = here.client.issuer().renewal_window(certificate)
        assert moved is not None
        assert (moved.start, moved.end) == (start, start + timedelta(days=1))
        assert moved.explanation == "https://ca.example/incident"


@pytest.mark.parametrize("reply", ["", "[]", "{", '{"suggestedWindow": {"start": "soon", "end": "later"}}'])
def test_renewal_information_that_is_none(on_pebble: Start, reply: str) -> None:
    """What is no renewal information is an error of the reply, or absent, and never a window."""
    with on_pebble() as here:
        known(here)
        run = here.client.issue("www.example.com")
        here.server.set_renewal_info(run.leaf.public_bytes(Encoding.PEM).decode(), reply or " ")
        with pytest.raises(PerennialError):
            here.client.issuer().renewal_window(parse(run.outcome.chain[0]))


def test_renewal_names_what_it_replaces(on_pebble: Start) -> None:
    """The CA is told which certificate is replaced, once: told again it refuses, and the order goes on without."""
    with on_pebble() as here:
        known(here)
        old = parse(here.client.issue("www.example.com").outcome.chain[0])
        assert here.client.issue("www.example.com", replaces=old).names == {"www.example.com"}
        made: list[Run] = []
        counted = here.requests_of(lambda: made.append(here.client.issue("www.example.com", replaces=old)))
        assert counted.count("POST /order-plz") == 2
        assert made[0].names == {"www.example.com"}


def test_renewal_of_what_the_ca_does_not_find(on_pebble: Start) -> None:
    """Where the CA has no order of what is replaced, it answers with a fault of its own: the order goes on without."""
    with on_pebble() as here:
        issued = here.client.issue("www.example.com")
        unknown = replace(parse(issued.outcome.chain[0]), serial="00ab54a98ceb1f0ad2")
        made: list[Run] = []
        counted = here.requests_of(lambda: made.append(here.client.issue("www.example.com", replaces=unknown)))
        assert counted.count("POST /order-plz") == 2
        assert made[0].names == {"www.example.com"}


def test_persistent_records(on_pebble: Start) -> None:
    """dns-persist-01: one record that stays proves every later order of the same account."""
    with on_pebble() as here:
        known(here)
        client = here.configured(challenge=ChallengeKind.DNS_PERSIST, issuer_domain="pebble.letsencrypt.org")
        first = client.issue("www.example.com", "*.example.com")
        assert all(each.stays for each in first.presented)
        stayed = client.records.values("_validation-persist.www.example.com", "TXT")
        assert len(stayed) == 1
        again = replace(client, show=False).issue("www.example.com", "*.example.com")
        assert set(again.presented) == set(first.presented)
        assert client.records.values("_validation-persist.www.example.com", "TXT") == stayed


def test_an_untrusted_directory(on_pebble: Start) -> None:
    """A directory whose TLS certificate is not of the configured roots is not talked to."""
    with on_pebble() as here, pytest.raises(InvalidConfiguration, match="directory_roots"):
        here.configured(directory_roots=here.server.roots[0]).issue("www.example.com")


def test_a_server_that_is_gone(on_pebble: Start) -> None:
    """A server that does not answer is worth another try, and the order goes on where it was."""
    with on_pebble() as here:
        here.client.issue("www.example.com")
        here.server.stop()
        with pytest.raises(PerennialError) as gone:
            here.client.issue("www.example.com")
    assert gone.value.retry


def test_every_step_twice(on_pebble: Start) -> None:
    """A step that runs twice from the same kept order, with a nonce that is used up, ends in the same certificate."""
    with on_pebble() as here:
        client = replace(here.client, twice=True, settled=lambda: True)
        before = here.server.requests().count("POST /order-plz")
        run = client.issue("a.example.com", "b.example.com")
        assert run.names == {"a.example.com", "b.example.com"}
        assert (
            here.server.requests().count("POST /order-plz") - before == 2
        )  # the first step had no order to go on from
        assert here.server.requests().count("POST /finalize-order/") <= 2


def test_a_forgotten_order_is_begun_anew(on_pebble: Start) -> None:
    """An order that the CA does not have any more is asked for anew, and a final reason ends what never succeeds."""
    with on_pebble() as here:
        run = here.client.issue("www.example.com")
        order = json.loads(run.order)
        lost = json.dumps({**order, "phase": "answered", "url": f"{order['url']}lost"})
        made = replace(here.client, start=lost).issue("www.example.com")
        assert made.names == {"www.example.com"}
        lost = json.dumps({**order, "phase": "answered", "url": f"{order['url']}lost", "attempts": 2})
        with pytest.raises(ServiceRefused, match="3 orders"):
            replace(here.client, start=lost).issue("www.example.com")
