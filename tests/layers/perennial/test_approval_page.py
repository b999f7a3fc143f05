"""The page where people decide: nothing but its own style and script runs in it, and all text is text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from perennial import approval_page
from perennial.cli import plain
from perennial.sign_in import SignIn, of_user_pool, read

WHERE = of_user_pool(issuer="https://cognito-idp.x/p", client="c", domain="https://d.auth.x.amazoncognito.com")
GET: dict[str, Any] = {"httpMethod": "GET", "headers": {"Accept": "text/html,application/json;q=0.9"}}
ID = "01a196fb16006a34df8d9526c150b2a8"
SCRIPT = files("perennial").joinpath("approval_page.js")


def directives(policy: str) -> dict[str, str]:
    return {name: rest for name, _, rest in (each.partition(" ") for each in policy.split("; "))}


class Parts(HTMLParser):
    """The elements of a page, and the text of its styles and scripts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, dict[str, str | None], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ("style", "script") and data.strip():
            self.inside.append((*self.elements[-1], data))


def parts(where: SignIn = WHERE) -> Parts:
    found = Parts()
    found.feed(approval_page.page(where))
    return found


def test_the_reply() -> None:
    """HTML for everybody, never kept, never framed, never told where it came from."""
    reply = approval_page.reply(GET, WHERE)
    assert (reply["statusCode"], reply["isBase64Encoded"]) == (200, False)
    headers = reply["headers"]
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "Access-Control-Allow-Origin" not in headers
    assert approval_page.reply({}, WHERE) == approval_page.reply({"headers": None}, WHERE) == reply


def test_the_policy() -> None:
    """Its own script and style run, and nothing else; it asks its own origin and the issuer alone."""
    said = directives(approval_page.policy(WHERE))
    assert said["default-src"] == said["base-uri"] == said["form-action"] == said["frame-ancestors"] == "'none'"
    assert said["connect-src"] == "'self' https://d.auth.x.amazoncognito.com"
    assert (said["require-trusted-types-for"], said["trusted-types"]) == ("'script'", "'none'")
    assert not [each for each in said.values() if "unsafe" in each or "*" in each]


def test_the_hashes_are_those_of_what_is_sent() -> None:
    """Of the page as a browser reads it: one style and one script, and a block of data, which is not run."""
    said = directives(approval_page.policy(WHERE))
    found = parts()
    for kind in ("style", "script"):
        ((_, _, text),) = (each for each in found.inside if each[0] == kind and "type" not in each[1])
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert said[f"{kind}-src"] == f"'sha256-{digest}'"
    ((_, _, data),) = (each for each in found.inside if each[1].get("type") == "application/json")
    assert read(json.loads(data)) == WHERE


def test_nothing_of_the_configuration_ends_its_block() -> None:
    """Whatever stood in it."""
    evil = replace(WHERE, client="</script><script>alert(1)</script><!--")
    ((_, _, data),) = (each for each in parts(evil).inside if each[1].get("type") == "application/json")
    assert json.loads(data)["client"] == evil.client
    assert len([tag for tag, _ in parts(evil).elements if tag == "script"]) == 2


def test_the_page_loads_nothing() -> None:
    """No address of anything else, no handler in an attribute, no style in one."""
    text = approval_page.part("html") + approval_page.part("css") + approval_page.part("js")
    assert not re.search(r"https?://|//[a-z]+\.|@import|[\s:]url\(", text)
    for tag, attributes in parts().elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "action")], tag
        assert attributes.get("href", "#") in ("#", "data:,")


def test_text_is_only_ever_text() -> None:
    """Nothing of the script makes elements, code or addresses of text."""
    script = approval_page.part("js")
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|srcdoc|localStorage|cookie|\.src\b"
    )
    assert not re.search(forbidden, script)
    kept = re.findall(r"sessionStorage\.setItem\([^;]*;", script)
    assert len(kept) == 1 and "attempt" in kept[0] and "token" not in kept[0]


def test_every_control_has_its_words() -> None:
    """A label for the field, words on each button, a language, and places from which results are read out."""
    found = parts()
    elements = {attributes.get("id"): (tag, attributes) for tag, attributes in found.elements}
    assert next(attributes for tag, attributes in found.elements if tag == "html")["lang"] == "en"
    labels = {attributes["for"] for tag, attributes in found.elements if tag == "label"}
    assert {attributes["id"] for tag, attributes in found.elements if tag in ("textarea", "input")} == labels
    assert elements["result"][1]["aria-live"] == "polite" and elements["problem"][1]["role"] == "alert"
    named = set(re.findall(r"\bat\(\"([a-z-]+)\"\)", approval_page.part("js")))
    assert named <= set(elements)


@pytest.mark.parametrize("accept", ["application/json", "Application/JSON "])
def test_the_command_gets_json(accept: str) -> None:
    """What it needs to sign people in, and nothing that a browser could be made to run."""
    reply = approval_page.reply({"headers": {"accept": accept}}, WHERE)
    assert reply["headers"]["Content-Type"] == "application/json"
    assert reply["headers"]["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert read(json.loads(reply["body"])) == WHERE


# --- the script's pure functions, in Node.js ---

NODE = shutil.which("node", path=str(Path(sys.prefix) / "bin"))
node = pytest.mark.skipif(NODE is None, reason="this virtual environment has no Node.js")


def run(expression: str, *arguments: Any) -> Any:
    """The value of an expression in which `page` has the script's functions and `given` the arguments."""
    code = (
        f"const page = require({json.dumps(str(SCRIPT))}), given = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        f"process.stdout.write(JSON.stringify({expression}) ?? 'null')"
    )
    assert NODE
    sent = json.dumps(arguments)
    done = subprocess.run([NODE, "-e", code], input=sent, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


REQUEST: dict[str, Any] = {
    "id": ID,
    "kind": "change",
    "managed": "shop",
    "owner": "shop-team",
    "environment": "production",
    "state": "waiting",
    "message": "",
    "digest": "ab" * 32,
    "declaration": {"names": ["a.example", "b.example"], "targets": [{"kind": "elbv2", "name": "edge"}]},
    "version": 0,
    "why": "",
    "force": False,
    "reason": "it moves",
    "asked_by": "Ada",
    "principal": "i#ada",
    "asked_at": "2026-11-28T12:00:00+00:00",
    "needs": [
        {"role": "owner", "people": 1, "owner": "shop-team", "environment": "production"},
        {"role": "security", "people": 2, "owner": "", "environment": ""},
    ],
    "decisions": [],
    "expires_at": "2026-12-05T12:00:00+00:00",
    "ended_at": None,
    "revision": 3,
}


@node
def test_which_item_is_wanted() -> None:
    """An id in the fragment, and nothing that is none."""
    good = [f"#request={ID}", f"#exception={ID}"]
    bad = ["", "#", f"#request={ID}x", "#request=../me", f"#other={ID}", f"#request={ID.upper()}", f"#request={ID}&x=1"]
    assert run("given.map(page.wanted)", *good, *bad) == [
        {"kind": "request", "id": ID},
        {"kind": "exception", "id": ID},
        *[None] * len(bad),
    ]


@node
def test_what_could_deceive_is_escaped() -> None:
    """The same characters as on a terminal."""
    odd = [chr(each) for each in range(0x10000) if not 0xD800 <= each < 0xE000] + ["\U000e0041"]
    escaped = run("given[0].map((each) => page.plain(each) !== each)", odd)
    assert escaped == [plain.plain(each) != each for each in odd]
    assert run("page.plain(given[0])", "shop\u202eelpmaxe") == "shop\\u{202e}elpmaxe"


@node
def test_what_is_asked_for() -> None:
    """All of it, field by field; members that this page does not know are shown, too."""
    found = run("page.asked('request', given[0])", {**REQUEST, "surprise": {"x": [1, 2]}})
    assert found == [
        ["declaration.names", "a.example, b.example"],
        ["declaration.targets.0.kind", "elbv2"],
        ["declaration.targets.0.name", "edge"],
        ["surprise.x", "1, 2"],
    ]
    revoke = {**REQUEST, "kind": "revoke", "declaration": None, "version": 3, "why": "keyCompromise", "force": True}
    assert run("page.asked('request', given[0])", revoke) == [
        ["version", "3"],
        ["why", "keyCompromise"],
        ["force", "yes"],
    ]
    assert run("given.map(page.label)", "declaration.validity_days", "why") == ["validity days", "Tell the CA"]


@node
def test_what_changes() -> None:
    """Fields before and after, those alone that differ."""
    before = {"names": ["a.example"], "profile": "web", "service": "shop"}
    after = {"names": ["a.example", "b.example"], "profile": "web", "environment": "test"}
    assert run("page.changes(given[0], given[1])", before, after) == [
        ["environment", "", "test"],
        ["names", "a.example", "a.example, b.example"],
        ["service", "shop", ""],
    ]


@node
def test_words() -> None:
    """Titles, what policy says, and times."""
    assert run("page.title('request', given[0])", REQUEST) == "Change shop"
    assert run("page.title('exception', {rule: 'chain.weak'})") == "Suspend chain.weak"
    assert run("page.policy(given[0])", REQUEST) == (
        "It is allowed, and needs 1 of shop-team in production and 2 of security"
    )
    assert run("given[0].map((each) => page.meaning({kind: each, force: true}))", ["change", "renew", "revoke"]) == [
        "",
        "It is renewed now, whatever its windows are.",
        "The version is revoked at its issuer for good, and what serves is renewed.",
    ]
    assert run("page.meaning({kind: 'renew', force: false})") == "It is renewed now or in its next window."
    assert run("page.policy({needs: []})") == "It is allowed, and needs nobody"
    assert run("given.map(page.when)", "2026-11-28T12:00:00+01:00", "soon") == ["2026-11-28 11:00 UTC", "soon"]


PLACES = [
    ("approver", True),
    ("approver@shop-team", True),
    ("approver@shop-team/production", True),
    ("approver@*/production", True),
    ("approver@shop-team/test", False),
    ("approver@other", False),
    ("approver@a@b/production", False),
]


@node
def test_whom_it_may_be_for() -> None:
    """Who has a grant that reaches a need, and did not ask; the API judges it again."""
    rights = [{"action": "requests:approve", "at": [grant]} for grant, _ in PLACES]
    people = [{"principal": "i#grace", "name": "Grace", "rights": [each]} for each in rights]
    assert run("given[0].map((me) => page.mayApprove(me, 'request', given[1]))", people, REQUEST) == [
        reaches for _, reaches in PLACES
    ]
    security = {"principal": "i#s", "rights": [{"action": "requests:approve-as-security", "at": ["security"]}]}
    ada = {**people[0], "principal": "i#ada"}
    nobody = {"principal": "i#n", "rights": []}
    decided = {**REQUEST, "decisions": [{"principal": "i#grace"}]}
    assert not run("page.mayApprove(given[0], 'request', given[1])", people[0], decided)
    assert run("given[0].map((me) => page.mayApprove(me, 'request', given[1]))", [security, ada, nobody], REQUEST) == [
        True,
        False,
        False,
    ]


@node
def test_problems_are_told_in_the_words_of_the_api() -> None:
    """Every violation, once; of a failure of ours, the request's id."""
    one = {"where": "body.reason", "rule": "r", "message": "too long", "accepted": "1000"}
    assert run("page.lines(422, given[0])", {"detail": "too long", "violations": [one]}) == ["too long"]
    two = {"detail": "2 violations", "violations": [one, {**one, "where": ""}]}
    assert run("page.lines(422, given[0])", two) == [
        "2 violations",
        "reason: too long; accepted: 1000",
        "too long; accepted: 1000",
    ]
    failed = {"detail": "no", "instance": "urn:perennial:request:r-1", "violations": []}
    assert run("page.lines(500, given[0])", failed) == ["no", "Request: r-1"]
    assert run("given.map((each) => page.lines(403, each))", {"message": "no"}, None, "x", []) == [
        ["no"],
        *[["The API answered 403."]] * 3,
    ]


@node
def test_the_request_to_the_issuer() -> None:
    """A code with PKCE for the page's own URL; no token that outlives the tab is asked for."""
    where = {**WHERE.document(), "scopes": ["openid", "offline_access"]}
    url = run("page.authorization(given[0], 'https://a/v1/page', {state: 's', nonce: 'n'}, 'c')", where)
    assert url == (
        "https://d.auth.x.amazoncognito.com/oauth2/authorize?response_type=code&client_id=c"
        "&redirect_uri=https%3A%2F%2Fa%2Fv1%2Fpage&scope=openid&state=s&nonce=n&code_challenge=c"
        "&code_challenge_method=S256"
    )
    assert run("page.base64url(new Uint8Array([255, 254, 253, 0]))") == "__79AA"


@node
def test_tokens_that_are_not_believed() -> None:
    """Another issuer's, another client's, another attempt's, an old one."""
    good = {"iss": WHERE.issuer, "aud": ["c", "d"], "azp": "c", "nonce": "n", "exp": 1_000}
    bad = [{"iss": "x"}, {"aud": "d"}, {"azp": "d"}, {"nonce": "m"}, {"exp": 800}, {"exp": "9999"}]
    said = run(
        "given[1].map((each) => page.unfit(given[0], each, 'n', 900))",
        WHERE.document(),
        [good, *({**good, **each} for each in bad)],
    )
    assert said[0] == "" and all(said[1:])
    payload = base64.urlsafe_b64encode('{"name": "Zoë"}'.encode()).decode().rstrip("=")
    assert run("page.claims(given[0])", f"h.{payload}.s") == {"name": "Zoë"}
