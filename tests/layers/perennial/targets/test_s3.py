"""An object without the key: put on the condition that it is what was read, and brought back with all that it had."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.s3.models import s3_backends

from bundles import bundle
from perennial import certificate_text
from perennial.certificate import ders, fingerprint
from perennial.errors import (
    AccessDenied,
    ChangedMeanwhile,
    ConcurrentChange,
    NotFit,
    NotFound,
    ServiceRefused,
    Unavailable,
)
from perennial.targets import s3
from perennial.targets.interface import Bundle, Reach, TargetSettings
from perennial.targets.s3 import S3Object
from scripted_aws import ScriptedAws, refuse
from target_conformance import Calls, Run, Served, Stand, TargetConformance, refused, watched

ACCOUNT, REGION = "123456789012", "eu-west-1"
FOREIGN = bundle(9)
NUMBERS = count(1)


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield


def clients(service: str, region: str = REGION) -> Any:
    return boto3.client(service, region_name=region)


class ObjectStand(Stand):
    """An object with somebody's text."""

    kind = "s3"
    gets_key = False

    def __init__(self, content: str = "fullchain", *, versioned: bool = True, **more: Any) -> None:
        super().__init__()
        self.content, self.key = content, "tls/shop chain.pem"
        self.bucket = f"trust-{next(NUMBERS)}"
        self.aws = clients("s3")
        self.aws.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        if versioned:
            self.aws.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.put(certificate_text.text(content, self.earlier), **more)

    @property
    def settings(self) -> TargetSettings:
        fields = {"bucket": self.bucket, "key": self.key, "content": self.content}
        return TargetSettings(kind=self.kind, name="trust", fields=fields)

    @property
    def reach(self) -> Reach:
        return Reach(account=ACCOUNT, region=REGION, clients=clients)

    @property
    def object(self) -> Any:
        """As the backend has it."""
        return s3_backends[ACCOUNT]["aws"].get_object(self.bucket, self.key)

    @property
    def body(self) -> bytes:
        found: bytes = self.object.value
        return found

    def served(self) -> Served | None:
        return served(self.body.decode(), self.content) if self.object else None

    def expected(self, version: Bundle) -> Served:
        return served(certificate_text.text(self.content, version), self.content)

    def put(self, body: str | bytes, **more: Any) -> None:
        self.aws.put_object(Bucket=self.bucket, Key=self.key, Body=body, **more)

    def interfere(self) -> None:
        self.put(certificate_text.text(self.content, FOREIGN))

    def interfere_directly(self) -> None:
        """Past boto3, so that it can happen amid a call."""
        body = certificate_text.text(self.content, FOREIGN).encode()
        s3_backends[ACCOUNT]["aws"].put_object(self.bucket, self.key, body)

    def interfered(self) -> bool:
        return self.body == certificate_text.text(self.content, FOREIGN).encode()

    def remove(self) -> None:
        """The bucket is deleted, with all that is in it."""
        for each in self.aws.list_object_versions(Bucket=self.bucket).get("Versions", ()):
            self.aws.delete_object(Bucket=self.bucket, Key=self.key, VersionId=each["VersionId"])
        self.aws.delete_bucket(Bucket=self.bucket)


def served(text: str, content: str) -> Served:
    """Read from the text itself; for a chain, the leaf is what its comment says."""
    found = [fingerprint(each) for each in ders(text)]
    if content == "chain":
        return Served(text.partition("\n")[0].rpartition(" ")[2], "", tuple(found))
    return Served(found[0], "", tuple(found[1:]))


class TestVersioned(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return ObjectStand


class TestUnversioned(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: ObjectStand(versioned=False)


class TestCertificate(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: ObjectStand("certificate")


class TestChain(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: ObjectStand("chain", versioned=False)


class TestTagged(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: ObjectStand(Tagging="team=pki&of=shop")


def run(place: ObjectStand) -> Run:
    found = Run(place)
    found.look()
    return found


def refusals(place: ObjectStand) -> list[str]:
    target = place.target()
    return target.refusals(target.look(), place.new, place.earlier)


def before(operation: str, do: Callable[[], None]) -> Calls:
    """Something happens right before a call is sent, once."""
    calls = Calls()
    told = calls.call
    left = [do]

    def call(name: str, send: Callable[[], Any]) -> Any:
        if name == operation and left:
            left.pop()()
        return told(name, send)

    calls.call = call  # type: ignore[method-assign]
    return calls


# --- conditions ---


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("step", ["activate", "restore"])
def test_a_change_in_the_last_moment_is_kept(step: str, versioned: bool) -> None:
    """Between read and write someone else puts: S3 refuses ours, and theirs stays."""
    place = ObjectStand(versioned=versioned)
    steps = run(place)
    if step == "restore":
        steps.activate()
    with (
        watched(before("PutObject", place.interfere_directly)) as calls,
        pytest.raises(ChangedMeanwhile, match="what they put is there"),
    ):
        getattr(steps, step)()
    assert calls.writes() == ["PutObject"]
    assert place.interfered()


def test_deleted_in_the_last_moment() -> None:
    """What somebody deletes is not put there again."""
    place = ObjectStand(versioned=False)
    steps = run(place)
    delete = lambda: s3_backends[ACCOUNT]["aws"].delete_object(place.bucket, place.key)  # noqa: E731
    with watched(before("PutObject", delete)), pytest.raises(ChangedMeanwhile):
        steps.activate()
    assert place.object is None
    with pytest.raises(ChangedMeanwhile):
        steps.activate()
    with pytest.raises(ChangedMeanwhile):
        steps.restore()


def test_the_sdk_repeats_a_put_whose_answer_was_lost() -> None:
    """The repetition's condition fails, as the object is ours now: that is the success it is."""
    place = ObjectStand()
    steps = run(place)

    def twice(name: str, send: Callable[[], Any]) -> Any:
        send()
        return send()

    with watched(Calls(at=2, act=twice)) as calls:
        steps.activate()
    assert calls.names == ["GetObject", "PutObject", "GetObject"]
    assert place.served() == place.expected(place.new)


def test_a_conflict_is_tried_again() -> None:
    """S3 answers 409 to writes at the same time; where the object is as it was, a repetition is right."""
    place = ObjectStand()
    steps = run(place)
    conflict = refused("ConditionalRequestConflict", 409)
    with watched(Calls(at=2, act=conflict)), pytest.raises(ConcurrentChange, match="try again"):
        steps.activate()
    steps.activate()
    assert place.served() == place.expected(place.new)


# --- where nothing was ---


def empty(*, versioned: bool) -> ObjectStand:
    place = ObjectStand(versioned=versioned)
    for each in place.aws.list_object_versions(Bucket=place.bucket).get("Versions", ()):
        place.aws.delete_object(Bucket=place.bucket, Key=place.key, VersionId=each["VersionId"])
    return place


@pytest.mark.parametrize("versioned", [True, False])
def test_an_object_is_made_and_unmade(versioned: bool) -> None:
    """Nothing was there: it is made, and restoring leaves nothing, twice the same."""
    place = empty(versioned=versioned)
    steps = run(place)
    assert steps.found.fingerprint == ""
    assert place.target().refusals(steps.found, place.new, None) == []
    steps.activate()
    steps.activate()
    assert place.served() == place.expected(place.new)
    assert place.object.metadata.get("Content-Type") == "application/x-pem-file"
    steps.restore()
    assert place.served() is None
    with watched(Calls()) as calls:
        steps.restore()
    assert calls.writes() == []


def test_someone_makes_it_first() -> None:
    """Nothing was there, and then someone's: theirs stays, whenever it came."""
    place = empty(versioned=True)
    steps = run(place)
    with watched(before("PutObject", place.interfere_directly)), pytest.raises(ChangedMeanwhile):
        steps.activate()
    assert place.interfered()
    with pytest.raises(ChangedMeanwhile):
        steps.activate()
    with pytest.raises(ChangedMeanwhile):
        steps.restore()
    assert place.interfered()


def test_someone_replaces_it_before_it_is_unmade() -> None:
    """A delete has the condition too."""
    place = empty(versioned=False)
    steps = run(place)
    steps.activate()
    with watched(before("DeleteObject", place.interfere_directly)) as calls, pytest.raises(ChangedMeanwhile):
        steps.restore()
    assert calls.writes() == ["DeleteObject"]
    assert place.interfered()


# --- what stays ---


def test_attributes_stay() -> None:
    """Content type, headers, metadata, tags, storage class and encryption are the consumer's, there and back."""
    place = ObjectStand(
        ContentType="text/plain",
        CacheControl="max-age=60",
        ContentDisposition="attachment",
        ContentLanguage="en",
        Expires=datetime(2030, 1, 1, tzinfo=UTC),
        Metadata={"owner": "shop"},
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="alias/own",
        BucketKeyEnabled=True,
        StorageClass="STANDARD_IA",
        Tagging="team=pki&of=the%20shop",
    )
    told = attributes(place)
    steps = run(place)
    steps.activate()
    assert attributes(place) == told
    steps.restore()
    assert attributes(place) == told
    assert told["CacheControl"] == "max-age=60"
    assert told["tags"] == [("of", "the shop"), ("team", "pki")]


def attributes(place: ObjectStand) -> dict[str, Any]:
    where = {"Bucket": place.bucket, "Key": place.key}
    told = place.aws.get_object(**where)
    tags = place.aws.get_object_tagging(**where)["TagSet"]
    kept = {name: told.get(name) for name in s3._KEPT}
    return {**kept, "tags": sorted((each["Key"], each["Value"]) for each in tags)}


def test_any_content_of_a_versioned_bucket_comes_back() -> None:
    """It comes from the version itself: the state has no copy of it."""
    place = ObjectStand()
    place.put(b"\xff\x00 of the consumer")
    steps = run(place)
    assert set(json.loads(steps.found.state)) == {"etag", "version", "sha256"}
    assert refusals(place) == []
    steps.activate()
    steps.restore()
    assert place.body == b"\xff\x00 of the consumer"


def test_the_version_that_was_found_is_gone() -> None:
    """A lifecycle rule took it: Perennial's own copy is taken where it is the same, else it says so."""
    place = ObjectStand()
    steps = run(place)
    steps.activate()
    version = json.loads(steps.found.state)["version"]
    place.aws.delete_object(Bucket=place.bucket, Key=place.key, VersionId=version)
    target = place.target()
    for earlier in (None, FOREIGN):
        with pytest.raises(NotFound, match="put the earlier content there yourself"):
            target.restore(steps.found, place.new, "", earlier)
    assert place.served() == place.expected(place.new)
    steps.restore()
    assert place.served() == place.expected(place.earlier)


def test_without_versions_the_text_is_kept() -> None:
    """Certificates and comments of any kind come back byte by byte."""
    place = ObjectStand(versioned=False)
    text = "# of ours, é\r\n\r\n" + place.earlier.chain_pem.replace("\n", "\r\n") + place.earlier.certificate_pem
    place.put(text.encode())
    steps = run(place)
    assert refusals(place) == []
    steps.activate()
    steps.restore()
    assert place.body == text.encode()


def test_a_suspended_bucket_is_one_without_versions() -> None:
    """Its version "null" is replaced by each put: the text is kept."""
    place = ObjectStand()
    place.aws.put_bucket_versioning(Bucket=place.bucket, VersioningConfiguration={"Status": "Suspended"})
    place.put(certificate_text.text(place.content, place.earlier))
    aws = place.aws.get_object(Bucket=place.bucket, Key=place.key)
    steps = run(place)
    assert ("text" in json.loads(steps.found.state)) is (aws.get("VersionId", "null") == "null")
    steps.activate()
    steps.restore()
    assert place.served() == place.expected(place.earlier)


def test_the_version_null_is_no_version() -> None:
    """S3 says "null" where versioning is suspended, or came after the object; moto says nothing then."""
    place = ObjectStand()
    text = certificate_text.text(place.content, place.earlier)

    class Answering:
        def get_object(self, **_: Any) -> dict[str, Any]:
            body = text.encode()
            return {"ContentLength": len(body), "ETag": '"x"', "VersionId": "null", "Body": io.BytesIO(body)}

    target: Any = place.target()
    target._s3 = Answering()
    assert json.loads(target.look().state)["text"] == text


# --- refusals ---


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"\xff\x00", "has no versioning"),
        (b"not certificates", "has no versioning"),
        (bundle(1).certificate_pem.encode() + b"password", "has no versioning"),
        (bundle(1).certificate_pem.encode() + b"#" + b"x" * 102_400, "at most 102400 bytes"),
        (bundle(1).private_key.encode(), "holds a private key"),
    ],
)
def test_what_cannot_be_kept_is_refused(body: bytes, told: str) -> None:
    """Without versions, what is no public text could not come back; nothing of it is in the state."""
    place = ObjectStand(versioned=False)
    place.put(body)
    steps = run(place)
    assert "text" not in json.loads(steps.found.state)
    assert any(told in each for each in refusals(place))
    with watched(Calls()) as calls, pytest.raises(NotFit, match=told):
        steps.activate()
    assert calls.writes() == []
    assert place.body == body


def test_a_private_key_is_refused_also_with_versions() -> None:
    """Who expects a key there would lose it."""
    place = ObjectStand()
    place.put(place.earlier.certificate_pem + place.earlier.private_key)
    assert any("holds a private key" in each for each in refusals(place))
    assert "PRIVATE" not in run(place).found.state


def test_a_compressed_object_is_refused() -> None:
    """Readers would decompress our text."""
    assert any("'gzip'" in each for each in refusals(ObjectStand(ContentEncoding="gzip")))


def test_grants_of_an_acl_are_refused() -> None:
    """A put would take them away."""
    place = ObjectStand(ACL="public-read")
    assert any("the bucket's policy" in each for each in refusals(place))


def test_a_large_object_is_not_read() -> None:
    """A key that was mistyped may name gigabytes."""
    place = ObjectStand()
    place.put(b"x" * (s3.MAX_READ + 1))
    with pytest.raises(ServiceRefused, match="1048577 bytes"):
        place.target().look()


def test_a_version_without_chain_has_no_chain() -> None:
    """Of a self-signed certificate, there is nothing to put."""
    place = ObjectStand("chain")
    place.new = replace(place.new, chain=())
    assert any("use the content certificate" in each for each in refusals(place))
    with pytest.raises(NotFit, match="use the content certificate"):
        run(place).activate()


def test_a_bucket_that_is_nowhere() -> None:
    """With the action."""
    place = ObjectStand()
    target: Any = S3Object(replace(place.settings, fields={**place.settings.fields, "bucket": "nowhere"}), place.reach)
    with pytest.raises(NotFound, match=r"s3:GetObject of s3://nowhere/tls"):
        target.look()


def test_the_bucket_is_the_accounts_own() -> None:
    """Every request says whose the bucket must be: a bucket of that name in other hands gets nothing."""
    aws = ScriptedAws({"s3.GetObject": refuse("AccessDenied", status=403)})
    place = ObjectStand()
    target = S3Object(place.settings, Reach(account=ACCOUNT, region=REGION, clients=lambda service: aws(service)))
    with pytest.raises(AccessDenied, match=r"s3:GetObject of s3://.*name the bucket among"):
        target.look()
    assert aws.requests[0][1]["ExpectedBucketOwner"] == ACCOUNT


def test_a_body_that_breaks_off_is_no_content() -> None:
    """A connection that ends amid the body is an error that passes, not a shorter object."""
    from botocore.exceptions import ResponseStreamingError

    class Broken:
        def read(self) -> bytes:
            raise ResponseStreamingError(error="reset")

    place = ObjectStand()
    target: Any = place.target()

    class Answering:
        def get_object(self, **_: Any) -> dict[str, Any]:
            return {"ContentLength": 10, "ETag": '"x"', "Body": Broken()}

    target._s3 = Answering()
    with pytest.raises(Unavailable, match="s3:GetObject"):
        target.look()


def test_the_stand_is_strict() -> None:
    """The conditions that these tests lean on are kept by the backend: put and delete, with and without an object."""
    place = ObjectStand()
    where = {"Bucket": place.bucket, "Key": place.key}
    for act, more in (
        (place.aws.put_object, {"IfMatch": '"other"', "Body": b""}),
        (place.aws.put_object, {"IfNoneMatch": "*", "Body": b""}),
        (place.aws.delete_object, {"IfMatch": '"other"'}),
    ):
        with pytest.raises(ClientError, match="PreconditionFailed"):
            act(**where, **more)
    with pytest.raises(ClientError, match="NoSuchKey"):
        place.aws.put_object(Bucket=place.bucket, Key="none", Body=b"", IfMatch='"x"')
