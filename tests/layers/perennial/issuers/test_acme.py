"""A whole order at a strict ACME server, step by step: what is asked, how often, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from acme_server import AcmeServer, Asker, Reply, acme, authorities, problem
from certificates import build
from perennial.certificate import parse
from perennial.errors import (
    InvalidConfiguration,
    InvalidReply,
    RateLimited,
    ServiceRefused,
    Unavailable,
    ValidationFailed,
)
from perennial.issuers.interface import Issued, Later, Present
from perennial.profiles import ChallengeKind
from perennial.solvers.interface import Shown


@pytest.fixture
def asker() -> Iterator[Asker]:
    """Someone with an account at a server."""
    with acme() as (server, secrets):
        made = Asker(server, secrets)
        made.warm()
        yield made


@pytest.fixture
def server(asker: Asker) -> AcmeServer:
    return asker.server


@pytest.mark.parametrize("count", (1, 2, 10, 100))
def test_n_names_take_2n_and_7_requests_though_each_step_is_a_new_process(asker: Asker, count: int) -> None:
    """The directory and the nonce travel with the order, so that the count is the smallest there is."""
    names = [f"n{number}.example.com" for number in range(count)]
    issued = asker.issue(*names)
    expected = ["directory", "newNonce", "newOrder", *["authorization"] * count, *["challenge"] * count]
    assert asker.server.kinds == [*expected, "order", "finalize", "order", "certificate"]
    assert asker.sent == 2 * count + 7
    assert set(parse(issued.chain[0]).names) == set(names)
    assert max(map(len, asker.texts)) < 200_000


def test_a_cold_account_takes_one_request_more(server: AcmeServer, asker: Asker) -> None:
    """newAccount comes once; the second issuer of the same name finds the account in the secret."""
    cold = Asker(server, asker.secrets, name="cold")
    cold.issue("a.example.com")
    assert cold.sent == 10
    assert server.kinds.count("newAccount") == 1


def test_waiting_is_done_by_the_caller(asker: Asker) -> None:
    """One Present, then one Later after the answers and one after the CSR, in words for people."""
    asker.issue("a.example.com")
    assert [type(each) for each in asker.outcomes] == [Present, Later, Later, Issued]
    assert asker.outcomes[1:3] == [Later(3.0, "test looks at the challenges"), Later(2.0, "test issues")]


def test_a_name_and_its_wildcard_share_one_record_with_two_values(asker: Asker) -> None:
    """Both challenges are at the same place, and both have to be there."""
    asker.issue("example.com", "*.example.com")
    places = [(each.where, each.name) for each in asker.challenges]
    assert places == [("_acme-challenge.example.com", "example.com"), ("_acme-challenge.example.com", "*.example.com")]
    assert len({each.value for each in asker.challenges}) == 2


def test_addresses_are_proven_over_http(server: AcmeServer, asker: Asker) -> None:
    """Addresses are identifiers of their own kind (RFC 8738), which dns-01 cannot prove."""
    asker = Asker(server, asker.secrets, challenge=ChallengeKind.HTTP)
    issued = asker.issue("a.example.com", "192.0.2.1", "2001:db8::1")
    assert parse(issued.chain[0]).ip_addresses == ("192.0.2.1", "2001:db8::1")
    assert {each.shown for each in asker.challenges} == {Shown.HTTP}


def test_an_address_with_dns_challenges_names_what_the_ca_offers(asker: Asker) -> None:
    """The setting does not fit the name, and the message says which would."""
    with pytest.raises(ValidationFailed, match=r"offers http-01 for 192\.0\.2\.1, and not dns-01"):
        asker.issue("192.0.2.1")


def test_a_persistent_record_names_the_ca_and_the_account_and_stays(server: AcmeServer, asker: Asker) -> None:
    """dns-persist-01 is shown at its own place, admits wildcards only where asked for, and is never removed."""
    asker = Asker(server, asker.secrets, challenge=ChallengeKind.DNS_PERSIST, issuer_domain="ca.example")
    asker.issue("example.com", "*.example.com")
    assert [(each.where, each.value, each.stays) for each in asker.challenges] == [
        ("_validation-persist.example.com", f"ca.example; accounturi={server.url('account', 1)}", True),
        (
            "_validation-persist.example.com",
            f"ca.example; accounturi={server.url('account', 1)}; policy=wildcard",
            True,
        ),
    ]


def test_a_persistent_record_for_another_ca_is_not_written(server: AcmeServer, asker: Asker) -> None:
    """The issuer's domain is configured; the CA has to offer it."""
    asker = Asker(server, asker.secrets, challenge=ChallengeKind.DNS_PERSIST, issuer_domain="other.example")
    with pytest.raises(InvalidConfiguration, match=r"issuer_domain is 'other\.example'; the CA offers ca\.example"):
        asker.issue("example.com")


def test_a_persistent_record_for_another_account_is_not_written(server: AcmeServer, asker: Asker) -> None:
    """A CA that names another account would have that one admitted to our names."""

    def foreign(reply: Reply) -> Reply:
        for each in reply.values["challenges"]:
            each["accounturi"] = "https://evil.example/account/1"
        return reply

    server.alter["authorization"] = foreign
    asker = Asker(server, asker.secrets, challenge=ChallengeKind.DNS_PERSIST, issuer_domain="ca.example")
    with pytest.raises(InvalidReply, match=r"evil\.example"):
        asker.issue("example.com")


def test_what_is_authorized_already_is_not_shown_again(server: AcmeServer, asker: Asker) -> None:
    """Of three names one is new: one challenge, one answer."""
    server.reused = {"a.example.com", "b.example.com"}
    asker.issue("a.example.com", "b.example.com", "c.example.com")
    assert [each.name for each in asker.challenges] == ["c.example.com"]
    assert server.kinds.count("challenge") == 1


@pytest.mark.parametrize("kind", (ChallengeKind.NONE, ChallengeKind.DNS))
def test_an_order_that_is_ready_needs_no_challenge(server: AcmeServer, asker: Asker, kind: ChallengeKind) -> None:
    """Names that were approved in advance: newOrder, finalize, one look, and the certificate."""
    server.reused = {"a.example.com"}
    asker = Asker(server, asker.secrets, challenge=kind)
    asker.issue("a.example.com")
    assert server.kinds == ["directory", "newNonce", "newOrder", "finalize", "order", "certificate"]


def test_an_order_that_is_ready_needs_no_authorizations_either(server: AcmeServer, asker: Asker) -> None:
    """Approved in advance, and the CA lists nothing; finalize is lost, and the order gone on with."""
    server.reused = {"a.example.com"}
    server.alter["newOrder"] = lambda reply: replace(reply, values={**reply.values, "authorizations": []})
    server.lose = lambda kind: kind == "finalize"
    with pytest.raises(Unavailable):
        asker.issue("a.example.com")
    asker.finish(asker.ask("a.example.com"))
    assert server.issued == 1


def test_an_invalid_order_without_a_reason_is_final_and_an_expired_one_is_not(server: AcmeServer, asker: Asker) -> None:
    """What only ran out of time is asked for again; what the CA does not explain is not."""

    def invalid(expires: str) -> None:
        server.alter["order"] = lambda reply: replace(
            reply, values={**reply.values, "status": "invalid", "expires": expires}
        )

    invalid("2026-12-01T00:00:00Z")
    with pytest.raises(ServiceRefused, match="does not say why; ask the CA"):
        asker.issue("a.example.com")
    assert server.kinds.count("newOrder") == 1
    asker.order, asker.presented = "", False
    invalid("2026-10-01T00:00:00Z")
    with pytest.raises(ServiceRefused, match="3 orders expired"):
        asker.issue("a.example.com")
    assert server.kinds.count("newOrder") == 4


def test_a_name_that_is_not_approved_in_advance_is_named(server: AcmeServer, asker: Asker) -> None:
    """Where no challenge may be shown, a pending authorization is the end, with the next step."""
    asker = Asker(server, asker.secrets, challenge=ChallengeKind.NONE)
    with pytest.raises(ValidationFailed, match=r"a\.example\.com is not approved in advance; approve it at the CA"):
        asker.issue("a.example.com")


def test_a_profile_of_the_ca_is_asked_for(server: AcmeServer, asker: Asker) -> None:
    """The order names the CA's profile when its directory offers it."""
    server.profiles = {"shortlived": "six days"}
    asker.issue("a.example.com", acme_profile="shortlived")
    assert [order.asked["profile"] for order in server.orders.values()] == ["shortlived"]


def test_a_profile_that_the_ca_does_not_offer_is_a_wrong_setting(server: AcmeServer, asker: Asker) -> None:
    """The message has the profiles that there are; the CA is not asked."""
    server.profiles = {"classic": "", "shortlived": ""}
    with pytest.raises(InvalidConfiguration, match="acme_profile is 'tls'; test offers classic, shortlived"):
        asker.issue("a.example.com", acme_profile="tls")
    assert "newOrder" not in server.kinds


def test_what_is_replaced_is_told(server: AcmeServer, asker: Asker) -> None:
    """A renewal names the old certificate by its issuer's key and its serial (RFC 9773 4.1)."""
    old = build("a.example.com", issuer=build("Root", ca=True), serial=0x87654321)
    asker.issue("a.example.com", replaces=old.certificate)
    (order,) = server.orders.values()
    assert order.asked["replaces"].endswith(".AIdlQyE")


@pytest.mark.parametrize(
    "refusal",
    (
        problem("alreadyReplaced", status=409),
        problem("malformed"),
        problem("unauthorized", status=403),
        problem("serverInternal", "could not find an order for the given certificate", status=500),  # as Pebble does
    ),
    ids=lambda reply: reply.values["type"].rpartition(":")[2],
)
def test_a_ca_that_refuses_replaces_still_renews(server: AcmeServer, asker: Asker, refusal: Reply) -> None:
    """Renewal information is a courtesy: the order is asked for once more, without it."""
    server.refuse["newOrder"] = [refusal]
    asker.issue("a.example.com", replaces=build("old.example.com", issuer=build("Root", ca=True)).certificate)
    assert server.kinds.count("newOrder") == 2
    assert all("replaces" not in order.asked for order in server.orders.values())
    assert server.issued == 1


def test_a_ca_with_a_fault_is_told_what_is_replaced_when_it_works_again(server: AcmeServer, asker: Asker) -> None:
    """A fault that also an order without `replaces` meets is none of it: the next one names it again."""
    fault = problem("serverInternal", status=500)
    server.refuse["newOrder"] = [fault, fault]
    old = build("old.example.com", issuer=build("Root", ca=True)).certificate
    with pytest.raises(Unavailable):
        asker.issue("a.example.com", replaces=old)
    asker.issue("a.example.com", replaces=old)
    (order,) = server.orders.values()
    assert "replaces" in order.asked


def test_a_ca_that_is_out_of_service_is_not_asked_without_replaces(server: AcmeServer, asker: Asker) -> None:
    """503 says nothing of the order, and a second request only adds to the load."""
    server.refuse["newOrder"] = [problem("serverInternal", status=503)]
    with pytest.raises(Unavailable):
        asker.issue("a.example.com", replaces=build("old.example.com", issuer=build("Root", ca=True)).certificate)
    assert server.kinds.count("newOrder") == 1


@pytest.mark.parametrize(
    ("root", "issuer", "requests"), (("", "Root One", 9), ("Root One", "Root One", 9), ("Root Two", "Root Two", 10))
)
def test_the_chain_ends_at_the_preferred_root(asker: Asker, root: str, issuer: str, requests: int) -> None:
    """Alternate chains are fetched only where the default one ends elsewhere (RFC 8555 7.4.2)."""
    issued = asker.issue("a.example.com", preferred_root=root)
    assert parse(issued.chain[-1]).issuer == f"CN={issuer}"
    assert asker.sent == requests


def test_without_the_preferred_root_the_default_chain_is_taken(asker: Asker) -> None:
    """A root that no chain ends at is a preference that cannot be had, not a failure."""
    assert len(asker.issue("a.example.com", preferred_root="Root Nine").chain) == 2


@pytest.mark.parametrize("key", ("RSA-2048", "EC-384", "Ed25519", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"))
def test_a_csr_of_any_key_is_sent_as_it_is(asker: Asker, key: str) -> None:
    """The CSR is not parsed on its way, so that its key may be one that the messages of `acme` do not know."""
    assert parse(asker.issue("a.example.com", key=key).chain[0]).key == key


def test_a_ca_that_issues_at_once_is_not_looked_at_again(server: AcmeServer, asker: Asker) -> None:
    """finalize may answer with a valid order."""
    server.looks = 0
    asker.issue("a.example.com")
    assert server.kinds[-3:] == ["order", "finalize", "certificate"]


def test_a_slow_ca_is_looked_at_less_and_less_often(server: AcmeServer, asker: Asker) -> None:
    """Without Retry-After the waits double, to a minute."""
    server.looks = 8
    asker.issue("a.example.com")
    waits = [each.seconds for each in asker.outcomes if isinstance(each, Later)]
    assert waits == [3.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


@pytest.mark.parametrize(("told", "waited"), (("7", 7.0), ("0", 1.0), ("99999", 300.0), ("soon", 2.0)))
def test_retry_after_is_obeyed_within_bounds(server: AcmeServer, asker: Asker, told: str, waited: float) -> None:
    """The CA says how long to wait, from a second to five minutes."""
    server.alter["finalize"] = lambda reply: replace(reply, headers={**reply.headers, "Retry-After": told})
    asker.issue("a.example.com")
    assert asker.outcomes[2] == Later(waited, "test issues")


def test_endless_processing_ends(server: AcmeServer, asker: Asker) -> None:
    """After 60 looks the order is given up, with what to do."""
    server.looks = 10**6
    with pytest.raises(ServiceRefused, match="no end after 60 looks at the order; ask the CA about it"):
        asker.issue("a.example.com")
    assert server.kinds.count("order") <= 62


def test_an_order_that_stays_pending_ends(server: AcmeServer, asker: Asker) -> None:
    """A CA that never looks at the challenges is not waited for for ever."""

    def pending(reply: Reply) -> Reply:
        return replace(reply, values={**reply.values, "status": "pending"})

    server.alter["order"] = pending
    with pytest.raises(ServiceRefused, match="no end after 60 looks"):
        asker.issue("a.example.com")
    assert server.issued == 0


def test_a_failed_name_is_named_with_what_the_ca_saw(server: AcmeServer, asker: Asker) -> None:
    """Of three names two fail: both are told, with the detail and the next step."""
    ask = asker.ask("a.example.com", "b.example.com", "c.example.com")
    asker.step(ask)
    server.shown = {each for each in server.shown if each[0] == "_acme-challenge.b.example.com"}
    with pytest.raises(ValidationFailed) as raised:
        asker.finish(ask)
    message = str(raised.value)
    assert "a.example.com: dns: nothing of a.example.com was seen; check that the challenge's record" in message
    assert "c.example.com: dns: nothing of c.example.com was seen" in message
    assert "b.example.com" not in message


def test_an_order_that_fails_after_the_csr_tells_its_own_reason(server: AcmeServer, asker: Asker) -> None:
    """CAA is looked at again as the CA issues: the order's error says so, with its subproblems."""
    inner = [
        {"type": "urn:ietf:params:acme:error:caa", "detail": "forbidden", "identifier": {"value": "a.example.com"}}
    ]
    error = {"type": "urn:ietf:params:acme:error:compound", "detail": "two", "subproblems": inner}

    def fail(reply: Reply) -> Reply:
        failed = reply.values["status"] == "valid"
        return replace(reply, values={**reply.values, "status": "invalid", "error": error}) if failed else reply

    server.alter["order"] = fail
    with pytest.raises(ValidationFailed, match=r"a\.example\.com: caa: forbidden; let this CA issue in the name's CAA"):
        asker.issue("a.example.com")


def test_an_expired_order_is_asked_for_again_three_times_at_most(server: AcmeServer, asker: Asker) -> None:
    """The CA forgets every order: three are asked for, then the reason is."""

    def forget(reply: Reply) -> Reply:
        server.orders.clear()
        return problem("malformed", "no such order", 404)

    server.alter["order"] = forget
    with pytest.raises(ServiceRefused, match="3 orders expired before they were done"):
        asker.issue("a.example.com")
    assert server.kinds.count("newOrder") == 3


def test_an_order_that_expired_while_challenges_were_awaited_starts_again(server: AcmeServer, asker: Asker) -> None:
    """The second order has challenges of its own, which are shown before they are answered."""
    ask = asker.ask("a.example.com")
    asker.step(ask)
    server.refuse["challenge"] = [problem("malformed", "expired", 404)]
    again = asker.step(ask)
    assert isinstance(again, Present)
    assert again.challenges != asker.outcomes[0]
    asker.finish(ask)
    assert server.issued == 1


@pytest.mark.parametrize("status", ("expired", "deactivated", "revoked"))
def test_a_lapsed_authorization_starts_again(server: AcmeServer, asker: Asker, status: str) -> None:
    """Statuses that an authorization takes by time, and not by a failed validation."""

    def lapse(reply: Reply) -> Reply:
        del server.alter["authorization"]
        return replace(reply, values={**reply.values, "status": status})

    server.alter["authorization"] = lapse
    asker.issue("a.example.com")
    assert server.kinds.count("newOrder") == 2


def test_a_step_that_runs_twice_from_an_older_order_does_no_harm(server: AcmeServer, asker: Asker) -> None:
    """Every text that was ever kept is gone on from once more: one certificate stays one."""
    ask = asker.ask("a.example.com", "*.a.example.com")
    asker.finish(ask)
    for text in list(asker.texts):
        asker.order = text
        asker.presented = True
        assert isinstance(asker.finish(ask), Issued)
    assert server.issued == 1


def test_a_refused_challenge_that_is_still_open_is_an_error(server: AcmeServer, asker: Asker) -> None:
    """A refusal is not taken for "answered before" where the challenge still waits."""
    ask = asker.ask("a.example.com")
    asker.step(ask)
    server.refuse["challenge"] = [problem("malformed", "not like that")]
    with pytest.raises(ServiceRefused, match="not like that"):
        asker.finish(ask)


def test_an_account_key_that_changed_meanwhile_shows_the_challenges_anew(server: AcmeServer, asker: Asker) -> None:
    """What is shown is made of the account's key."""
    ask = asker.ask("a.example.com")
    asker.step(ask)
    asker.acme().change_key()
    assert isinstance(asker.step(ask), Present)
    asker.finish(ask)
    assert server.issued == 1


def test_another_account_starts_the_order_again(server: AcmeServer, asker: Asker) -> None:
    """An order belongs to its account; a new account cannot go on with it."""
    ask = asker.ask("a.example.com")
    asker.step(ask)
    asker.acme().deactivate()
    assert isinstance(asker.step(ask), Present)
    asker.finish(ask)
    assert len(server.orders) == 2


def test_a_rate_limit_is_a_due_time(server: AcmeServer, asker: Asker) -> None:
    """Its end comes from Retry-After; nothing is kept, so that the order is asked for then."""
    limited = problem("rateLimited", "too many", 429)
    limited.headers["Retry-After"] = "7200"
    server.refuse["newOrder"] = [limited]
    with pytest.raises(RateLimited, match="too many") as raised:
        asker.issue("a.example.com")
    assert raised.value.retry_after == 7200
    asker.issue("a.example.com")
    assert server.issued == 1


def test_an_unavailable_ca_says_when_to_ask_again(server: AcmeServer, asker: Asker) -> None:
    """503 with Retry-After, and a gateway's page as its body."""
    page = Reply(503, body=b"<html>", kind="text/html", headers={"Retry-After": "30"})
    server.refuse["finalize"] = [page]
    with pytest.raises(Unavailable) as raised:
        asker.issue("a.example.com")
    assert raised.value.retry_after == 30
    asker.finish(asker.ask("a.example.com"))
    assert server.issued == 1


def test_the_ca_is_not_ready_yet(server: AcmeServer, asker: Asker) -> None:
    """orderNotReady is waited for."""
    server.refuse["finalize"] = [problem("orderNotReady", status=403)]
    asker.issue("a.example.com")
    assert server.kinds.count("finalize") == 2
    assert server.issued == 1


def test_a_refused_csr_is_final(server: AcmeServer, asker: Asker) -> None:
    """badCSR names the next step."""
    server.refuse["finalize"] = [problem("badCSR", "short key")]
    with pytest.raises(ServiceRefused, match="short key; use another key type or other names"):
        asker.issue("a.example.com")


@pytest.mark.parametrize("times", (1, 5))
def test_a_refused_nonce_is_taken_anew(server: AcmeServer, asker: Asker, times: int) -> None:
    """The error's own nonce is used, without asking for one."""
    server.refuse["newOrder"] = [problem("badNonce") for _ in range(times)]
    asker.issue("a.example.com")
    assert server.kinds.count("newNonce") == 1
    assert server.kinds.count("newOrder") == times + 1


def test_a_server_that_refuses_every_nonce_ends(server: AcmeServer, asker: Asker) -> None:
    """After ten nonces it is out of order."""
    server.refuse["newOrder"] = [problem("badNonce") for _ in range(50)]
    with pytest.raises(Unavailable, match="badNonce"):
        asker.issue("a.example.com")
    assert server.kinds.count("newOrder") == 10


def test_a_certificate_is_revoked_once(server: AcmeServer, asker: Asker) -> None:
    """The second revocation finds it revoked, which is what was wished."""
    certificate = parse(asker.issue("a.example.com").chain[0])
    asker.acme().revoke(certificate, "", 4)
    asker.acme().revoke(certificate, "", 4)
    assert server.revoked == [certificate.der]


def test_a_refused_revocation_is_an_error(server: AcmeServer, asker: Asker) -> None:
    """Other refusals than alreadyRevoked are not success."""
    certificate = parse(asker.issue("a.example.com").chain[0])
    server.refuse["revokeCert"] = [problem("badRevocationReason")]
    with pytest.raises(ServiceRefused, match="revoke with another reason"):
        asker.acme().revoke(certificate, "", 99)


def test_the_renewal_window_is_asked_for_without_an_account(server: AcmeServer, asker: Asker) -> None:
    """Two requests, unsigned; times are UTC."""
    window = asker.acme().renewal_window(build("a.example.com", issuer=authorities()[0]).certificate)
    assert window is not None
    assert window.start == datetime(2026, 11, 20, tzinfo=UTC)
    assert window.end == datetime(2026, 11, 22, 0, 0, 0, 500_000, tzinfo=UTC)
    assert (window.retry_after, window.explanation) == (21_600, "https://ca.example/why")
    assert server.kinds == ["directory", "renewalInfo"]


@pytest.mark.parametrize(("told", "seconds"), (("1", 60.0), ("9999999", 86_400.0), ("", 21_600.0)))
def test_the_next_question_for_a_window_is_within_bounds(
    server: AcmeServer, asker: Asker, told: str, seconds: float
) -> None:
    """RFC 9773 4.3.2: from a minute to a day."""
    server.alter["renewalInfo"] = lambda reply: replace(reply, headers={"Retry-After": told} if told else {})
    window = asker.acme().renewal_window(build("a.example.com", issuer=authorities()[0]).certificate)
    assert window is not None
    assert window.retry_after == seconds


@pytest.mark.parametrize("window", ({}, {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, {"start": 3}))
def test_a_window_that_is_none_is_refused(server: AcmeServer, asker: Asker, window: dict[str, object]) -> None:
    """Without both ends, or with the end before the start, it says nothing."""
    server.alter["renewalInfo"] = lambda reply: replace(reply, values={"suggestedWindow": window})
    with pytest.raises(InvalidReply, match="renewalInfo"):
        asker.acme().renewal_window(build("a.example.com", issuer=authorities()[0]).certificate)


def test_a_ca_without_renewal_information_has_no_window(server: AcmeServer, asker: Asker) -> None:
    """Neither has a certificate that the CA does not know."""
    certificate = build("a.example.com", issuer=authorities()[0]).certificate
    server.alter["renewalInfo"] = lambda reply: problem("malformed", status=404)
    assert asker.acme().renewal_window(certificate) is None
    server.alter["directory"] = lambda reply: replace(reply, values={**reply.values, "renewalInfo": None})
    assert asker.acme().renewal_window(certificate) is None


def test_nothing_secret_is_in_the_order(asker: Asker) -> None:
    """The order's texts have neither the account's key nor anything of a JWS."""
    asker.issue("a.example.com")
    for text in asker.texts:
        assert "PRIVATE" not in text
        assert not {"private_key", "signature", "payload"} & set(json.loads(text))
