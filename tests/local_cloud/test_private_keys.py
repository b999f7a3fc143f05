"""A private key lies everywhere that Discovery reads, and is looked for everywhere that Perennial writes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from deployed import (
    ACCOUNTS,
    HUB_ACCOUNT,
    OTHER_REGION,
    REGION,
    Hub,
    import_certificate,
    leaf,
    listener,
    marked,
    until,
)

from certificates import Built, pem

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("hub")]

WINDOW = 24  # so many characters of the key in a row are the key
COMMAND = Path(sys.prefix) / "bin" / "perennial"
PLACES = tuple((account, region) for account in ACCOUNTS for region in (REGION, OTHER_REGION))
FAULTS = (  # calls that fail in the second run
    ("acm", "GetCertificate", "AccessDeniedException", 1, 400),
    ("acm", "SearchCertificates", "ThrottlingException", 1, 400),
    ("acm", "SearchCertificates", "InternalFailure", 7, 505),  # the SDK does not repeat this status, the workflow does
    ("elbv2", "DescribeLoadBalancers", "AccessDenied", 1, 403),
    ("iam", "GetServerCertificate", "ServiceFailure", 7, 505),
    ("rolesanywhere", "ListTrustAnchors", "AccessDeniedException", 1, 403),
    ("securityhub", "BatchImportFindings", "InvalidInputException", 1, 400),
)

# --- the key, in every spelling ---


@cache
def private_part() -> bytes:
    """The DER of the key from its private exponent on; what stands before it, everyone may know."""
    key = marked().key
    der: bytes = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    exponent = key.private_numbers().d
    return der[der.index(exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")) :]


def spellings() -> Iterator[bytes]:
    """The private part as it may stand in a text, in a binary, or in something that was encoded once more."""
    secret, numbers = private_part(), marked().key.private_numbers()
    yield secret
    yield from (secret.hex().encode(), secret.hex().upper().encode())
    yield from (str(number).encode() for number in (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1))
    for shift in range(3):  # where base64 of a longer text may begin
        once = base64.b64encode(secret[shift : shift + (len(secret) - shift) // 3 * 3])
        yield once
        yield from (base64.b64encode(once[further : -further or None]) for further in range(3))
    for body in (pkcs8(), pkcs1()):
        lines = body.split(b"-----")[2]
        inner = lines[len(lines) // 2 :]
        yield from (base64.b64encode(inner[further:]) for further in range(3))


@cache
def windows() -> frozenset[bytes]:
    """Every piece of a spelling that is long enough to give the key away."""
    found = (each[start : start + WINDOW] for each in spellings() for start in range(len(each) - WINDOW + 1))
    return frozenset(found)


def shows_key(text: bytes | str) -> bool:
    """Whether any piece of the key is in a text, also across line breaks, written-out ones too."""
    data = text.encode() if isinstance(text, str) else text
    joined = b"".join(data.replace(rb"\\n", b"").replace(rb"\n", b"").replace(rb"\r", b"").split())
    known = windows()
    return any(each[at : at + WINDOW] in known for each in {data, joined} for at in range(len(each) - WINDOW + 1))


def pkcs8() -> bytes:
    return marked().key_pem.encode()


def pkcs1() -> bytes:
    data: bytes = marked().key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return data


def der() -> bytes:
    data: bytes = marked().key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return data


def mislabelled(data: bytes) -> bytes:
    """A key under the label of a certificate, as a wrong copy and paste makes it."""
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE-----\n"


def keyed(name: str, days: float = 20) -> Built:
    """A certificate of the marked key."""
    return leaf(name, days, key=marked().key)


def secrets() -> Mapping[str, bytes | str]:
    """The key in every way in which a secret holds one, and in some in which it should not."""
    held = keyed("secret.example.com")
    text, key = held.pem, pkcs8().decode()
    traditional = marked().key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    fields = {"certificate": text, "private_key": key}
    return {
        "json": json.dumps(fields),
        "nested": json.dumps({"tls": [{"crt": text, "key": pkcs1().decode()}]}),
        "escaped": text.replace("\n", "\\n") + key.replace("\n", "\\n"),
        "pem": key + text,
        "pkcs1": text + pkcs1().decode(),
        "base64": base64.b64encode((key + text).encode()).decode(),
        "base64-fields": json.dumps({name: base64.b64encode(each.encode()).decode() for name, each in fields.items()}),
        "binary": (key + text).encode(),
        "der": der(),
        "der-pkcs1": traditional,
        "der-base64": base64.b64encode(der()).decode(),
        "pkcs12": pkcs12.serialize_key_and_certificates(b"shop", held.key, held.x509, None, NoEncryption()),
        "pkcs12-locked": pkcs12.serialize_key_and_certificates(
            b"shop", held.key, held.x509, None, BestAvailableEncryption(b"x")
        ),
        "only-key": key,
        "broken-json": '{"private_key": ' + json.dumps(key),
        "broken-block": "-----BEGIN CERTIFICATE-----\n" + key + text,
        "cut-off": text + key[: len(key) * 3 // 4],
        "mislabelled": mislabelled(der()).decode(),
        "mislabelled-pkcs1": mislabelled(traditional).decode(),
        "behind-certificate": mislabelled(held.der + der()).decode(),
        "in-certificate-der": held.der + der(),
        "number": json.dumps({"d": marked().key.private_numbers().d, "certificate": text}),
        "name": json.dumps({key: text}),
    }


# --- where it is planted ---


def plant(hub: Hub) -> list[str]:
    """Put the key into every source; returns where it now lies."""
    planted = [f"secret {name}" for name in plant_secrets(hub)]
    for account in ACCOUNTS:
        acm = hub.client("acm", account)
        arns = [import_certificate(acm, keyed(f"acm{number}.example.com")) for number in range(2)]
        listener(hub.client("elbv2", account), f"keys-{account}", arns[0])
        planted += arns
    own = keyed("iam.example.com")
    hub.client("iam").upload_server_certificate(
        ServerCertificateName="keys", CertificateBody=own.pem, PrivateKey=own.key_pem
    )
    return [*planted, "IAM", *plant_trust_stores(hub), f"server {hub.endpoint}"]


def plant_secrets(hub: Hub) -> list[str]:
    client = hub.client("secretsmanager")
    for name, value in secrets().items():
        kind = "SecretString" if isinstance(value, str) else "SecretBinary"
        client.create_secret(Name=f"tls/keys-{name}", **{kind: value})
    return list(secrets())


def plant_trust_stores(hub: Hub) -> list[str]:
    """Bundles with the key beside a CA. A service that refuses such a bundle cannot hold it."""
    ca = leaf("Trusted CA", 900, ca=True)
    bundles = {"beside": pem(ca).encode() + pkcs8(), "mislabelled": pem(ca).encode() + mislabelled(der())}
    s3 = hub.client("s3")
    s3.create_bucket(Bucket="keys-bundles", CreateBucketConfiguration={"LocationConstraint": REGION})
    planted = []
    for name, bundle in bundles.items():
        s3.put_object(Bucket="keys-bundles", Key=name, Body=bundle)
        in_s3 = {"CaCertificatesBundleS3Bucket": "keys-bundles", "CaCertificatesBundleS3Key": name}
        anchor = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": bundle.decode()}}
        if _accepted(hub.client("elbv2").create_trust_store, Name=name, **in_s3):
            planted.append(f"trust store {name}")
        if _accepted(hub.client("rolesanywhere").create_trust_anchor, name=name, enabled=True, source=anchor):
            planted.append(f"trust anchor {name}")
    return planted


def _accepted(create: Callable[..., Any], **request: Any) -> bool:
    try:
        create(**request)
    except ClientError:
        return False
    return True


# --- where it is looked for ---


@dataclass(frozen=True)
class Listeners:
    """Queues that get every event of both buses and every message to people."""

    hub: Hub
    urls: tuple[str, ...]

    @classmethod
    def attached(cls, hub: Hub) -> Listeners:
        """Listen to the default bus, Perennial's bus and its topic."""
        queues = {name: _queue(hub, f"keys-{name}") for name in ("default", "perennial", "topic")}
        for bus in ("default", "perennial"):
            rule = {"Name": "keys", "EventBusName": bus}
            pattern = json.dumps({"source": [{"prefix": ""}]})
            hub.client("events").put_rule(**rule, EventPattern=pattern)
            target = {"Id": "queue", "Arn": queues[bus][1]}
            hub.client("events").put_targets(Rule="keys", EventBusName=bus, Targets=[target])
        hub.client("sns").subscribe(TopicArn=hub.outputs["TopicArn"], Protocol="sqs", Endpoint=queues["topic"][1])
        return cls(hub, tuple(url for url, _ in queues.values()))

    def heard(self) -> dict[str, list[str]]:
        """Everything that was said since the last call, by queue."""
        return {url.rpartition("/")[2]: _drained(self.hub.client("sqs"), url) for url in self.urls}


def _queue(hub: Hub, name: str) -> tuple[str, str]:
    url = hub.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url, f"arn:aws:sqs:{REGION}:{HUB_ACCOUNT}:{name}"


def _drained(client: Any, url: str) -> list[str]:
    texts: list[str] = []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        texts += [each["Body"] for each in messages]
        for each in messages:
            client.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return texts


def logs(hub: Hub) -> list[str]:
    """Every line of every log group, and what the local cloud itself printed."""
    lines = [hub.cloud.log.read_text(errors="replace")]
    for place in PLACES:
        client = hub.client("logs", *place)
        for group in client.describe_log_groups()["logGroups"]:
            pages = client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
            lines += [event["message"] for page in pages for event in page["events"]]
    return lines


def workflows(hub: Hub) -> list[str]:
    """Input, output and history of every execution of both machines and of their children."""
    client, texts = hub.client("stepfunctions"), []
    machines = [hub.outputs[name] for name in ("DiscoveryArn", "AssessmentArn")]
    tops = [each["executionArn"] for machine in machines for each in _executions(client, stateMachineArn=machine)]
    children = [each["executionArn"] for top in tops for each in hub.children(top)]
    for execution in (*tops, *children):
        texts.append(_text(client.describe_execution(executionArn=execution)))
        texts.append(_text(hub.history(execution)))
    return texts


def _executions(client: Any, **of: str) -> list[dict[str, Any]]:
    return [each for page in client.get_paginator("list_executions").paginate(**of) for each in page["executions"]]


def _text(value: Any) -> str:
    return json.dumps(value, default=str)


def items(hub: Hub) -> list[bytes]:
    """Every value of every item, binary ones as they are."""
    values = [value for item in hub.items() for value in item.values()]
    return [value if isinstance(value, bytes) else str(value).encode() for value in values]


def everything(hub: Hub, listeners: Listeners) -> dict[str, list[Any]]:
    """All that Perennial wrote, said or kept, by where."""
    return {
        "logs": logs(hub),
        **listeners.heard(),
        "table": items(hub),
        "manifests": list(hub.objects().values()),
        "workflows": workflows(hub),
        "Security Hub": [_text(each) for place in PLACES for each in hub.in_security_hub(*place)],
    }


def scan(hub: Hub, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`perennial scan --full` of everything, run as a person would."""
    hosts, organisation = folder / "hosts.txt", folder / "perennial.toml"
    hosts.write_text(hub.endpoint)
    organisation.write_text('[discovery]\nsecret_prefixes = ["tls/"]\n')
    files = ("--endpoints", str(hosts), "--config", str(organisation))
    accounts = ("--accounts", ",".join(ACCOUNTS), "--region", REGION)
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [COMMAND, "scan", "--full", *accounts, *files, *options],
        env={**own, **hub.cloud.env(HUB_ACCOUNT, REGION)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# --- the tests ---


@pytest.fixture(scope="module")
def listeners(hub: Hub) -> Listeners:
    """An estate full of the key, Discovery run over it twice, the second time against failing services."""
    hub.clear()
    made = Listeners.attached(hub)
    planted = plant(hub)
    print(f"planted in {len(planted)} places: {', '.join(planted)}")
    regional = [f"{account}/{REGION}" for account in ACCOUNTS]
    sources = ("acm", "elbv2", "secretsmanager", "trust_stores")
    scopes = [f"{place}/{source}" for place in regional for source in sources]
    scopes += [f"{HUB_ACCOUNT}/aws-global/{source}" for source in ("iam", "endpoints")]
    hub.execute(*scopes)
    assert {each["status"] for each in hub.scopes().values()} == {"complete"}
    for fault in FAULTS:
        hub.inject(*fault)
    import_certificate(hub.client("acm"), keyed("late.example.com", 5))
    hub.execute(*scopes)
    assert {each["status"] for each in hub.scopes().values()} == {"complete", "incomplete"}
    return made


def test_search_would_find_the_key_in_every_planted_form() -> None:
    """The search finds the key in every planted secret but the locked one, encoded once more too, and in no
    certificate."""
    forms = {name: value if isinstance(value, bytes) else value.encode() for name, value in secrets().items()}
    missed = [name for name, value in forms.items() if not shows_key(value)]
    missed_encoded = [name for name, value in forms.items() if not shows_key(base64.b64encode(value))]
    missed_hex = [name for name in ("der", "der-pkcs1", "in-certificate-der") if not shows_key(forms[name].hex())]
    assert (missed, missed_hex) == (["pkcs12-locked"], [])
    assert set(missed_encoded) <= {"pkcs12-locked", "number", "base64", "base64-fields", "der-base64"}  # too deep
    own = keyed("secret.example.com")
    assert not any(shows_key(each) for each in (own.pem, own.der, own.der.hex(), base64.b64encode(own.pem.encode())))


def test_key_is_in_nothing_that_perennial_writes(hub: Hub, listeners: Listeners) -> None:
    """No log, event, message, item, manifest, workflow history or finding shows a piece of a key that lies in every
    source; and each of these was searched, not empty."""
    until(lambda: len(hub.in_security_hub()) > 0, "findings")
    written = everything(hub, listeners)
    print({where: f"{len(texts)} texts, {sum(map(len, texts))} characters" for where, texts in written.items()})
    assert [where for where, texts in written.items() if not texts] == []
    shown = {where: [text[:200] for text in texts if shows_key(text)] for where, texts in written.items()}
    assert {where: texts for where, texts in shown.items() if texts} == {}


def test_key_is_in_no_output_of_the_command(hub: Hub, listeners: Listeners, tmp_path: Path) -> None:
    """`perennial scan --full` shows no piece of the key in its report, its progress or its errors."""
    hub.inject("acm", "GetCertificate", "AccessDeniedException")
    done = scan(hub, tmp_path, "--json")
    assert len(json.loads(done.stdout)["findings"]) > 10, done.stderr
    assert [name for name, text in (("stdout", done.stdout), ("stderr", done.stderr)) if shows_key(text)] == []
