"""`perennial managed`: what it lists and shows, what it requests and refuses, and how it waits."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certificates import build
from command import Run
from inventory_table import create_table
from perennial.certificate_request import CertificateRequest
from perennial.cli import managed
from perennial.inventory.records import VersionRecord, VersionState
from perennial.inventory.store import Inventory

CONFIGURATION = """
[issuers.ca]
kind = "acme"
directory = "https://ca.example/directory"

[profiles.web]
issuer = "ca"
keys = ["EC-256", "RSA-2048"]
names = [".example.com", "*.example.com"]

[profiles.own-key]
issuer = "ca"
key_home = "requester"
names = [".example.com"]

[policy.owners]
shop = [".example.com", "*.example.com"]
"""
NOW = datetime.now(UTC).replace(microsecond=0)
ROOT = build("Root", ca=True)
LEAF = build("www.example.com", issuer=ROOT)
ASKED = ("--certificate-profile", "web", "--owner", "shop")
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:perennial/certificates/shop-a1b2c3"
COLUMNS = (
    "managed,version,state,names,profile,issuer,owner,key,secret,secret_version,arn,fingerprint,requested_at,"
    "issued_at,revoked_at,seconds,attempts,due_at,reason,message"
)
Next = Callable[[], object]


@pytest.fixture
def deployed(run: Run) -> Iterator[Inventory]:
    """A deployment without managed certificates, as its parameters name it."""
    create_table(boto3.client("dynamodb"), "perennial-inventory")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="settings", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="settings", Key="file.toml", Body=CONFIGURATION.encode())
    parameters = {"table": "perennial-inventory", "settings": "settings/file.toml"}
    for name, value in parameters.items():
        boto3.client("ssm").put_parameter(Name=f"/perennial/{name}", Value=value, Type="String")
    yield Inventory("perennial-inventory", region="eu-west-1")


def requested(inventory: Inventory, name: str = "shop", requested_at: datetime = NOW) -> VersionRecord:
    """A version as it is requested."""
    wanted = CertificateRequest(names=("www.example.com", "*.example.com"), profile="web", owner="shop")
    return inventory.request_version(name, wanted, "ca", requested_at)


def issued(inventory: Inventory, record: VersionRecord, seconds: float = 75) -> VersionRecord:
    """The same, issued."""
    ended = replace(
        record,
        state=VersionState.ISSUED,
        key="EC-256",
        chain=(LEAF.der, ROOT.der),
        fingerprint=LEAF.fingerprint,
        secret=SECRET,
        secret_version="0" * 64,
        issued_at=record.requested_at + timedelta(seconds=seconds),
    )
    return inventory.save_version(ended, None)


def failed(inventory: Inventory, record: VersionRecord, **more: Any) -> VersionRecord:
    """The same, failed."""
    ended = replace(record, state=VersionState.FAILED, reason="not-found", message="no zone; add one", **more)
    return inventory.save_version(ended, None)


def estate(inventory: Inventory) -> None:
    """One certificate that was issued after a failure, one that waits, and one that failed."""
    failed(inventory, requested(inventory))
    issued(inventory, requested(inventory))
    waiting = replace(requested(inventory, "waits"), reason="rate-limited", message="Later.", attempts=2)
    inventory.save_version(waiting, NOW + timedelta(hours=3))
    failed(inventory, requested(inventory, "zoneless"))


# --- list ---


def test_list_has_the_latest_versions(run: Run, deployed: Inventory) -> None:
    """JSON has one record for each managed certificate, with every column."""
    estate(deployed)
    listed = json.loads(run("managed", "list", "--json").stdout)
    assert [(each["managed"], each["version"], each["state"]) for each in listed] == [
        ("shop", 2, "issued"),
        ("waits", 1, "requested"),
        ("zoneless", 1, "failed"),
    ]
    stamp = NOW.strftime("%Y-%m-%dT%H:%M:%S")
    shop, waits, _ = listed
    assert ",".join(shop) == COLUMNS
    assert shop["requested_at"].startswith(stamp)
    assert (shop["seconds"], shop["due_at"], shop["reason"], shop["arn"]) == (75.0, None, None, None)
    assert (shop["names"], shop["secret"], shop["fingerprint"]) == (
        ["www.example.com", "*.example.com"],
        SECRET,
        LEAF.fingerprint,
    )
    assert (waits["attempts"], waits["reason"], waits["issued_at"], waits["seconds"]) == (2, "rate-limited", None, None)
    assert waits["due_at"] > stamp


def test_list_as_csv(run: Run, deployed: Inventory) -> None:
    """CSV has the same rows under the same names, several values in one cell."""
    estate(deployed)
    said = run("managed", "list", "--output", "csv").stdout
    assert said.splitlines()[0] == COLUMNS
    rows = list(csv.DictReader(io.StringIO(said)))
    assert [each["managed"] for each in rows] == ["shop", "waits", "zoneless"]
    assert (rows[0]["names"], rows[0]["seconds"]) == ("www.example.com *.example.com", "75.0")


def test_list_as_a_table(run: Run, deployed: Inventory) -> None:
    """People see name, state, how long it took and why it failed, and how to see more."""
    estate(deployed)
    result = run("managed", "list")
    shop, waits, zoneless = (line.split() for line in result.stdout.splitlines() if " ca " in line)
    assert (shop[:4], shop[-2:]) == (["shop", "2", "issued", "ca"], ["75", "s"])
    assert (waits[0], waits[-1]) == ("waits", "rate-limited")
    assert (zoneless[0], zoneless[-1]) == ("zoneless", "not-found")
    assert "perennial managed show NAME" in result.stderr


@pytest.mark.parametrize(("output", "stdout"), [("table", ""), ("json", "[\n]"), ("csv", COLUMNS)])
def test_list_of_nothing(run: Run, deployed: Inventory, output: str, stdout: str) -> None:
    """Where nothing was requested yet, the output is empty and well-formed, and people are told."""
    result = run("managed", "list", "--output", output)
    assert result.stdout.strip() == stdout
    assert ("No certificate was requested yet." in result.stderr) == (output == "table")


# --- show ---


def test_show_has_every_version_the_newest_first(run: Run, deployed: Inventory) -> None:
    """JSON has the versions with their chains; each certificate by fingerprint, names and end."""
    estate(deployed)
    latest, first = json.loads(run("managed", "show", "shop", "--json").stdout)
    assert (latest["version"], first["version"]) == (2, 1)
    assert [each["fingerprint"] for each in latest["chain"]] == [LEAF.fingerprint, ROOT.fingerprint]
    assert [each["subject"] for each in latest["chain"]] == ["CN=www.example.com", "CN=Root"]
    assert [each["issuer"] for each in latest["chain"]] == ["CN=Root", "CN=Root"]
    assert all(each["not_after"] for each in latest["chain"])
    assert (first["chain"], first["reason"], first["message"]) == ([], "not-found", "no zone; add one")


def test_show_for_people(run: Run, deployed: Inventory) -> None:
    """Text says where the key is, what it took, why it failed and when it is looked at again."""
    estate(deployed)
    text = run("managed", "show", "shop").stdout
    assert text.index("shop, version 2: issued") < text.index("shop, version 1: failed")
    for part in (SECRET, "EC-256", "75 s", "www.example.com, *.example.com", "CN=www.example.com, until", "by CN=Root"):
        assert part in text
    assert "no zone; add one" in text
    waiting = run("managed", "show", "waits").stdout
    assert f"{NOW + timedelta(hours=3):%Y-%m-%d %H:%M} UTC" in waiting
    assert "Took" not in waiting


def test_what_is_revoked_is_shown_so(run: Run, deployed: Inventory) -> None:
    """People read that it is revoked, and when; machines get the time beside its state. What is retired is that."""
    record = issued(deployed, requested(deployed))
    record = deployed.save_version(replace(record, revoked_at=NOW), None)
    assert "shop, version 1: revoked" in (text := run("managed", "show", "shop").stdout)
    assert f"{NOW:%Y-%m-%d %H:%M:%S} UTC" in text.partition("Revoked")[2]
    assert "revoked" in run("managed", "list").stdout
    (found,) = json.loads(run("managed", "show", "shop", "--json").stdout)
    assert (found["state"], found["revoked_at"][:19]) == ("issued", NOW.strftime("%Y-%m-%dT%H:%M:%S"))
    deployed.save_version(replace(record, state=VersionState.RETIRED), None)
    assert "shop, version 1: retired" in run("managed", "show", "shop").stdout


def test_show_of_a_certificate_that_cannot_be_read(run: Run, deployed: Inventory) -> None:
    """What an issuer sent and nobody can read is shown as far as it can be."""
    deployed.save_version(replace(requested(deployed), chain=(b"no certificate",)), NOW)
    assert "version 1" in run("managed", "show", "shop").stdout
    ((link,),) = (each["chain"] for each in json.loads(run("managed", "show", "shop", "--json").stdout))
    assert len(link["fingerprint"]) == 64


@pytest.mark.parametrize("name", ["none", "x" * 300, "\x1b[2J", "a/b", ""])
def test_show_of_what_there_is_not(run: Run, deployed: Inventory, name: str) -> None:
    """A name that nothing has is said in one line, without its control characters."""
    said = run("managed", "show", name, expect=2).stderr
    assert said.startswith("perennial: there is no managed certificate")
    assert len(said.splitlines()) == 1
    assert "\x1b" not in said


def test_control_characters_are_not_printed(run: Run, deployed: Inventory) -> None:
    """A message that quotes a hostile server clears nobody's terminal, in any form of output."""
    record = requested(deployed)
    deployed.save_version(replace(record, reason="refused", message="CA says \x1b[2J\nboo"), NOW)
    for arguments in (("list",), ("list", "--output", "csv"), ("list", "--json"), ("show", "shop")):
        assert "\x1b" not in run("managed", *arguments).stdout


# --- request ---


def test_request(run: Run, deployed: Inventory) -> None:
    """A request is kept as the next version, with canonical names, due at once; nothing is printed but what is next."""
    names = ("--name", "WWW.Example.com.", "--name", "bücher.example.com")
    result = run("managed", "request", "shop", *ASKED, *names, "--key", "RSA-2048", "--days", "30")
    assert result.stdout == ""
    assert result.stderr == "Requested version 1. How it goes on: perennial managed show shop\n"
    (record,) = deployed.versions("shop")
    assert record.request == CertificateRequest(
        names=("www.example.com", "xn--bcher-kva.example.com"),
        profile="web",
        owner="shop",
        key="RSA-2048",
        validity_days=30,
    )
    assert (record.state, record.issuer) == (VersionState.REQUESTED, "ca")
    assert record.due_at and abs(record.due_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_request_of_the_next_version(run: Run, deployed: Inventory) -> None:
    """After a version has ended the next one may be requested; before, none."""
    failed(deployed, requested(deployed))
    assert "Requested version 2" in run("managed", "request", "shop", *ASKED, "--name", "www.example.com").stderr
    said = run("managed", "request", "shop", *ASKED, "--name", "www.example.com", expect=2).stderr
    assert "version shop/2 is under way (requested); request again when it ended" in said
    assert len(deployed.versions("shop")) == 2


def test_everything_that_is_not_allowed_is_said_at_once(run: Run, deployed: Inventory) -> None:
    """Each violation stands in the message with what would be accepted, and no version is made."""
    names = ("--name", "www.example.org", "--name", "*.example.com")
    said = run("managed", "request", "shop", *ASKED, *names, "--days", "900", "--key", "EC-384", expect=2).stderr
    for part in ("www.example.org", "*.example.com", "900", "EC-384", "EC-256"):
        assert part in said
    assert all(line.startswith("perennial: ") for line in said.splitlines())
    assert list(deployed.managed()) == []


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "no profile of this name": (
        ("shop", "--certificate-profile", "x", "--owner", "shop", "--name", "a.example.com"),
        "there is no profile 'x'; perennial.toml has own-key, web",
    ),
    "an owner that nobody knows": (
        ("shop", "--certificate-profile", "web", "--owner", "me", "--name", "a.example.com"),
        "me",
    ),
    "a name that cannot name a managed certificate": (
        ("Shop/1", *ASKED, "--name", "a.example.com"),
        "cannot name a managed certificate; use a-z, 0-9, dots and hyphens",
    ),
    "a name that is none": (("shop", *ASKED, "--name", "a b"), "perennial: "),
    "the same name twice": (("shop", *ASKED, "--name", "a.example.com", "--name", "A.example.com"), "each name once"),
    "no name": (("shop", *ASKED), "Missing option '--name'"),
    "no profile": (("shop", "--owner", "shop", "--name", "a.example.com"), "Missing option '--certificate-profile'"),
    "no owner": (("shop", "--certificate-profile", "web", "--name", "a.example.com"), "Missing option '--owner'"),
    "no managed certificate": ((*ASKED, "--name", "a.example.com"), "Missing argument 'MANAGED'"),
    "no days": (("shop", *ASKED, "--name", "a.example.com", "--days", "0"), "0 is not in the range"),
    "too many days": (("shop", *ASKED, "--name", "a.example.com", "--days", "4000"), "4000 is not in the range"),
    "a key that there is not": (("shop", *ASKED, "--name", "a.example.com", "--key", "RSA-1024"), "RSA-1024"),
    "a CSR that is not there": (("shop", *ASKED, "--name", "a.example.com", "--csr", "/no.csr"), "'/no.csr'"),
    "a table that there is not": (("shop", *ASKED, "--name", "a.example.com", "--table", "no"), "no table no"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_requested(run: Run, deployed: Inventory, arguments: tuple[str, ...], said: str) -> None:
    """One line or one a violation says what is wrong; exit code 2, and nothing is kept."""
    result = run("managed", "request", *arguments, expect=2)
    assert said in result.stderr
    assert result.stderr.startswith("perennial: ")
    assert (result.stdout, list(deployed.managed())) == ("", [])


@pytest.mark.parametrize("missing", ["table", "settings"])
def test_request_without_a_deployment(run: Run, deployed: Inventory, missing: str) -> None:
    """A parameter that is missing names itself."""
    boto3.client("ssm").delete_parameter(Name=f"/perennial/{missing}")
    said = run("managed", "request", "shop", *ASKED, "--name", "a.example.com", expect=2).stderr
    assert f"there is no deployment of Perennial in eu-west-1 (no parameter /perennial/{missing})" in said


@pytest.mark.parametrize("command", [("list",), ("show", "shop")])
def test_reading_without_a_deployment(run: Run, command: tuple[str, ...]) -> None:
    """Without a deployment, reading says so as well."""
    assert "no parameter /perennial/table" in run("managed", *command, expect=2).stderr


@pytest.mark.parametrize("body", [b"[issuers", b"\xff"])
def test_request_with_settings_that_cannot_be_read(run: Run, deployed: Inventory, body: bytes) -> None:
    """Settings that were broken after the deployment are reported, not raised."""
    boto3.client("s3").put_object(Bucket="settings", Key="file.toml", Body=body)
    result = run("managed", "request", "shop", *ASKED, "--name", "a.example.com", expect=2)
    assert result.stderr.startswith("perennial: ")


def test_request_without_settings(run: Run, deployed: Inventory) -> None:
    """Settings that are gone are reported in one line."""
    boto3.client("s3").delete_object(Bucket="settings", Key="file.toml")
    said = run("managed", "request", "shop", *ASKED, "--name", "a.example.com", expect=2).stderr
    assert len(said.splitlines()) == 1
    assert "GetObject" in said


# --- a CSR of one's own ---


def request_of(*names: str) -> x509.CertificateSigningRequest:
    """A CSR for these names."""
    general = [x509.DNSName(name) for name in names]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def send(run: Run, path: Path, content: bytes, *more: str, profile: str = "own-key", expect: int = 0) -> str:
    """What is said about a request with this CSR."""
    path.write_bytes(content)
    names = more or ("--name", "own.example.com")
    arguments = ("--certificate-profile", profile, "--owner", "shop", *names, "--csr", str(path))
    return run("managed", "request", "own", *arguments, expect=expect).stderr


@pytest.mark.parametrize(("encoding", "before"), [(Encoding.DER, b""), (Encoding.PEM, b""), (Encoding.PEM, b"notes\n")])
def test_a_csr_is_kept(run: Run, deployed: Inventory, tmp_path: Path, encoding: Encoding, before: bytes) -> None:
    """A CSR in DER or PEM is taken, and what is kept of it is the DER, without the text around it."""
    made = request_of("own.example.com")
    assert "Requested version 1" in send(run, tmp_path / "own.csr", before + made.public_bytes(encoding))
    (record,) = deployed.versions("own")
    assert record.request.csr == made.public_bytes(Encoding.DER)


def test_a_csr_from_standard_input(run: Run, deployed: Inventory) -> None:
    """`--csr -` reads standard input."""
    content = request_of("own.example.com").public_bytes(Encoding.PEM)
    arguments = ("--certificate-profile", "own-key", "--owner", "shop", "--name", "own.example.com", "--csr", "-")
    run("managed", "request", "own", *arguments, stdin=content)
    assert len(deployed.versions("own")) == 1


WRONG_CSRS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "csr"),
    "no CSR": (b"hello", "csr"),
    "a certificate": (LEAF.pem.encode(), "csr"),
    "a private key": (LEAF.key_pem.encode(), "csr"),
    "a CSR and its key": (
        request_of("own.example.com").public_bytes(Encoding.PEM) + LEAF.key_pem.encode(),
        "replace that key, send no key",
    ),
    "too large": (b"x" * 40_000, "csr"),
    "other names": (request_of("other.example.com").public_bytes(Encoding.DER), "other.example.com"),
    "a signature that does not fit": (
        request_of("own.example.com").public_bytes(Encoding.DER)[:-1] + b"\0",
        "csr",
    ),
}


@pytest.mark.parametrize(("content", "said"), WRONG_CSRS.values(), ids=WRONG_CSRS)
def test_a_csr_that_cannot_be_used(run: Run, deployed: Inventory, tmp_path: Path, content: bytes, said: str) -> None:
    """What is no usable CSR for the request is refused, and nothing of it is printed or kept."""
    told = send(run, tmp_path / "own.csr", content, expect=2)
    assert said in told
    assert list(deployed.managed()) == []
    body = base64.b64encode(content).decode()
    assert LEAF.key_pem.splitlines()[1] not in told
    assert not body or body[:40] not in told


def test_a_csr_goes_with_profiles_for_it(run: Run, deployed: Inventory, tmp_path: Path) -> None:
    """A profile whose key Perennial makes takes no CSR; one whose requester keeps the key needs one."""
    made = request_of("own.example.com").public_bytes(Encoding.DER)
    assert "CSR" in send(run, tmp_path / "own.csr", made, profile="web", expect=2)
    arguments = ("--certificate-profile", "own-key", "--owner", "shop", "--name", "own.example.com")
    assert "CSR" in run("managed", "request", "own", *arguments, expect=2).stderr
    assert list(deployed.managed()) == []


# --- waiting ---


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Lets these things happen while the command sleeps, one at a time; gives the seconds that it slept."""

    def script(*happens: Next) -> list[float]:
        slept: list[float] = []
        steps = iter(happens)

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            next(steps)()

        monkeypatch.setattr(time, "sleep", sleep)
        return slept

    return script


def ask(run: Run, expect: int) -> Any:
    return run("managed", "request", "shop", *ASKED, "--name", "www.example.com", "--wait", expect=expect)


def current(deployed: Inventory) -> VersionRecord:
    return deployed.version("shop/1")


def test_waiting_until_it_is_issued(run: Run, deployed: Inventory, meanwhile: Callable[..., list[float]]) -> None:
    """Each change is said once, the end is shown in full, and the exit code is 0."""

    def prepare() -> None:
        deployed.save_version(replace(current(deployed), state=VersionState.PREPARED), NOW)

    def postpone() -> None:
        waiting = replace(current(deployed), reason="unavailable", message="The CA is down. It is tried again.")
        deployed.save_version(waiting, NOW)

    slept = meanwhile(prepare, lambda: None, postpone, lambda: issued(deployed, current(deployed)))
    result = ask(run, expect=0)
    assert result.stderr.splitlines() == [
        "requested",
        "prepared",
        "prepared: The CA is down. It is tried again.",
    ]
    assert "shop, version 1: issued" in result.stdout
    assert slept == [managed.PAUSE] * 4


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"arn": "arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/1/certificate/2"},
        {"arn": "arn:aws:acm:eu-west-1:123456789012:certificate/1", "chain": (LEAF.der,)},
    ],
    ids=["before it was issued", "ACM PCA issued something else", "ACM issued something else"],
)
def test_waiting_until_it_has_failed(
    run: Run, deployed: Inventory, meanwhile: Callable[..., list[float]], more: dict[str, Any]
) -> None:
    """A version that failed ends with exit code 2 and its message, also where an issuer had issued something."""
    meanwhile(lambda: failed(deployed, current(deployed), **more))
    result = ask(run, expect=2)
    assert "shop, version 1: failed" in result.stdout
    assert "no zone; add one" in result.stdout


def test_waiting_for_a_certificate_that_acm_keeps(
    run: Run, deployed: Inventory, meanwhile: Callable[..., list[float]]
) -> None:
    """A version without a secret, whose certificate ACM keeps, is issued too."""

    def kept() -> None:
        arn = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
        ended = replace(current(deployed), state=VersionState.ISSUED, arn=arn, chain=(LEAF.der,), issued_at=NOW)
        deployed.save_version(ended, None)

    meanwhile(kept)
    assert "arn:aws:acm:" in ask(run, expect=0).stdout


def test_interrupted_while_waiting(run: Run, deployed: Inventory, meanwhile: Callable[..., list[float]]) -> None:
    """Control-C ends the waiting, not the issuance."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    meanwhile(interrupt)
    assert "interrupted" in ask(run, expect=130).stderr
    assert current(deployed).state is VersionState.REQUESTED


def test_help(run: Run) -> None:
    """Each command says what it does, with an example."""
    assert all(name in run("managed", "--help").stdout for name in ("list", "show", "request"))
    for name in ("list", "show", "request"):
        assert f"perennial managed {name}" in run("managed", name, "--help").stdout
