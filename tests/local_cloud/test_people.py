"""People at the deployed API: who asks, who approves and who may not, over TLS at the local cloud's edge with real
signatures and tokens, and what the workflows make of it, to the certificate that serves and the one that is revoked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from deployed import HUB_ACCOUNT, REGION, import_certificate, leaf, until
from deploying_hub import ZONE, careless, visit
from people_hub import OWNER, Document, PeopleHub, people_hub
from written_texts import held

from local_cloud import people as people_of
from local_cloud.api_calls import Reply, call, send, signed
from tokens_made import assembled, sign

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("people")]

PROBLEM = {"type", "title", "status", "detail", "instance", "violations"}
CHECK = "expiry.approaching"
OF_WORKFLOWS = ("table", "executions")  # where a workflow's token is kept, and where AWS shows it itself


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeopleHub]:
    """The deployed hub. After all tests no private key, no person's token and no workflow's token stands in anything
    that was logged or told, and keys stand nowhere outside Secrets Manager."""
    with people_hub(tmp_path_factory.mktemp("people") / "cloud") as made:
        yield made
        search = made.deploying.search
        written = search.written()
        assert search.places(held(made.hub), written) == {}
        waiting = [each["content"] for each in made.hub.items() if each.get("kind") == "request-token"]
        assert waiting and made.used_tokens
        assert places(made.used_tokens, written) == []
        assert places(waiting, {where: each for where, each in written.items() if where not in OF_WORKFLOWS}) == []


def places(secrets: list[str], written: Mapping[str, list[bytes | str]]) -> list[str]:
    """Where one of the secrets stands in what was written."""
    texts = {
        where: [each.encode() if isinstance(each, str) else each for each in found] for where, found in written.items()
    }
    return [where for where, found in texts.items() if any(one.encode() in each for each in found for one in secrets)]


def declared(name: str, **more: Any) -> dict[str, Any]:
    """What a requester sends for a certificate of the shop's."""
    return {"names": [f"{name}.{ZONE}"], "profile": "web", "owner": OWNER, **more}


def create(people: PeopleHub, who: str, name: str, **more: Any) -> Any:
    """The change request for a new managed certificate."""
    content = {"name": name, **declared(name, **more), "reason": "a new shop"}
    return people.told(who, "POST", "managed", content, status=202)


def approved(people: PeopleHub, who: str, asked: Document) -> Any:
    """The request after its workflow waited, somebody approved what they saw, and the workflow did it."""
    people.approvals()
    people.told_at(asked["id"])
    assert people.decide(who, "approval", asked, digest=asked["digest"])["state"] == "approved"
    return people.ended(asked["id"])


def happened(people: PeopleHub, request_id: str) -> list[tuple[str, str, str]]:
    """Who did what to a request, the first first."""
    events = people.trail(kind="request", subject=request_id)
    return [(each["principal"].rpartition("/")[2], each["action"], each["outcome"]) for each in reversed(events)]


# --- the whole life ---


def test_the_life_of_a_certificate(people: PeopleHub) -> None:
    """Asked for, it waits in the workflow; the asker's own approval is refused, another's of what was seen is applied.
    The tick issues and deploys it; a renewal needs nobody; a revocation that somebody else approves is the CA's."""
    site = people.deploying.site("life")
    asked = create(people, "rolf", "life", targets=[site.target()])
    assert asked["state"] == "waiting"
    (execution,) = people.approvals()
    people.told_at(asked["id"])
    assert people.hub.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "RUNNING"
    people.decide("rolf", "approval", asked, digest=asked["digest"], status=403)
    people.decide("amir", "approval", asked, digest="0" * 64, status=412)
    assert people.told("aude", "GET", "managed/life", status=404)["status"] == 404
    assert people.decide("amir", "approval", asked, digest=asked["digest"])["state"] == "approved"
    assert people.hub.finish(execution)["status"] == "SUCCEEDED"
    assert people.request(asked["id"])["state"] == "done"
    assert happened(people, asked["id"]) == [
        ("rolf", "request.create", "done"),
        ("perennial", "approval.ask", "done"),
        ("rolf", "approval.approve", "refused"),
        ("amir", "approval.approve", "done"),
        ("perennial", "request.change", "done"),
    ]
    first = _served(people, "life", 1, site.host)

    renewal = people.told("otto", "POST", "managed/life/renewals", {"force": True, "reason": "a backup"}, status=202)
    assert (renewal["state"], renewal["needs"]) == ("done", [])
    assert _served(people, "life", 2, site.host) != first

    content = {"why": "superseded", "version": 1, "reason": "it was in a backup"}
    revocation = people.told("otto", "POST", "managed/life/revocations", content, status=202)
    assert revocation["state"] == "waiting"
    assert approved(people, "amir", revocation)["state"] == "done"
    version = people.deploying.deployment.inventory.version("life/1")
    assert people.revoked() == {x509.load_der_x509_certificate(version.chain[0]).serial_number: "SUPERSEDED"}


def _served(people: PeopleHub, name: str, version: int, host: str) -> str:
    """The fingerprint that the API names, once this version serves, and the edge shows."""
    people.serve(name, version)
    found = people.told("vera", "GET", f"managed/{name}")
    assert (found["state"], found["serving"]["version"]) == ("serving", version)
    shown = {visit(*each, host, careless()) for each in people.deploying.addresses(host)}
    assert shown == {found["serving"]["fingerprint"]}
    return str(found["serving"]["fingerprint"])


# --- how requests end ---


def test_requests_end_without_a_change(people: PeopleHub) -> None:
    """What a person with a token asks for is refused to her under another identity of hers; it is rejected with a
    reason, withdrawn, or nobody decides in time: each workflow ends, and nothing is declared."""
    rejected, withdrawn, expired = (create(people, "grace", name) for name in ("rejected", "withdrawn", "expired"))
    people.shorten(expired["id"], 4)
    executions = people.approvals()
    assert len(executions) == 3
    for each in (rejected, withdrawn):
        people.told_at(each["id"])
    for who in ("grace", "grace-at-aws"):
        people.decide(who, "approval", rejected, digest=rejected["digest"], status=403)
    people.decide("amir", "rejection", rejected, status=422)
    ended = people.decide("amir", "rejection", rejected, reason="not before the freeze ends")
    assert (ended["state"], ended["message"]) == ("rejected", "not before the freeze ends")
    assert people.decide("grace", "withdrawal", withdrawn)["state"] == "withdrawn"
    assert {people.hub.finish(each)["status"] for each in executions} == {"SUCCEEDED"}
    assert people.request(expired["id"])["state"] == "expired"
    people.decide("amir", "approval", expired, digest=expired["digest"], status=400)
    for each in (rejected, withdrawn, expired):
        assert people.told("aude", "GET", f"managed/{each['managed']}", status=404)["status"] == 404
    assert ("perennial", "request.expire", "done") in happened(people, expired["id"])
    message = next(each for each in people.messages() if expired["id"] in each)
    assert f"perennial approve {expired['id']}" in message
    assert "grace@example.com" in message


def test_a_change_asks_again(people: PeopleHub) -> None:
    """An approval is of what was seen. Of two changes of the same declaration one is applied, and the other fails, as
    what it would change is no longer there; whoever still wants it asks again, and that asks the approvers again."""
    assert approved(people, "amir", create(people, "rita", "again"))["state"] == "done"
    seen = people.ask("rita", "GET", "managed/again")
    first, second = (_change(people, seen, days) for days in (20, 10))
    assert first["state"] == second["state"] == "waiting"
    people.decide("amir", "approval", second, digest=first["digest"], status=412)
    assert approved(people, "amir", first)["state"] == "done"
    late = approved(people, "amir", second)
    assert (late["state"], "ask again" in late["message"]) == ("failed", True)
    people.told("rita", "PUT", "managed/again", _changed(10), status=412, headers={"If-Match": seen.headers["etag"]})
    people.told("rita", "PUT", "managed/again", _changed(10), status=428)
    third = until(lambda: _changed_now(people), "a change that no step of the lifecycle comes before")
    assert (third["state"], third["needs"]) == ("waiting", second["needs"])
    assert people.told("vera", "GET", "managed/again")["declaration"]["validity_days"] == 20


def _changed(days: int) -> dict[str, Any]:
    return {**declared("again"), "validity_days": days, "reason": "shorter"}


def _changed_now(people: PeopleHub) -> Any:
    """The request for another change of what is there; None where a step of the lifecycle changed that meanwhile."""
    seen = people.ask("rita", "GET", "managed/again")
    reply = people.ask("rita", "PUT", "managed/again", _changed(10), headers={"If-Match": seen.headers["etag"]})
    return reply.json() if reply.status == 202 else None


def _change(people: PeopleHub, seen: Reply, days: int) -> Any:
    headers = {"If-Match": seen.headers["etag"]}
    return people.told("rita", "PUT", "managed/again", _changed(days), status=202, headers=headers)


# --- exceptions ---


def test_an_exception(people: PeopleHub) -> None:
    """Asked for by the team and granted by security, it is named by the finding and the certificate that it covers
    until it is ended; then the finding is open again."""
    found = leaf(f"soon.{ZONE}", 12)
    import_certificate(people.hub.client("acm"), found)
    people.hub.execute(f"{HUB_ACCOUNT}/{REGION}/acm")
    assert _open(people, found.fingerprint)
    asked = people.told("otto", "POST", "exceptions", _suspended(found.fingerprint), status=202)
    people.decide("otto", "approval", asked, of="exceptions", status=403)
    people.decide("amir", "approval", asked, of="exceptions", status=403)
    assert people.decide("sara", "approval", asked, of="exceptions", reason="once")["state"] == "active"
    people.assess(lambda: not _open(people, found.fingerprint))
    told = people.told("vera", "GET", f"certificates/{found.fingerprint}")
    assert told["exceptions"] == [asked["id"]]
    (covered,) = (each for each in told["findings"] if each["check"] == CHECK)
    assert (covered["state"], covered["exception"], covered["exception_ends"]) == (
        "suppressed",
        asked["id"],
        asked["ends"],
    )
    people.decide("rita", "end", asked, of="exceptions", reason="it was replaced", status=403)
    ended = people.decide("amir", "end", asked, of="exceptions", reason="it was replaced")
    assert (ended["state"], ended["ended_by"], ended["ended_why"]) == ("ended", "amir", "it was replaced")
    people.assess(lambda: _open(people, found.fingerprint))
    assert people.told("vera", "GET", f"certificates/{found.fingerprint}")["exceptions"] == []
    events = [(each["action"], each["outcome"]) for each in people.trail(kind="exception", subject=asked["id"])]
    assert events == [
        ("exception.end", "done"),
        ("exception.end", "refused"),
        ("exception.approve", "done"),
        ("exception.approve", "refused"),
        ("exception.approve", "refused"),
        ("exception.create", "done"),
    ]


def _suspended(fingerprint: str) -> dict[str, Any]:
    ends = datetime.now(UTC) + timedelta(days=5)
    selection = {"fingerprint": fingerprint}
    words = {"reason": "it is replaced next week", "owner": OWNER}
    return {"rule": CHECK, "selection": selection, **words, "ends": ends.isoformat()}


def _open(people: PeopleHub, fingerprint: str) -> bool:
    """Whether the check's finding about a certificate is listed as open."""
    listed = people.told("vera", "GET", "findings", query={"check": CHECK})["items"]
    return fingerprint in {each["fingerprint"] for each in listed}


# --- who may what ---


def test_roles(people: PeopleHub) -> None:
    """Each role does one thing that it may, and is refused another, which the audit trail has."""
    began = datetime.now(UTC).isoformat()
    wish, scope = {"name": "roles", **declared("roles"), "reason": "a test"}, f"{HUB_ACCOUNT}/aws-global/iam"
    asked = people.told("rita", "POST", "managed", wish, status=202)
    exception = people.told("otto", "POST", "exceptions", _suspended("0" * 64), status=202)
    why, decision, grant = {"reason": "no"}, f"requests/{asked['id']}", f"exceptions/{exception['id']}"
    run, approval = {"scopes": [scope]}, {"digest": asked["digest"]}
    for who, allowed, refused in (
        ("vera", (200, "GET", "findings", None), ("POST", "managed", wish)),
        ("rita", (200, "GET", decision, None), ("POST", f"{decision}/approval", approval)),
        ("amir", (200, "POST", f"{decision}/rejection", why), ("POST", "exceptions", _suspended("0" * 64))),
        ("otto", (202, "POST", "runs", run), ("GET", "audit", None)),
        ("sara", (200, "POST", f"{grant}/rejection", why), ("POST", "managed", wish)),
        ("adam", (200, "GET", "audit", None), ("POST", f"{decision}/approval", approval)),
        ("aude", (200, "GET", "requests", None), ("POST", "runs", run)),
        ("felix", (200, "GET", "managed", None), ("GET", decision, None)),
        ("nora", (200, "GET", "me", None), ("GET", "certificates", None)),
    ):
        status, *what = allowed
        people.told(who, *what, status=status)
        assert set(people.told(who, *refused, status=403)) == PROBLEM
        (event,) = people.trail(person=people.key(who).arn, outcome="refused", since=began)
        assert event["source"] == "api"


def test_nobody_is_let_in_unknown(people: PeopleHub) -> None:
    """No credentials, a broken or unknown signature, and a principal that may not call: 403. No token, and one that is
    broken, unsigned, over, or of somebody else: 401. What API Gateway answers has the members of the API's problems."""
    url, tokens = people.url("me"), people.url("me", tokens=True)
    right, token = people.key("vera"), people.token("grace")
    head, claims, signature = token.split(".")
    over = forged(people, token, iat=-7_200, auth_time=-7_200, exp=-3_600)
    later = forged(people, token, exp=1_800)
    expected = {
        "nothing": (call(people.cloud, "GET", url), 403),
        "a token": (call(people.cloud, "GET", url, token=token), 403),
        "another secret": (call(people.cloud, "GET", url, credentials=replace(right, secret_key="x" * 40)), 403),
        "no principal": (call(people.cloud, "GET", url, credentials=replace(right, access_key="AKIA" + "A" * 16)), 403),
        "changed": (_changed_after_signing(people, url), 403),
        "not permitted": (call(people.cloud, "GET", url, credentials=_uninvited(people)), 403),
        "no token": (call(people.cloud, "GET", tokens), 401),
        "a signature": (call(people.cloud, "GET", tokens, credentials=right), 401),
        "broken": (call(people.cloud, "GET", tokens, token=f"{head}.{claims}.{signature[:-8]}AAAAAAAA"), 401),
        "unsigned": (call(people.cloud, "GET", tokens, token=f"{head}.{claims}."), 401),
        "over": (call(people.cloud, "GET", tokens, token=over), 401),
        "foreign": (call(people.cloud, "GET", tokens, token=_foreign(people)), 401),
        "its own key": (call(people.cloud, "GET", tokens, token=later), 200),
    }
    assert {name: reply.status for name, (reply, _) in expected.items()} == {
        name: status for name, (_, status) in expected.items()
    }
    for each in ("a token", "no principal", "its own key"):  # the first two AWS words by itself
        del expected[each]
    assert {name for name, (reply, _) in expected.items() if set(reply.json()) != PROBLEM} == set()
    assert people.told("grace", "GET", "me")["name"] == "grace@example.com"


def forged(people: PeopleHub, token: str, **seconds: int) -> str:
    """A token again, signed with the pool's own key, whose times are so many seconds from now."""
    head, claims, _ = (base64.urlsafe_b64decode(each + "==") for each in token.split("."))
    now = int(datetime.now(UTC).timestamp())
    changed = {**json.loads(claims), **{name: now + each for name, each in seconds.items()}}
    pool = people.hub.outputs["UserPoolId"]
    pem = people.cloud.directory / "state" / "cognito-pool-keys" / f"{pool}-id.pem"
    key = load_pem_private_key(pem.read_bytes(), None)
    return assembled(head, json.dumps(changed).encode(), lambda data: sign(data, "RS256", key))


def _changed_after_signing(people: PeopleHub, url: str) -> Reply:
    headers = signed(people.key("vera"), "GET", url)
    return send(people.cloud, "GET", url.replace("/me", "/requests"), headers=headers, seconds=60)


def _uninvited(people: PeopleHub) -> Any:
    tags = {"perennial:roles": "admin"}
    return people_of.principal(people.cloud, HUB_ACCOUNT, "uninvited", tags, invoke="")


def _foreign(people: PeopleHub) -> str:
    """A token of another pool of the same account."""
    cognito = people.hub.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="foreign")["UserPool"]["Id"]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="foreign")["UserPoolClient"]["ClientId"]
    return people_of.token(people.cloud, "mallory", ["shop-developers"], at=people_of.SignIn(pool=pool, client=client))


# --- the command ---


def test_the_command(people: PeopleHub, tmp_path: Path) -> None:
    """`perennial` in a process of its own: a person with a token asks, an IAM user finds the request, approves what
    was seen and waits for its end; an exception is asked for, granted and ended. A wrong digest approves nothing."""
    assert "grace@example.com" in people.command("grace", "me").stdout
    wish = ("--certificate-profile", "web", "--owner", OWNER, "--name", f"command.{ZONE}")
    asked = json.loads(
        people.command("grace", "request", "create", "command", *wish, "--reason", "new", "--json").stdout
    )
    listed = json.loads(people.command("amir", "requests", "list", "--owner", OWNER, "--json").stdout)
    assert asked["id"] in {each["id"] for each in listed}
    refused = people.command("amir", "approve", asked["id"], "--digest", "0" * 64, expect=2)
    assert "look at it again" in refused.stderr
    refused = people.command("grace", "approve", asked["id"], "--yes", expect=2)
    assert "nobody decides on what they asked for themselves" in refused.stderr
    people.approvals()
    people.told_at(asked["id"])
    people.command("amir", "approve", asked["id"], "--digest", asked["digest"], "--reason", "as agreed")
    shown = people.command("vera", "requests", "show", asked["id"], "--wait").stdout
    assert f"create command: done ({asked['id']})" in shown
    assert "approved by amir" in shown and "as agreed" in shown

    covers = ("--managed", "command", "--owner", OWNER, "--for", "30d", "--reason", "until it is replaced")
    exception = json.loads(people.command("otto", "exceptions", "ask", "keys.weak", *covers, "--json").stdout)
    people.command("sara", "exceptions", "approve", exception["id"], "--yes")
    active = people.command("vera", "exceptions", "list").stdout
    assert f"{exception['id']}  keys.weak: active" in active
    ended = people.command("amir", "exceptions", "end", exception["id"], "--reason", "it was replaced").stdout
    assert "keys.weak: ended" in ended


def test_the_audit_trail_is_verified(people: PeopleHub, tmp_path: Path) -> None:
    """An export of the deployed trail holds by the key of KMS and the locked checkpoint, which nobody can delete; with
    one event changed in it, the first broken link is named."""
    people.decide("amir", "rejection", create(people, "rita", "verified"), reason="a test")
    assert people.hub.invoke("AuditCheckpoint", {})["made"]
    export, damaged = tmp_path / "audit.jsonl", tmp_path / "damaged.jsonl"
    people.command("aude", "audit", "export", "--last", "1d", "--out", str(export))
    given = ("--public-key", str(_key(people, tmp_path)), "--checkpoint", str(_locked(people, tmp_path)))
    holds = people.command("aude", "audit", "verify", str(export), *given).stdout
    assert holds.startswith("holds")
    assert "Keys" not in holds
    link = _damage(export, damaged)
    told = json.loads(people.command("aude", "audit", "verify", str(damaged), *given, "--json", expect=1).stdout)
    assert (told["holds"], told["first_broken"]["event"], told["first_broken"]["wrong"]) == (False, link, "changed")


def _key(people: PeopleHub, directory: Path) -> Path:
    """The public key of the deployment, as docs/audit.md has it."""
    kms = people.hub.client("kms")
    der = kms.get_public_key(KeyId=people.hub.outputs["AuditKeyArn"])["PublicKey"]
    text = base64.encodebytes(der).decode()
    file = directory / "audit.pem"
    file.write_text(f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n")
    return file


def _locked(people: PeopleHub, directory: Path) -> Path:
    """The newest checkpoint in the bucket, which nobody can delete for a day."""
    s3, bucket = people.hub.client("s3"), people.hub.outputs["AuditBucketName"]
    newest = max(s3.list_object_versions(Bucket=bucket)["Versions"], key=lambda each: str(each["Key"]))
    named = {"Bucket": bucket, "Key": newest["Key"], "VersionId": newest["VersionId"]}
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(**named)
    assert s3.get_object_retention(**named)["Retention"]["Mode"] == "COMPLIANCE"
    file = directory / "checkpoint.json"
    file.write_bytes(s3.get_object(**named)["Body"].read())
    return file


def _damage(export: Path, damaged: Path) -> str:
    """Write the export with another reason in one rejection; returns which link that is."""
    lines = [json.loads(each) for each in export.read_text().splitlines()]
    links = (each for each in lines if each.get("event", {}).get("action") == "approval.reject")
    changed = next(each for each in links if each["event"]["why"] == "a test")
    changed["event"]["why"] = "not a test"
    text = (json.dumps(each, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for each in lines)
    damaged.write_text("".join(f"{each}\n" for each in text))
    return f"{changed['day']}.{changed['shard']:02}.{changed['number']}"
