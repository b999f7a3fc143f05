"""The copy of a version in ACM: imported once, found again after any interruption, and never somebody else's."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError

from bundles import bundle
from certificates import build
from key_search import Known
from local_cloud.fakes.acm import Acm as Fake
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from local_cloud.fakes.references import References
from perennial import keys
from perennial.clients import RATES, Clients
from perennial.errors import (
    AccessDenied,
    ConcurrentChange,
    InvalidReply,
    NotFit,
    NotFound,
    PerennialError,
    ServiceRefused,
    Throttled,
    Unavailable,
)
from perennial.targets import acm_copy
from perennial.targets.interface import Bundle, Superseded
from scripted_aws import ScriptedAws, pages, refuse
from target_conformance import FAULTS, KILLS, Calls, Killed, watched

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ARN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0123"
OTHER_ARN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/4567"


class Account:
    """A fake ACM, and what a rollout keeps of it."""

    def __init__(self) -> None:
        self.fake = Fake(where=here, clock=lambda: NOW, users=References())
        self.acm = client(self.fake)
        self.placed = ""
        self.kept: list[str] = []

    def keep(self, placed: str) -> None:
        self.placed = placed
        self.kept.append(placed)

    def ensure(self, version: Bundle) -> str:
        return acm_copy.ensure(self.acm, version, self.placed, self.keep)

    def import_as_anybody(self, version: Bundle, **tags: str) -> str:
        more = {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]} if tags else {}
        arn: str = self.acm.import_certificate(
            Certificate=version.certificate_pem,
            PrivateKey=version.private_key,
            CertificateChain=version.chain_pem,
            **more,
        )["CertificateArn"]
        return arn

    @property
    def held(self) -> Mapping[str, Any]:
        """The certificates by ARN, from the fake's own state."""
        return self.fake.state(ACCOUNT, REGION).certificates


@pytest.fixture
def account() -> Account:
    return Account()


def test_it_is_imported_with_key_chain_and_tags(account: Account) -> None:
    """The version's own leaf, chain and key are imported, with tags that say whose it is, and the ARN is kept."""
    version = bundle(2)
    arn = account.ensure(version)
    item = account.held[arn]
    assert account.kept == [arn]
    assert item.body_pem == version.certificate_pem
    assert item.chain_pem == version.chain_pem
    assert item.private_key.decode() == version.private_key
    assert item.tags == {"perennial:managed": "shop", "perennial:version": "2"}
    assert acm_copy.held(account.acm, arn) == version.fingerprint
    assert acm_copy.material(account.acm, arn) == (version.certificate.der, version.chain[0].der)


def test_a_version_without_a_chain(account: Account) -> None:
    """One that its own key signed is imported without a chain, which ACM would refuse to be empty."""
    made = build("shop.example.com")
    version = replace(bundle(2), certificate=made.certificate, chain=(), private_key=made.key_pem)
    arn = account.ensure(version)
    assert account.held[arn].chain == ()
    assert acm_copy.material(account.acm, arn) == (made.der,)


def test_targets_of_a_region_share_it(account: Account) -> None:
    """One import serves all: the second target finds what was placed with one call, and keeps nothing new."""
    version = bundle(2)
    arn = account.ensure(version)
    with watched(Calls()) as calls:
        assert account.ensure(version) == arn
        assert acm_copy.known(account.acm, version, arn) == arn
    assert calls.names == ["GetCertificate", "GetCertificate"]
    assert account.kept == [arn]
    assert acm_copy.shares(ACCOUNT, REGION) == acm_copy.shares(ACCOUNT, REGION)
    assert acm_copy.shares(ACCOUNT, REGION) != acm_copy.shares(ACCOUNT, "us-east-1")
    assert acm_copy.shares(ACCOUNT, REGION) != acm_copy.shares("444455556666", REGION)


@pytest.mark.parametrize("serial", [5, 0xAB, 0x1234, (1 << 127) + 1, (1 << 158) + 1, (1 << 159) - 1])
@pytest.mark.parametrize("listed", [False, True])
def test_it_is_found_again_by_its_serial(serial: int, listed: bool) -> None:
    """Killed between the import and keeping its ARN: the next call finds it, whatever its serial number's length, and
    also where ACM has no SearchCertificates."""
    account = Account()
    version = bundle(2, serial=serial)

    def killed(_: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        acm_copy.ensure(account.acm, version, "", killed)
    account.import_as_anybody(bundle(3, serial=serial), **{"perennial:managed": "shop"})

    def unknown(name: str, send: Callable[[], Any]) -> Any:
        assert name == "SearchCertificates"
        raise ClientError({"Error": {"Code": "UnknownOperationException"}}, name)

    with watched(Calls(at=1 if listed else 0, act=unknown)) as calls:
        arn = account.ensure(version)
    assert calls.writes() == []
    assert account.kept == [arn]
    assert account.held[arn].body_pem == version.certificate_pem
    assert len(account.held) == 2


@pytest.mark.parametrize("what", [*sorted(KILLS), *sorted(FAULTS)])
def test_interrupted_at_each_call(what: str) -> None:
    """Killed or refused at any call, also once more while it resumes: one copy in the end, and its ARN is kept."""
    act = {**KILLS, **FAULTS}[what]
    version = bundle(2)
    points = [(first, second) for first in range(1, 6) for second in range(1, 6)]
    reached = set()
    for first, second in points:
        account = Account()
        for number in (first, second):
            with watched(Calls(at=number, act=act)) as calls:
                try:
                    account.ensure(version)
                except (Killed, PerennialError):
                    reached.add((number, calls.names[-1]))
        arn = account.ensure(version)
        assert list(account.held) == [arn] == account.kept, (first, second)
    assert {name for _, name in reached} >= {"SearchCertificates", "ImportCertificate"}


@pytest.mark.parametrize("tags", [{}, {"perennial:managed": "other"}, {"perennial:version": "2"}, {"managed": "shop"}])
@pytest.mark.parametrize("listed", [False, True])
def test_a_copy_of_somebody_else_is_not_taken(account: Account, tags: dict[str, str], listed: bool) -> None:
    """The very same certificate without the managed certificate's tag stays theirs: one of our own is imported."""
    version = bundle(2)
    theirs = account.import_as_anybody(version, **tags)
    act = _no_search if listed else KILLS["killed before"]
    with watched(Calls(at=1 if listed else 0, act=act)):
        arn = account.ensure(version)
    assert arn != theirs
    assert account.held[arn].tags["perennial:managed"] == "shop"
    assert account.held[theirs].tags == tags
    assert account.ensure(version) == arn
    assert len(account.held) == 2


def _no_search(name: str, send: Callable[[], Any]) -> Any:
    assert name == "SearchCertificates"
    raise ClientError({"Error": {"Code": "UnknownOperationException"}}, name)


def test_another_certificate_with_the_same_serial(account: Account) -> None:
    """Two CAs may use one serial number: a certificate with another fingerprint is not the copy, whatever its tags."""
    other = account.import_as_anybody(bundle(1, serial=1_002), **{"perennial:managed": "shop"})
    arn = account.ensure(bundle(2))
    assert arn != other
    assert len(account.held) == 2


def test_what_was_placed_is_deleted(account: Account) -> None:
    """A copy that somebody deleted is imported once more, and the new ARN kept."""
    version = bundle(2)
    first = account.ensure(version)
    account.acm.delete_certificate(CertificateArn=first)
    second = account.ensure(version)
    assert second != first
    assert account.kept == [first, second]


def test_what_was_placed_is_another_certificate_now(account: Account) -> None:
    """A copy over which somebody imported another certificate is left alone."""
    version = bundle(2)
    first = account.ensure(version)
    other = bundle(9)
    account.acm.import_certificate(
        CertificateArn=first,
        Certificate=other.certificate_pem,
        PrivateKey=other.private_key,
        CertificateChain=other.chain_pem,
    )
    second = account.ensure(version)
    assert second != first
    assert account.held[first].body_pem == other.certificate_pem
    assert account.placed == second


# --- certificates that ACM issued ---


def _issued(account: Account) -> Bundle:
    """A version that ACM issued in this account and region: its key is ACM's."""
    arn = account.acm.request_certificate(DomainName="shop.example.com", ValidationMethod="DNS")["CertificateArn"]
    account.fake.admin_validate({"arn": arn})
    leaf = acm_copy.certificate(account.acm, arn)
    assert leaf is not None
    return replace(bundle(2), certificate=leaf, chain=(), private_key="", arn=arn)


def test_what_acm_issued_is_used_as_it_is(account: Account) -> None:
    """In its own account and region no copy is made."""
    version = _issued(account)
    with watched(Calls()) as calls:
        assert account.ensure(version) == version.arn
    assert calls.names == ["GetCertificate"]
    assert account.kept == [version.arn]
    assert acm_copy.refusals(version, ACCOUNT, REGION) == []


def test_what_acm_issued_in_another_region(account: Account) -> None:
    """Elsewhere it cannot be used, as ACM keeps its key: NotFit, and nothing is written."""
    version = _issued(account)
    elsewhere = client(account.fake, "us-east-1")
    with watched(Calls()) as calls, pytest.raises(NotFit, match="ACM issued it as arn:aws:acm:eu-central-1") as raised:
        acm_copy.ensure(elsewhere, version, "", account.keep)
    assert calls.writes() == []
    assert account.kept == []
    assert acm_copy.refusals(version, ACCOUNT, "us-east-1") == [str(raised.value)]
    assert acm_copy.refusals(version, "444455556666", REGION) == [str(raised.value)]


def test_what_acm_issued_and_renewed(account: Account) -> None:
    """An ARN under which ACM has renewed by itself has another certificate: it is not the version any more."""
    version = _issued(account)
    account.fake.admin_renew({"arn": version.arn})
    with pytest.raises(NotFit, match="ACM issued it as"):
        account.ensure(version)


def test_an_exported_one_is_imported_elsewhere(account: Account) -> None:
    """Of one whose key Perennial holds, other regions get a copy."""
    made = bundle(2)
    arn = account.ensure(replace(made, arn=f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/0123"))
    assert account.held[arn].kind == "IMPORTED"
    assert acm_copy.refusals(made, ACCOUNT, REGION) == []


def test_no_key(account: Account) -> None:
    """Without a key there is nothing to import: NotFit says what would help, and ACM is not asked to import."""
    version = replace(bundle(2), private_key="")
    with watched(Calls()) as calls, pytest.raises(NotFit, match='key_home = "secret"') as raised:
        account.ensure(version)
    assert "ImportCertificate" not in calls.names
    assert acm_copy.refusals(version, ACCOUNT, REGION) == [str(raised.value)]


# --- what ACM refuses ---


@pytest.mark.parametrize("quota", ["certificates", "imports_per_year"])
def test_a_quota_is_final(account: Account, quota: str) -> None:
    """LimitExceededException is a quota here and not throttling: final, with advice, and after one attempt."""
    setattr(account.fake.quotas, quota, 0)
    with watched(Calls()) as calls, pytest.raises(ServiceRefused, match="or have the quota raised") as raised:
        account.ensure(bundle(2))
    assert raised.value.retry is False
    assert calls.names.count("ImportCertificate") == 1
    assert account.kept == []


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        ("LimitExceededException", ServiceRefused, "expired ones count"),
        ("TagPolicyException", ServiceRefused, "tag policy allow perennial:managed and perennial:version"),
        ("ConflictException", ConcurrentChange, "acm:ImportCertificate of shop/2"),
        ("ThrottlingException", Throttled, "acm:ImportCertificate of shop/2"),
        ("AccessDeniedException", AccessDenied, "acm:ImportCertificate of shop/2"),
        ("ValidationException", ServiceRefused, "acm:ImportCertificate of shop/2"),
    ],
)
def test_what_an_import_is_refused_for(code: str, expected: type[PerennialError], words: str) -> None:
    """Each code has its class, and the message names the action or says what to do."""
    aws = ScriptedAws(
        {"acm.SearchCertificates": lambda _: {"Results": []}, "acm.ImportCertificate": refuse(code)}, region=REGION
    )
    with pytest.raises(expected, match=words) as raised:
        acm_copy.ensure(aws("acm"), bundle(2), "", lambda _: None)
    assert type(raised.value) is expected
    assert aws.count("acm.ImportCertificate") == 1


READING: dict[str, Callable[[Any], Any]] = {
    "GetCertificate": lambda acm: acm_copy.held(acm, ARN),
    "SearchCertificates": lambda acm: acm_copy.known(acm, bundle(2), ""),
    "ListCertificates": lambda acm: acm_copy.known(acm, bundle(2), ""),
}


@pytest.mark.parametrize("operation", READING)
@pytest.mark.parametrize(
    ("code", "expected"),
    [("AccessDeniedException", AccessDenied), ("ThrottlingException", Throttled), ("InternalFailure", Unavailable)],
)
def test_reads_that_are_refused(operation: str, code: str, expected: type[PerennialError]) -> None:
    """What cannot be read is no answer, so nothing is imported; the message names the action."""
    script = {f"acm.{operation}": refuse(code)}
    if operation == "ListCertificates":
        script["acm.SearchCertificates"] = refuse("UnknownOperationException")
    with pytest.raises(expected, match=f"acm:{operation}"):
        READING[operation](ScriptedAws(script, region=REGION)("acm"))


# --- replies ---


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Certificate": "nothing of the kind"},
        {"Certificate": "-----BEGIN CERTIFICATE-----\nAAAA"},
        {"Certificate": bundle(9).certificate_pem * 2},
        {"Certificate": bundle(9).private_key},
    ],
)
def test_a_hostile_certificate(answer: Mapping[str, Any]) -> None:
    """What is not one certificate in PEM is InvalidReply, and no reason to import."""
    aws = ScriptedAws({"acm.GetCertificate": lambda _: answer}, region=REGION)
    for read in (acm_copy.held, acm_copy.certificate, acm_copy.material):
        with pytest.raises(InvalidReply, match=f"acm:GetCertificate of {ARN}"):
            read(aws("acm"), ARN)
    with pytest.raises(InvalidReply, match="acm:GetCertificate"):
        acm_copy.ensure(aws("acm"), bundle(2), ARN, lambda _: None)


def test_a_hostile_chain() -> None:
    """A chain longer than any CA's is not used."""
    version = bundle(2)
    answer = {"Certificate": version.certificate_pem, "CertificateChain": version.chain_pem * 11}
    aws = ScriptedAws({"acm.GetCertificate": lambda _: answer}, region=REGION)
    with pytest.raises(InvalidReply, match="with a chain of 11"):
        acm_copy.material(aws("acm"), ARN)


def test_replies_without_an_arn() -> None:
    """A result or an import without its ARN is InvalidReply: nothing is kept."""
    searched: dict[str, Any] = {"acm.SearchCertificates": lambda _: {"Results": [{}]}}
    imported: dict[str, Any] = {
        "acm.SearchCertificates": lambda _: {},
        "acm.ImportCertificate": lambda _: {},
    }
    for script, doing in ((searched, "acm:SearchCertificates"), (imported, "acm:ImportCertificate of shop/2")):
        kept: list[str] = []
        with pytest.raises(InvalidReply, match=f"{doing}: the reply has no CertificateArn"):
            acm_copy.ensure(ScriptedAws(script, region=REGION)("acm"), bundle(2), "", kept.append)
        assert kept == []


def test_every_page_is_searched() -> None:
    """A copy on the second page is found; others' on the first are passed over."""
    version = bundle(2)
    tags = {
        OTHER_ARN: [{"Key": "perennial:managed", "Value": "other"}],
        ARN: [{"Key": "perennial:managed", "Value": "shop"}],
    }
    aws = ScriptedAws(
        {
            "acm.SearchCertificates": pages("Results", [{"CertificateArn": OTHER_ARN}], [{"CertificateArn": ARN}]),
            "acm.GetCertificate": lambda _: {"Certificate": version.certificate_pem},
            "acm.ListTagsForCertificate": lambda request: {"Tags": tags[request["CertificateArn"]]},
        },
        region=REGION,
    )
    assert acm_copy.known(aws("acm"), version, "") == ARN
    asked = aws.made("acm.SearchCertificates")[0]["FilterStatement"]
    assert asked == {"Filter": {"X509AttributeFilter": {"SerialNumber": "03:ea"}}}


def test_a_copy_that_is_deleted_while_it_is_looked_at() -> None:
    """Found, and gone before its tags are read: there is none."""
    version = bundle(2)
    aws = ScriptedAws(
        {
            "acm.SearchCertificates": lambda _: {"Results": [{"CertificateArn": ARN}]},
            "acm.GetCertificate": lambda _: {"Certificate": version.certificate_pem},
            "acm.ListTagsForCertificate": refuse("ResourceNotFoundException"),
        },
        region=REGION,
    )
    assert acm_copy.known(aws("acm"), version, "") is None


def test_only_those_that_end_with_the_version_are_read() -> None:
    """Without SearchCertificates all key types are listed, and only what ends when the version does is read."""
    version = bundle(2)
    ends = version.certificate.not_after
    summaries = [{"CertificateArn": OTHER_ARN, "NotAfter": NOW}, {"CertificateArn": ARN, "NotAfter": ends}]
    aws = ScriptedAws(
        {
            "acm.SearchCertificates": refuse("UnknownOperationException"),
            "acm.ListCertificates": lambda _: {"CertificateSummaryList": summaries},
            "acm.GetCertificate": lambda _: {"Certificate": version.certificate_pem},
            "acm.ListTagsForCertificate": lambda _: {"Tags": [{"Key": "perennial:managed", "Value": "shop"}]},
        },
        region=REGION,
    )
    assert acm_copy.known(aws("acm"), version, "") == ARN
    assert [each["CertificateArn"] for each in aws.made("acm.GetCertificate")] == [ARN]
    (listed,) = aws.made("acm.ListCertificates")
    assert listed["CertificateKeyPairOrigins"] == ["CUSTOMER_PROVIDED"]
    assert len(listed["Includes"]["keyTypes"]) == len(acm_copy.KEYS)


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "RequestInProgressException"])
def test_no_certificate(code: str) -> None:
    """An ARN that is not there, or under which nothing was issued yet, has none; its material is not there."""
    acm = ScriptedAws({"acm.GetCertificate": refuse(code)}, region=REGION)("acm")
    assert acm_copy.certificate(acm, ARN) is None
    assert acm_copy.held(acm, ARN) == ""
    with pytest.raises(NotFound if code.startswith("Resource") else ServiceRefused, match="acm:GetCertificate"):
        acm_copy.material(acm, ARN)


# --- no key in any error ---


def _client_error(message: str, code: str = "ValidationException") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(answer, "ImportCertificate")


def _body(key: str) -> str:
    """A key's base64 without its lines."""
    return "".join(key.splitlines()[1:-1])


QUOTING: dict[str, Callable[[str], Exception]] = {
    "a parameter": lambda key: ParamValidationError(report=f"Invalid type for parameter PrivateKey, value: {key}"),
    "bytes": lambda key: ParamValidationError(report=f"Invalid type for parameter X, value: {key.encode()!r}"),
    "a value": lambda key: _client_error(f"1 error: Value '{key}' at 'privateKey' failed to satisfy constraint"),
    "PEM": lambda key: _client_error(f"cannot parse {key}"),
    "base64": lambda key: _client_error(f"cannot parse {_body(key)}"),
    "a line": lambda key: _client_error(f"cannot parse {_body(key)[-128:-64]} in the key"),
    "a quota's": lambda key: _client_error(f"Cannot import {_body(key)}", "LimitExceededException"),
    "a conflict's": lambda key: _client_error(f"Cannot import {_body(key)}", "ConflictException"),
    "the network's": lambda key: HTTPClientError(error=f"sent {key}"),
}


@pytest.mark.parametrize("quoting", QUOTING)
@pytest.mark.parametrize("more", [{}, {"CertificateArn": ARN}])
@pytest.mark.parametrize("kind", ["EC-256", "RSA-2048"])
def test_no_error_has_the_key(quoting: str, more: dict[str, str], kind: str) -> None:
    """Whatever AWS's error quotes: the key is neither in the message, nor in a cause or context, nor in the variables
    of the library's frames, and the message still names the action."""
    version = bundle(2, key=kind)
    known = Known.of([keys.from_pem(version.private_key)])

    class Acm:
        def import_certificate(self, **request: Any) -> Any:
            raise QUOTING[quoting](version.private_key)

    with pytest.raises(PerennialError, match="acm:ImportCertificate of shop/2") as raised:
        acm_copy.call_import(Acm(), version, **more)
    error = raised.value
    assert (error.__cause__, error.__context__) == (None, None)
    told = [str(error), repr(error), *map(str, error.args), *traceback.format_exception(error)]
    told += [repr(value) for each in _frames(error) for value in each.values()]
    assert not any(known.shown_in(text) for text in told)
    assert known.shown_in(str(QUOTING[quoting](version.private_key))), "the case quotes no key"


def _frames(error: BaseException) -> list[dict[str, Any]]:
    """The variables of the frames of the library that an error went through."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    found = [dict(each.f_locals) for each in frames if str(each.f_globals["__name__"]).startswith("perennial.")]
    assert found
    return found


def test_what_acm_says_is_told() -> None:
    """A message that quotes nothing stays as it is, with its ARNs."""
    message = f"The certificate {ARN} that was given has expired: its Not After date lies in the past."

    class Acm:
        def import_certificate(self, **request: Any) -> Any:
            raise _client_error(message)

    with pytest.raises(ServiceRefused) as raised:
        acm_copy.call_import(Acm(), bundle(2, managed="0123456789abcdef0123456789abcdef"))
    doing = "acm:ImportCertificate of 0123456789abcdef0123456789abcdef/2"
    assert str(raised.value) == f"{doing}: ValidationException: {message}"


def test_imports_are_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS takes one import a second for an account and region: clients wait before the second one goes out."""
    assert RATES["acm", "ImportCertificate"] == 1
    import boto3

    session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    slept: list[float] = []
    monkeypatch.setattr(sys.modules["perennial.clients"].time, "sleep", slept.append)
    events = Clients(session)("acm").meta.events
    for _ in range(3):
        events.emit("before-send.acm.ImportCertificate", request=None)
    assert slept[0] <= 1
    assert slept[2] > 1


# --- retiring ---

OLD = bundle(1)  # made once: its signature is another one each time


def superseded(version: Bundle, *placed: str, spared: tuple[str, ...] = (), ask: str = "") -> Superseded:
    return Superseded(bundle=version, ask=ask, placed=frozenset(placed), spared=frozenset(spared))


def test_retired_copies_are_deleted(account: Account) -> None:
    """The copy that was placed and one that nobody kept are deleted; of another version, and by others, none is. Every
    call is declared, and a repetition writes nothing."""
    old, new = bundle(1), bundle(2)
    placed = account.ensure(old)
    account.import_as_anybody(old, **{"perennial:managed": "shop"})
    others = {account.import_as_anybody(old), account.import_as_anybody(old, **{"perennial:managed": "other"})}
    account.placed = ""
    others.add(account.ensure(new))
    with watched(Calls()) as calls:
        assert acm_copy.retire(account.acm, superseded(old, placed)) == []
    assert set(account.held) == others
    assert calls.writes() == ["DeleteCertificate"] * 2
    assert {f"acm:{each}" for each in calls.names} <= set(acm_copy.RETIRES)
    with watched(Calls()) as calls:
        assert acm_copy.retire(account.acm, superseded(old, placed)) == []
    assert calls.writes() == []


def test_a_spared_copy_stays(account: Account) -> None:
    """What another version names is neither deleted nor told."""
    placed = account.ensure(OLD)
    assert acm_copy.retire(account.acm, superseded(OLD, placed, spared=(placed,))) == []
    assert set(account.held) == {placed}


def test_what_acm_issued_is_known_by_its_request(account: Account) -> None:
    """An ARN that ACM issued is deleted where it has the tag of the version's request, and told where it has not."""
    version = bundle(1)
    arn = account.import_as_anybody(version, **{"perennial:version": "a" * 32})
    issued = replace(version, arn=arn)
    for ask in ("", "b" * 32):
        (told,) = acm_copy.retire(account.acm, superseded(issued, arn, ask=ask))
        assert told.startswith(f"{arn} is a copy of shop/1, and its tag perennial:managed is not shop")
    assert acm_copy.retire(account.acm, superseded(issued, arn, ask="a" * 32)) == []
    assert set(account.held) == set()


def retiring(**answers: Any) -> Any:
    """ACM with one copy of a version that may be deleted, as far as `answers` do not say otherwise."""
    script = {
        "acm.SearchCertificates": lambda request: {"Results": [{"CertificateArn": ARN}]},
        "acm.GetCertificate": lambda request: {"Certificate": OLD.certificate_pem},
        "acm.ListTagsForCertificate": lambda request: {"Tags": [{"Key": "perennial:managed", "Value": "shop"}]},
        "acm.DescribeCertificate": lambda request: {"Certificate": {"InUseBy": []}},
        "acm.DeleteCertificate": lambda request: {},
    } | {f"acm.{operation}": answer for operation, answer in answers.items()}
    return ScriptedAws(script)("acm", REGION)


@pytest.mark.parametrize(
    "operation", ["GetCertificate", "ListTagsForCertificate", "DescribeCertificate", "DeleteCertificate"]
)
def test_a_copy_that_goes_meanwhile(operation: str) -> None:
    """Deleted by somebody else before any of the questions: it counts as deleted."""
    gone = refuse("ResourceNotFoundException")
    with watched(Calls()) as calls:
        assert acm_copy.retire(retiring(**{operation: gone}), superseded(OLD)) == []
    assert calls.names[-1] == operation


def test_users_are_told_in_bounds() -> None:
    """At most five users are named, each in bounds; ACM's refusal without a name is told too."""
    users = [
        f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/{'w' * 300}/{each}" for each in range(9)
    ]
    acm = retiring(DescribeCertificate=lambda request: {"Certificate": {"InUseBy": users}})
    (told,) = acm_copy.retire(acm, superseded(OLD))
    assert told.endswith(" and 4 more: let that refer to a newer certificate")
    assert told.count("loadbalancer/app") == 5
    assert len(told) < 1_500
    acm = retiring(DeleteCertificate=refuse("ResourceInUseException"))
    (told,) = acm_copy.retire(acm, superseded(OLD))
    assert "in use by something that ACM does not name" in told


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("AccessDeniedException", AccessDenied),
        ("ThrottlingException", Throttled),
        ("ConflictException", ConcurrentChange),
        ("ValidationException", ServiceRefused),
    ],
)
def test_errors_of_deleting(answer: str, kind: type[PerennialError]) -> None:
    """Every other answer is raised, and names the action."""
    with pytest.raises(kind, match="acm:DeleteCertificate of"):
        acm_copy.retire(retiring(DeleteCertificate=refuse(answer)), superseded(OLD))
