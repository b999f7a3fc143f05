"""`perennial request`, `requests`, `approve`, `reject`, `withdraw`, `me`: asked of a server that answers as the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_server import Answer, Server, answer, api_server, problem
from command import Run
from perennial.cli import api_client, deciding, waiting
from perennial.cli import request as asking
from perennial.revocation import REASONS

ID = "0192f3a4b5c6d7e8f90a1b2c3d4e5f60"
DIGEST = "ab" * 32
DECLARED = {"names": ["www.shop.example.com"], "profile": "web", "owner": "shop-team"}
NEED = {"role": "owner", "people": 1, "owner": "shop-team", "environment": "production"}
BASIC = (
    "--certificate-profile",
    "web",
    "--owner",
    "shop-team",
    "--name",
    "www.shop.example.com",
    "--reason",
    "new shop",
)


def request(**changed: Any) -> dict[str, Any]:
    """A change request as the API gives it."""
    return {
        "id": ID,
        "kind": "create",
        "managed": "shop",
        "owner": "shop-team",
        "environment": "production",
        "state": "waiting",
        "message": "",
        "digest": DIGEST,
        "declaration": DECLARED,
        "version": 0,
        "why": "",
        "force": False,
        "reason": "new shop",
        "asked_by": "Ada\x1b[31m",
        "principal": "arn:aws:iam::111122223333:role/ada",
        "asked_at": "2026-11-01T12:00:00Z",
        "needs": [NEED],
        "decisions": [],
        "expires_at": "2026-11-08T12:00:00Z",
        "ended_at": None,
        "revision": 1,
        **changed,
    }


def managed(**changed: Any) -> dict[str, Any]:
    """A managed certificate as the API gives it."""
    declared = {**DECLARED, "targets": [{"kind": "iam", "name": "edge"}]}
    return {
        "name": "shop",
        "declaration": declared,
        "state": "serving",
        "message": "",
        "serving": {"version": 3},
        **changed,
    }


@pytest.fixture
def server(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The API, named by the environment; nothing pauses."""
    with api_server() as made:
        monkeypatch.setenv("PERENNIAL_API", made.url)
        monkeypatch.setattr(waiting, "PAUSE", 0.0)
        monkeypatch.setattr(waiting, "LONG_PAUSE", 0.0)
        monkeypatch.setattr(api_client, "FIRST_PAUSE", 0.0)
        made.answers[("GET", f"/v1/requests/{ID}")] = answer(request(), etag='"1"')
        made.answers[("GET", "/v1/managed/shop")] = answer(managed(), etag='"7"')
        yield made


def asked_for(server: Server, method: str, path: str, **answered: Any) -> None:
    """The API takes such a wish."""
    server.answers[(method, path)] = answer(request(**answered), 202)


# --- request ---


def test_create(run: Run, server: Server) -> None:
    """What the options say is what is asked for; the request is shown with what it needs, and what is next."""
    asked_for(server, "POST", "/v1/managed")
    result = run("request", "create", "shop", *BASIC, "--days", "60", "--key", "EC-384", "--environment", "production")
    (came,) = server.of("POST")
    assert came.document == {
        "name": "shop",
        **DECLARED,
        "key": "EC-384",
        "validity_days": 60,
        "environment": "production",
        "reason": "new shop",
    }
    assert result.stdout.startswith(f"create shop: waiting ({ID})\n  Needs          1 of shop-team in production\n")
    assert "  names          www.shop.example.com\n" in result.stdout
    assert result.stderr == f"How it goes on: perennial requests show {ID}\n"


def test_no_text_of_the_api_commands_the_terminal(run: Run, server: Server) -> None:
    """Names are written by strangers."""
    asked_for(server, "POST", "/v1/managed", reason="\x1b]0;x\x07 \u202e", managed="sh\x9bop")
    result = run("request", "create", "shop", *BASIC)
    assert not set("\x1b\x07\x9b\u202e") & set(result.output)


def test_create_from_a_file(run: Run, server: Server, tmp_path: Path) -> None:
    """The whole declaration is that of the file, as apply would read it."""
    asked_for(server, "POST", "/v1/managed")
    file = tmp_path / "certificates.yaml"
    file.write_text(
        "certificates:\n  other: {names: [b.example.com], profile: web, owner: core}\n"
        "  shop: {names: [WWW.shop.example.com], profile: web, owner: shop-team, service: checkout}\n"
    )
    run("request", "create", "shop", "-f", str(file), "--reason", "x")
    (came,) = server.of("POST")
    assert came.document == {"name": "shop", **DECLARED, "service": "checkout", "reason": "x"}
    assert "declares no 'none'" in run("request", "create", "none", "-f", str(file), "--reason", "x", expect=2).stderr
    both = run("request", "create", "shop", "-f", str(file), "--key", "EC-256", "--reason", "x", expect=2)
    assert "leave the other options of it out" in both.stderr
    file.write_text("certificates:\n  shop: {names: [], profile: web}\n")
    broken = run("request", "create", "shop", "-f", str(file), "--reason", "x", expect=2).stderr
    assert "certificates.yaml:2: certificates.shop.owner" in broken
    assert len(server.of("POST")) == 1


def test_targets_of_a_file(run: Run, server: Server, tmp_path: Path) -> None:
    """As `perennial deploy` takes them."""
    asked_for(server, "POST", "/v1/managed")
    file = tmp_path / "targets.toml"
    file.write_text(
        'on_failure = "stay"\n[[targets]]\nkind = "s3"\nname = "edge"\nbucket = "certificates"\nkey = "shop/"\n'
    )
    run("request", "create", "shop", *BASIC, "--targets", str(file))
    document = server.of("POST")[0].document
    assert document["on_failure"] == "stay"
    assert [(each["kind"], each["name"]) for each in document["targets"]] == [("s3", "edge")]


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("--name", "--name is missing"),
        ("--certificate-profile", "--certificate-profile is missing"),
        ("--owner", "--owner"),
    ],
)
def test_create_needs_what_a_declaration_needs(run: Run, server: Server, without: str, said: str) -> None:
    """Said before anything is asked."""
    at = BASIC.index(without)
    arguments = (*BASIC[:at], *BASIC[at + 2 :])
    assert said in run("request", "create", "shop", *arguments, expect=2).stderr
    assert server.asked == []


def test_change_changes_what_is_named_and_nothing_else(run: Run, server: Server) -> None:
    """It is made of what is declared now, and holds only for that."""
    asked_for(server, "PUT", "/v1/managed/shop", kind="change")
    run("request", "change", "shop", "--days", "60", "--reason", "shorter")
    (came,) = server.of("PUT")
    assert came.document == {**managed()["declaration"], "validity_days": 60, "reason": "shorter"}
    assert came.headers["if-match"] == '"7"'
    same = run("request", "change", "shop", "--owner", "shop-team", "--reason", "x", expect=2)
    assert "nothing would change" in same.stderr
    assert len(server.of("PUT")) == 1


def test_a_change_that_comes_too_late(run: Run, server: Server) -> None:
    """Someone else changed it meanwhile: told, and not tried again."""
    server.answers[("PUT", "/v1/managed/shop")] = problem(412, "shop was changed meanwhile; read it again")
    assert "changed meanwhile" in run("request", "change", "shop", "--days", "60", "--reason", "x", expect=2).stderr
    assert len(server.of("PUT")) == 1


def test_retire(run: Run, server: Server) -> None:
    """After a question, with the reason where DELETE has it, and for what was read."""
    asked_for(server, "DELETE", "/v1/managed/shop", kind="retire", declaration=None)
    no = run("request", "retire", "shop", "--reason", "closed", stdin=b"n\n", expect=130)
    assert "Retire shop, which serves version 3?" in no.stderr
    assert server.of("DELETE") == []
    run("request", "retire", "shop", "--reason", "the shop & all", stdin=b"y\n")
    run("request", "retire", "shop", "--reason", "closed", "--yes")
    first, second = server.of("DELETE")
    assert (first.query, second.query) == ({"reason": "the shop & all"}, {"reason": "closed"})
    assert first.headers["if-match"] == '"7"'
    assert server.refused == []


def test_revoke(run: Run, server: Server) -> None:
    """What the CA is told is one thing, what people are told another."""
    asked_for(
        server, "POST", "/v1/managed/shop/revocations", kind="revoke", declaration=None, why="key-compromise", version=2
    )
    arguments = ("--revocation-reason", "key-compromise", "--reason", "in a log")
    no = run("request", "revoke", "shop", *arguments, stdin=b"n\n", expect=130)
    assert "Revoke the version that serves of shop for good?" in no.stderr
    result = run("request", "revoke", "shop", "--version", "2", *arguments, "--yes")
    (came,) = server.of("POST")
    assert came.document == {"why": "key-compromise", "version": 2, "reason": "in a log"}
    assert "Tell the CA    key-compromise" in result.stdout
    assert "Version        2" in result.stdout


def test_reasons_of_revocations_are_those_of_the_library() -> None:
    """What the CA can be told is written once more here, so that help needs no issuer's code."""
    assert set(asking.REVOCATIONS) == set(REASONS)


def test_renew_and_wait(run: Run, server: Server) -> None:
    """Each change is a line, until another version serves."""
    path = "/v1/managed/shop/renewals"
    asked_for(server, "POST", path, kind="renew", declaration=None, force=True)
    server.answers[("GET", f"/v1/requests/{ID}")] = [
        answer(request()),
        answer(request()),
        answer(request(state="approved", needs=[])),
        answer(request(state="done", needs=[])),
    ]
    server.answers[("GET", "/v1/managed/shop")] = [
        answer(managed()),
        answer(managed(state="issuing", message="at the CA")),
        answer(managed(state="deploying")),
        answer(managed(serving={"version": 4})),
    ]
    result = run("request", "renew", "shop", "--force", "--reason", "x", "--wait")
    assert server.of("POST")[0].document == {"force": True, "reason": "x"}
    assert result.stderr.splitlines() == [
        "waiting for 1 of shop-team in production",
        "approved",
        "done",
        "issuing: at the CA",
        "deploying",
        "shop: version 4 serves",
    ]
    assert result.stdout.startswith(f"create shop: done ({ID})\n")  # as the request says it


def test_a_renewal_of_what_fails_already_is_waited_for(run: Run, server: Server) -> None:
    """It is one more attempt that counts, not the failure from before."""
    server.answers[("POST", "/v1/managed/shop/renewals")] = answer(request(kind="renew", state="done", needs=[]), 202)
    failing = managed(state="failing", attempts=3, failure_message="no zone")
    server.answers[("GET", "/v1/managed/shop")] = [
        answer(failing),
        answer(failing),
        answer(managed(state="issuing", attempts=3)),
        answer(managed(serving={"version": 4})),
    ]
    assert "version 4 serves" in run("request", "renew", "shop", "--reason", "x", "--wait").stderr
    again = {**failing, "attempts": 4}
    server.answers[("GET", "/v1/managed/shop")] = [answer(failing), answer(failing), answer(again)]
    assert "no zone" in run("request", "renew", "shop", "--reason", "x", "--wait", expect=2).stderr


@pytest.mark.parametrize("state", ["rejected", "withdrawn", "expired", "failed"])
def test_a_wish_that_comes_to_nothing(run: Run, server: Server, state: str) -> None:
    """The exit code says so, and the message why."""
    asked_for(server, "POST", "/v1/managed")
    server.answers[("GET", f"/v1/requests/{ID}")] = answer(request(state=state, message="not before the freeze ends"))
    result = run("request", "create", "shop", *BASIC, "--wait", expect=2)
    assert result.stderr.splitlines()[-1] == f"{state}: not before the freeze ends"


def test_a_new_certificate_that_fails(run: Run, server: Server) -> None:
    """Waited for until it fails; then what to ask next."""
    asked_for(server, "POST", "/v1/managed", state="done", needs=[])
    failing = {"state": "failing", "failure_message": "no zone", "serving": None, "attempts": 1}
    server.answers[("GET", "/v1/managed/shop")] = [
        answer(managed(state="issuing", serving=None)),
        answer(managed(**failing)),
    ]
    result = run("request", "create", "shop", *BASIC, "--wait", expect=2)
    assert "shop: no zone; perennial why shop says what is next" in result.stderr


def test_every_violation_of_policy_is_a_line(run: Run, server: Server) -> None:
    """Exit code 2, and nothing on stdout."""
    told = [{"where": f"certificates.shop.names.{n}", "rule": "names.allowed", "message": f"no {n}"} for n in range(3)]
    server.answers[("POST", "/v1/managed")] = problem(422, "3 violations", told)
    result = run("request", "create", "shop", *BASIC, expect=2)
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"perennial: certificates.shop.names.{n}: no {n} (names.allowed)" for n in range(3)
    ]


def test_a_refusal_says_which_role_is_needed(run: Run, server: Server) -> None:
    """And what shows the roles that one has."""
    server.answers[("POST", "/v1/managed")] = problem(403, "managed:request needs the role requester for shop-team")
    told = run("request", "create", "shop", *BASIC, expect=2).stderr
    assert told.startswith("perennial: managed:request needs the role requester for shop-team\n")
    assert "perennial doctor" in told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer({}), "the API's reply is no change request"),
        (answer({"id": ["x"], "state": "waiting"}), "the API's reply is no change request"),
        (Answer(200, b"<html>", content_type="text/html"), "is text/html, not JSON"),
    ],
)
def test_a_reply_that_is_no_request(run: Run, server: Server, given: Answer, said: str) -> None:
    """One line, no traceback."""
    server.answers[("POST", "/v1/managed")] = given
    result = run("request", "create", "shop", *BASIC, expect=2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


# --- requests ---


def test_list(run: Run, server: Server) -> None:
    """By default those that wait: each with its whole id, to be copied; or as JSON."""
    server.answers[("GET", "/v1/requests")] = answer(
        {"items": [request(), request(kind="renew", state="done")], "next": None}
    )
    result = run("requests", "list", "--owner", "shop-team")
    assert server.asked[0].query == {"state": "waiting", "owner": "shop-team", "limit": "100"}
    first, second, *_ = result.stdout.splitlines()
    assert first == f"{ID}  create shop: waiting"
    assert second.startswith("  shop-team; asked by Ada\\x1b[31m on 2026-11-01 12:00 UTC; waits for 1 of shop-team in")
    assert "perennial approve ID" in result.stderr
    found = json.loads(run("requests", "list", "--state", "all", "--json").stdout)
    assert "state" not in server.asked[-1].query
    assert [each["kind"] for each in found] == ["create", "renew"]


def test_list_says_who_decided(run: Run, server: Server) -> None:
    """Who decided is told in the list: one of two has approved what still waits, the other is done."""
    decision = {"verdict": "approved", "name": "Bert\x1b[31m", "at": "2026-11-02T12:00:00Z", "reason": "long"}
    waiting, done = request(decisions=[decision]), request(state="done", decisions=[decision, decision])
    server.answers[("GET", "/v1/requests")] = answer({"items": [waiting, done], "next": None})
    _, first, _, second = run("requests", "list", "--state", "all").stdout.splitlines()
    assert "UTC; approved by Bert\\x1b[31m; waits for 1 of shop-team" in first
    assert second.endswith("UTC; approved by Bert\\x1b[31m; approved by Bert\\x1b[31m")


def test_nothing_to_list(run: Run, server: Server) -> None:
    """Said, and not on stdout."""
    server.answers[("GET", "/v1/requests")] = answer({"items": [], "next": None})
    result = run("requests", "list")
    assert (result.stdout, result.stderr) == ("", "No request waits for anybody.\n")
    assert run("requests", "list", "--json").stdout == "[\n]\n"


def test_show(run: Run, server: Server) -> None:
    """All of it: also decisions, and what this version of the command does not know."""
    decision = {"verdict": "rejected", "name": "Bob", "principal": "p", "at": "2026-11-02T08:30:00Z", "reason": "no"}
    found = request(state="rejected", decisions=[decision], wholly_new={"member": ["x", {"y": 1}]})
    server.answers[("GET", f"/v1/requests/{ID}")] = answer(found)
    told = run("requests", "show", ID).stdout
    assert "  Decided        rejected by Bob on 2026-11-02 08:30 UTC: no\n" in told
    assert "  wholly_new.member.1.y 1\n" in told
    assert f"  Digest         {DIGEST}\n" in told
    assert json.loads(run("requests", "show", ID, "--json").stdout) == found
    run("requests", "show", ID, "--wait", expect=2)


def test_one_that_is_not_there(run: Run, server: Server) -> None:
    """The API says what there is."""
    server.answers[("GET", f"/v1/requests/{ID}")] = problem(404, f"there is no request {ID}; GET /requests lists")
    assert "there is no request" in run("requests", "show", ID, expect=2).stderr


# --- decisions ---


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone sits at it."""
    monkeypatch.setattr(deciding, "at_terminal", lambda: True)


def test_approve_shows_asks_and_names_what_was_seen(run: Run, server: Server, terminal: None) -> None:
    """The digest of what stood on the screen goes along, and not its revision, which telling the approvers raises."""
    server.answers[("POST", f"/v1/requests/{ID}/approval")] = answer(request(state="approved", needs=[]))
    no = run("approve", ID, stdin=b"n\n", expect=130)
    assert "names          www.shop.example.com" in no.stderr
    assert f"Digest         {DIGEST}" in no.stderr
    assert server.of("POST") == []
    result = run("approve", ID, "--reason", "agreed", stdin=b"y\n")
    (came,) = server.of("POST")
    assert came.document == {"digest": DIGEST, "reason": "agreed"}
    assert "if-match" not in came.headers
    assert result.stdout == "create shop: approved\n"


def test_without_a_terminal_nobody_approves_by_accident(run: Run, server: Server) -> None:
    """A program says --yes, or names the digest of what it has shown."""
    server.answers[("POST", f"/v1/requests/{ID}/approval")] = answer(request())
    assert "--digest, or with --yes" in run("approve", ID, stdin=b"y\n", expect=2).stderr
    other = run("approve", ID, "--digest", "cd" * 32, expect=2)
    assert f"the digest of what is asked is {DIGEST}" in other.stderr
    assert server.of("POST") == []
    run("approve", ID, "--digest", DIGEST)
    result = run("approve", ID, "--yes")
    assert [each.document for each in server.of("POST")] == [{"digest": DIGEST}] * 2
    assert "It still waits for 1 of shop-team in production." in result.stderr


def test_an_approver_sees_what_a_change_changes(run: Run, server: Server) -> None:
    """Member by member; where what is there may not be read, that is said."""
    declared = {**DECLARED, "names": ["www.shop.example.com", "evil.example.com"]}
    server.answers[("GET", f"/v1/requests/{ID}")] = answer(request(kind="change", declaration=declared))
    server.answers[("POST", f"/v1/requests/{ID}/approval")] = answer(request())
    told = run("approve", ID, "--yes").stderr
    assert "    names: www.shop.example.com → www.shop.example.com, evil.example.com\n" in told
    assert "    targets.0.kind: iam → (none)\n" in told
    server.answers[("GET", "/v1/managed/shop")] = problem(403, "no")
    assert "cannot be shown to you" in run("approve", ID, "--yes").stderr


def test_approve_and_wait(run: Run, server: Server) -> None:
    """Until it is done."""
    server.answers[("POST", f"/v1/requests/{ID}/approval")] = answer(request(state="approved", needs=[]))
    server.answers[("GET", f"/v1/requests/{ID}")] = [answer(request()), answer(request(state="done"))]
    assert run("approve", ID, "--yes", "--wait").stdout == "create shop: done\n"


def test_nobody_approves_their_own(run: Run, server: Server) -> None:
    """The API refuses, and the line says who must."""
    server.answers[("POST", f"/v1/requests/{ID}/approval")] = problem(
        403, "requests:approve: nobody decides on what they asked for themselves; another person must"
    )
    assert "another person must" in run("approve", ID, "--yes", expect=2).stderr


def test_reject_and_withdraw(run: Run, server: Server) -> None:
    """Each with its reason; what was wished is no failure."""
    server.answers[("POST", f"/v1/requests/{ID}/rejection")] = answer(request(state="rejected"))
    server.answers[("POST", f"/v1/requests/{ID}/withdrawal")] = answer(request(state="withdrawn"))
    assert "Missing option '--reason'" in run("reject", ID, expect=2).stderr
    assert run("reject", ID, "--reason", "no").stdout == "create shop: rejected\n"
    assert run("withdraw", ID).stdout == "create shop: withdrawn\n"
    assert json.loads(run("withdraw", ID, "--reason", "late", "--json").stdout)["state"] == "withdrawn"
    assert [each.document for each in server.of("POST")] == [{"reason": "no"}, {}, {"reason": "late"}]


def test_me(run: Run, server: Server) -> None:
    """Name, roles, and what of them was not understood."""
    found = {
        "principal": "arn:aws:iam::111122223333:role/ada",
        "name": "ada",
        "source": "iam",
        "grants": ["requester@shop-team/production"],
        "rights": [],
        "not_understood": ["perennial:roles: king@shop"],
    }
    server.answers[("GET", "/v1/me")] = answer(found)
    told = run("me").stdout
    assert told.splitlines() == [
        "ada (arn:aws:iam::111122223333:role/ada, by iam)",
        "  Role         requester@shop-team/production",
        "  Not a role   perennial:roles: king@shop",
    ]
    assert json.loads(run("me", "--json").stdout) == found
    server.answers[("GET", "/v1/me")] = answer({**found, "grants": [], "not_understood": []})
    assert "none: have an admin give you one" in run("me").stdout


def test_a_token_asks_as_a_person(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment; no command shows it."""
    monkeypatch.setenv("PERENNIAL_TOKEN", "head.body.signature")
    server.answers[("GET", "/v1/me")] = answer({"name": "ada"})
    result = run("me")
    assert server.asked[0].headers["authorization"] == "Bearer head.body.signature"
    assert "signature" not in result.output
    assert "signature" not in run("me", "--help").stdout


def test_without_a_deployment(run: Run) -> None:
    """The line says what to do."""
    assert "there is no API of Perennial in eu-west-1" in run("me", expect=2).stderr
