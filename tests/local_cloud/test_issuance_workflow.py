"""The deployed Issuance, in the local cloud: from Pebble, ACM PCA and ACM, interrupted in every state, and with nothing
secret in anything that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from deployed import HUB_ACCOUNT, MEMBER_ACCOUNT, until
from issuing_hub import ACM_ZONE, DELEGATED, FILES, MEMBER_ZONE, NO_ZONE, ZONE, IssuingHub, Version, issuing_hub
from test_private_keys import Listeners
from written_texts import Search

from key_search import Known
from real_acme import need_pebble, signing_request

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("issuing")]

STATES = ("Prepare", "Advance", "Wait", "Store", "Clean up")  # that take time
FUNCTIONS = ("Prepare", "Advance", "Store")  # whose failure Give up records
MOST_TRANSITIONS = 30


@pytest.fixture(scope="module")
def issuing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IssuingHub]:
    """The deployed hub, which takes half a minute to make."""
    need_pebble()
    with issuing_hub(tmp_path_factory.mktemp("issuing") / "cloud") as made:
        yield made


@pytest.fixture(scope="module")
def search(issuing: IssuingHub) -> Search:
    """Listens from before the first certificate is requested."""
    return Search(issuing, Listeners.attached(issuing.hub))


@pytest.fixture(autouse=True)
def _nothing_is_left(issuing: IssuingHub, search: Search) -> Iterator[None]:
    """After every test no challenge is shown, nothing secret stands in anything that was written, and no execution
    took thirty state transitions."""
    before = set(issuing.executions())
    yield
    assert issuing.left() == []
    assert search.of_new() == {}
    taken = {each: len(issuing.states(each)) for each in issuing.executions() if each not in before}
    assert {each: number for each, number in taken.items() if number >= MOST_TRANSITIONS} == {}


def private_key(issuing: IssuingHub, version: Version) -> Any:
    """The key that is stored beside a version's certificate and chain, all in one pending secret version."""
    held = issuing.secret(version)
    stored = x509.load_pem_x509_certificates((held["certificate"] + held["chain"]).encode())
    assert stored == x509.load_pem_x509_certificates(version.chain.encode())
    assert held["stages"] == "AWSPENDING"
    key = load_pem_private_key(held["private_key"].encode(), None)
    assert key.public_key() == stored[0].public_key()
    return key


def is_the_one(issuing: IssuingHub, version: Version, before: int) -> bool:
    """Whether a version is issued, by the only certificate that Pebble issued since then, for the only key there is."""
    managed, _, _ = version.reference.partition("/")
    assert (version.state, len(issuing.serials()) - before) == ("issued", 1), version.message
    assert issuing.serials()[-1] == version.leaf.serial_number
    assert private_key(issuing, version)
    return len(issuing.keys_of(managed)) == 1


def entered(issuing: IssuingHub, execution: str, state: str) -> None:
    """Wait until an execution has entered a state."""
    until(lambda: state in issuing.states(execution), state, pause=0.005)


# --- every issuer ---


@pytest.mark.parametrize(
    ("managed", "names"),
    [
        ("single", (f"www.{ZONE}",)),
        ("wildcard", (f"w.{ZONE}", f"*.{ZONE}")),
        ("ten", tuple(f"n{number}.{ZONE}" for number in range(10))),
    ],
)
def test_acme_with_dns(issuing: IssuingHub, managed: str, names: tuple[str, ...]) -> None:
    """One certificate for a name, a wildcard and ten names, whose key is in one secret version with it."""
    before = issuing.serials()
    version = issuing.issue(managed, "web", *names)
    assert (version.state, version.names, version.due_at) == ("issued", set(names), "")
    assert isinstance(private_key(issuing, version), ec.EllipticCurvePrivateKey)
    assert issuing.serials() == [*before, version.leaf.serial_number]


def test_acme_with_a_delegated_name(issuing: IssuingHub) -> None:
    """The challenge of a name whose `_acme-challenge` is a CNAME is shown in the zone of the member's account, with the
    role there, and nowhere else."""
    reference = issuing.request("pay", "web", DELEGATED)
    (execution,) = issuing.tick()
    until(lambda: issuing.records(accounts=[MEMBER_ACCOUNT]) == [f"pay.{MEMBER_ZONE}"], "the member's TXT record")
    assert issuing.records(accounts=[HUB_ACCOUNT]) == []
    issuing.hub.finish(execution)
    assert issuing.version(reference).names == {DELEGATED}


def test_acme_with_http(issuing: IssuingHub) -> None:
    """Pebble fetches the file through the load balancer's rule from the deployed function; no record is made."""
    reference = issuing.request("file", "file", f"www.{FILES}")
    (execution,) = issuing.tick()
    until(issuing.challenge_files, "the file", pause=0.01)
    assert issuing.records() == []
    issuing.hub.finish(execution)
    version = issuing.version(reference)
    assert (version.state, version.names) == ("issued", {f"www.{FILES}"}), version.message
    assert private_key(issuing, version)


def test_acm_pca(issuing: IssuingHub) -> None:
    """A private certificate with an EC key of 384 bits for thirty days. The fake takes as long as AWS, and waits are a
    twentieth, so it is asked more often than AWS would be."""
    version = issuing.issue("orders", "service", "orders.svc.internal")
    key = private_key(issuing, version)
    assert (version.state, key.curve.name, version.names) == ("issued", "secp384r1", {"orders.svc.internal"})
    lasts = version.leaf.not_valid_after_utc - version.leaf.not_valid_before_utc
    assert 30 <= lasts.days <= 31
    assert version.arn.startswith("arn:aws:acm-pca:")


def test_acm_keeps_what_it_makes(issuing: IssuingHub) -> None:
    """A public certificate of ACM is validated through its CNAME record, which stays for renewals, and has an ARN and
    no secret."""
    version = issuing.issue("kept", "kept", f"kept.{ACM_ZONE}")
    assert (version.state, version.names, version.secret) == ("issued", {f"kept.{ACM_ZONE}"}, "")
    assert version.arn.startswith("arn:aws:acm:")
    assert any(name.endswith(f".kept.{ACM_ZONE}") for name in issuing.records("CNAME"))


def test_acm_exports_where_the_profile_says(issuing: IssuingHub) -> None:
    """The key of an exportable certificate of ACM is in the secret, unencrypted, as any other."""
    version = issuing.issue("exported", "exported", f"exported.{ACM_ZONE}")
    assert (version.state, version.names) == ("issued", {f"exported.{ACM_ZONE}"}), version.message
    assert version.arn.startswith("arn:aws:acm:")
    assert private_key(issuing, version)


# --- whose key it is ---


def test_the_requester_keeps_the_key(issuing: IssuingHub, tmp_path: Path) -> None:
    """The certificate is for the key of the CSR that was sent; the secret has the certificate and no key."""
    key, csr = signing_request(f"own.{ZONE}")
    (tmp_path / "own.csr").write_bytes(csr)
    version = issuing.issue("own", "own-key", f"own.{ZONE}", csr=tmp_path / "own.csr")
    assert version.state == "issued", version.message
    assert version.leaf.public_key() == key.public_key()
    assert issuing.secret(version).get("private_key") is None


def test_kms_keeps_the_key(issuing: IssuingHub) -> None:
    """The certificate is for a key of KMS, which signed the CSR; the secret has the certificate and no key."""
    version = issuing.issue("kms", "in-kms", f"kms.{ZONE}")
    assert version.state == "issued", version.message
    public = issuing.client("kms").get_public_key(KeyId=version.key_arn)["PublicKey"]
    own = version.leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert own == public
    assert issuing.secret(version).get("private_key") is None


# --- when it fails ---


def test_a_name_without_a_zone(issuing: IssuingHub) -> None:
    """The execution fails as NotIssued with the reason, and the version says what to do."""
    version = issuing.issue("zoneless", "web", NO_ZONE)
    assert (version.state, version.reason, version.due_at) == ("failed", "not-found", "")
    assert f"no public hosted zone for _acme-challenge.{NO_ZONE}" in version.message
    assert "add the account of its zone to zone_accounts" in version.message
    ended = issuing.hub.finish(issuing.executions()[0])
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "NotIssued", version.message)


def test_policy_is_asked_before_anything(issuing: IssuingHub) -> None:
    """What is not allowed is refused with every violation, and no version is made."""
    names = ("--name", "orders.svc.internal", "--name", "www.example.com")
    arguments = ("--certificate-profile", "service", "--owner", "team", "--days", "3000", "--key", "RSA-2048", *names)
    said = issuing.command("managed", "request", "refused", *arguments, expect=2)
    assert all(part in said for part in ("www.example.com", "RSA-2048", "3000"))
    assert not [each for each in issuing.hub.items() if each["pk"] == "MANAGED#refused"]


def test_an_issuer_that_is_down(issuing: IssuingHub) -> None:
    """Where the CA does not answer, the version is postponed with a time; when that comes and the CA is back, it is
    issued, once."""
    before = len(issuing.serials())
    with issuing.way.down():
        version = issuing.issue("down", "web", f"down.{ZONE}")
    assert (version.state, version.reason, version.attempts) == ("prepared", "unavailable", 1)
    assert "It is tried again at" in version.message
    assert version.due_at
    states = issuing.states(issuing.executions()[0])
    assert states[-2:] == ["How did it end?", "Postponed"]
    assert issuing.tick() == []  # it is not due yet
    settled = issuing.settle("down/1")
    assert is_the_one(issuing, settled, before)
    assert (settled.reason, settled.message) == ("", "")


@pytest.fixture
def without_role(issuing: IssuingHub) -> Iterator[Callable[[], None]]:
    """The member's account without the solver's role; gives what makes it again."""
    iam, name = issuing.client("iam", MEMBER_ACCOUNT), "PerennialSolver"
    role = iam.get_role(RoleName=name)["Role"]
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)
    issuing.hub.crash()  # sessions of the role are used for half an hour

    def again() -> None:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]))

    yield again
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        again()


def test_a_role_that_is_missing(issuing: IssuingHub, without_role: Callable[[], None]) -> None:
    """Without the role in the account of the zones the version fails, access denied, and stays due until its challenges
    are known to be gone: Clean up, which needs the role too, is tried again and ends when the role is back."""
    reference = issuing.request("roleless", "web", f"roleless.{ZONE}")
    (execution,) = issuing.tick()
    ended = issuing.hub.finish(execution)
    version = issuing.version(reference)
    without_role()
    assert (version.state, version.reason) == ("failed", "access-denied")
    assert "sts:AssumeRole" in version.message or "PerennialSolver" in version.message
    assert (ended["status"], ended["error"], bool(version.due_at)) == ("FAILED", "AccessDenied", True)
    assert issuing.settle(reference).state == "failed"


# --- when it is interrupted ---


def test_every_state_is_interrupted(issuing: IssuingHub) -> None:
    """The states that the tests below stop are all of the deployed machine that take time, but for Give up."""
    machine = issuing.client("stepfunctions").describe_state_machine(stateMachineArn=issuing.hub.outputs["IssuanceArn"])
    states = json.loads(machine["definition"])["States"]
    taking = {name for name, state in states.items() if state["Type"] in ("Task", "Wait")}
    assert taking == {*STATES, "Give up"}


@pytest.mark.parametrize("state", STATES)
def test_stopped_in_a_state(issuing: IssuingHub, state: str) -> None:
    """An execution that is stopped in a state, while the state's function may still run, is started again by the tick
    when the version is due, and ends with one certificate."""
    name, before = f"stopped-{state.lower().replace(' ', '-')}", len(issuing.serials())
    reference = issuing.request(name, "web", f"{name}.{ZONE}")
    (execution,) = issuing.tick()
    entered(issuing, execution, state)
    status = issuing.stop(execution)
    assert status == "ABORTED" or state == STATES[-1]  # so short before the end that a stop may come too late
    version = issuing.settle(reference)
    issuing.quiet(*issuing.executions()[:2])
    assert is_the_one(issuing, version, before)
    assert version == issuing.version(reference)  # what the stopped one had begun has changed nothing since


@pytest.mark.parametrize("state", FUNCTIONS)
def test_functions_crash(issuing: IssuingHub, state: str) -> None:
    """The processes of all functions end while a state's function runs; what follows ends with one certificate."""
    name, before = f"crashed-{state.lower()}", len(issuing.serials())
    reference = issuing.request(name, "web", f"{name}.{ZONE}")
    (execution,) = issuing.tick()
    entered(issuing, execution, state)
    assert issuing.hub.crash() > 0
    issuing.hub.finish(execution)
    assert is_the_one(issuing, issuing.settle(reference), before)


def test_two_executions_of_one_version(issuing: IssuingHub) -> None:
    """Two executions at once, each as slow as the other, end with one certificate and one key."""
    before = len(issuing.serials())
    reference = issuing.request("twice", "web", f"a.twice.{ZONE}", f"b.twice.{ZONE}")
    both = [issuing.start(reference, f"twice-{number}") for number in range(2)]
    issuing.quiet(*both)
    assert is_the_one(issuing, issuing.settle(reference), before)


# --- the search itself ---


def test_a_planted_key_is_found_everywhere(issuing: IssuingHub, search: Search) -> None:
    """A key that is put into each place that is searched after every test is found in each of them."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    hub, known = issuing.hub, Known.of([key])
    hub.client("s3").put_object(Bucket=hub.outputs["BucketName"], Key="planted", Body=text.encode())
    hub.client("dynamodb").put_item(
        TableName=hub.outputs["TableName"],
        Item={"pk": {"S": "PLANTED"}, "sk": {"S": "PLANTED"}, "content": {"B": text.encode()}},
    )
    event = {"Source": "planted", "DetailType": "planted", "Detail": json.dumps({"key": text})}
    hub.client("events").put_events(Entries=[event, {**event, "EventBusName": "perennial"}])
    hub.client("sns").publish(TopicArn=hub.outputs["TopicArn"], Message=text)
    hub.finish(issuing.start(text, "planted"))
    issuing.said.append(text)
    found: dict[str, Any] = {}

    def everywhere() -> bool:
        written = search.written()
        found.update(search.places(known, written))
        return set(found) >= set(written) - {"records"}

    until(everywhere, "the key in every place", seconds=20, pause=0.5)
