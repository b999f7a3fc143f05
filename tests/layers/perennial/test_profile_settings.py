"""Issuers, profiles, solvers and policy of perennial.toml: read whole, or every problem told at once."""

from __future__ import annotations

import io
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from certificates import build
from perennial import profiles
from perennial.deployment import Deployment
from perennial.errors import InvalidConfiguration
from perennial.profiles import AcmeIssuer, AcmIssuer, ChallengeKind, KeyHome, PcaIssuer, Profile, Solvers
from perennial.settings import Settings, load

ROOT = Path(__file__).resolve().parents[3]
PEM = build("Example Root", ca=True).x509.public_bytes(Encoding.PEM).decode()
AUTHORITY = "arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/0a1b2c3d-0000-1111-2222-333344445555"
LISTENER = (
    "arn:aws-us-gov:elasticloadbalancing:us-gov-west-1:111122223333:listener/app/web/50dc6c495c0c9188/0467ef3c8400ae65"
)
FULL = f'''
[issuers.ca]
kind = "acme"
directory = "https://ca.example.com:14000/dir?x=1"
public = false
contacts = ["mailto:tls@example.com"]
eab_secret = "perennial/eab"
challenge = "dns-persist-01"
issuer_domain = "CA.example.com"
origins = ["https://Other.example.com:8443", "http://127.0.0.1:4001"]
roots = """
{PEM}{PEM}"""
directory_roots = """{PEM}"""
keys = ["EC-256", "ML-DSA-65"]
[issuers.local]
kind = "acme"
directory = "http://127.0.0.1:14000/dir"
[issuers.pca]
kind = "acm_pca"
authority = "{AUTHORITY}"
public = true
keys = ["RSA-2048"]
[issuers.amazon]
kind = "acm"
region = "us-east-1"

[profiles.web]
issuer = "ca"
keys = ["ML-DSA-65", "EC-256"]
key_home = "requester"
rotate_key = false
validity_days = 47
usages = ["serverAuth", "clientAuth"]
names = [".Shop.example.com", "*.bücher.example", "10.1.0.0/16"]
wildcards = true
addresses = true
max_names = 25
targets = ["listener", "api_domain"]
acme_profile = "tlsserver"
preferred_root = "Example Root X1"
[profiles.internal]
issuer = "pca"
keys = ["RSA-2048"]
template = "EndEntityServerAuthCertificate_APIPassthrough/V1"
[profiles.cdn]
issuer = "amazon"
key_home = "issuer"
exportable = true

[solvers]
zone_accounts = ["111122223333"]
role_name = "Solver"
listeners = ["{LISTENER}"]
rule_priority = 7
[solvers.delegations]
"_acme-challenge.Shop.example.com." = "x.challenges.example.net"

[policy]
keys = ["EC-256", "RSA-2048", "ML-DSA-65"]
private_validity_days = 100
max_names = 50
internal_names = ["Corp.example.com"]
[policy.owners]
shop-team = [".example.com", "*..example.com"]
"Web & Co" = []
'''
ACME = 'kind = "acme"\ndirectory = "https://ca.example.com/directory"\n'


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(text)
    return str(caught.value).split("\n")


def acme(line: str) -> str:
    return f"[issuers.ca]\n{ACME}{line}"


def profile(line: str, issuer: str = ACME) -> str:
    return f'[issuers.ca]\n{issuer}[profiles.web]\nissuer = "ca"\n{line}'


def test_every_field_is_taken() -> None:
    """A file that sets everything is read whole, names in their canonical form."""
    found = load(FULL)
    assert found.issuers == {
        "ca": AcmeIssuer(
            name="ca",
            directory="https://ca.example.com:14000/dir?x=1",
            public=False,
            contacts=("mailto:tls@example.com",),
            eab_secret="perennial/eab",
            challenge=ChallengeKind.DNS_PERSIST,
            issuer_domain="ca.example.com",
            origins=("https://other.example.com:8443", "http://127.0.0.1:4001"),
            roots=PEM + PEM,
            directory_roots=PEM,
            keys=("EC-256", "ML-DSA-65"),
        ),
        "local": AcmeIssuer(name="local", directory="http://127.0.0.1:14000/dir"),
        "pca": PcaIssuer(name="pca", authority=AUTHORITY, public=True, keys=("RSA-2048",)),
        "amazon": AcmIssuer(name="amazon", region="us-east-1"),
    }
    assert found.profiles["web"] == Profile(
        name="web",
        issuer="ca",
        keys=("ML-DSA-65", "EC-256"),
        key_home=KeyHome.REQUESTER,
        rotate_key=False,
        validity_days=47,
        usages=("serverAuth", "clientAuth"),
        names=(".shop.example.com", "*.xn--bcher-kva.example", "10.1.0.0/16"),
        wildcards=True,
        addresses=True,
        max_names=25,
        targets=("listener", "api_domain"),
        acme_profile="tlsserver",
        preferred_root="Example Root X1",
    )
    assert found.profiles["internal"].template == "EndEntityServerAuthCertificate_APIPassthrough/V1"
    assert found.profiles["cdn"] == Profile(name="cdn", issuer="amazon", key_home=KeyHome.ISSUER, exportable=True)
    assert found.solvers == Solvers(
        zone_accounts=("111122223333",),
        role_name="Solver",
        delegations={"_acme-challenge.shop.example.com": "x.challenges.example.net"},
        listeners=(LISTENER,),
        rule_priority=7,
    )
    assert found.policy == profiles.Organisation(
        owners={"shop-team": (".example.com", "*..example.com"), "Web & Co": ()},
        keys=("EC-256", "RSA-2048", "ML-DSA-65"),
        private_validity_days=100,
        max_names=50,
        internal_names=("corp.example.com",),
    )


def test_further_issuers_and_distrusted_ones() -> None:
    """A profile names issuers that a request may choose; one that is distrusted may still stand among them."""
    more = f"[issuers.old]\n{ACME}distrusted = true\n"
    found = load(more + profile('issuers = ["old"]'))
    assert found.profiles["web"].issuers == ("old",)
    assert found.issuers["old"].distrusted and not found.issuers["ca"].distrusted


def test_json_and_the_deployed_file_say_the_same() -> None:
    """PEM of many lines and all else survive as JSON, and as the object in S3 that the functions read."""
    assert load(json.dumps(tomllib.loads(FULL))) == load(FULL)

    class Bucket:
        def get_object(self, **where: str) -> dict[str, Any]:
            assert where == {"Bucket": "b", "Key": "k"}
            return {"Body": io.BytesIO(FULL.encode())}

    deployed = Deployment({"PERENNIAL_SETTINGS_BUCKET": "b", "PERENNIAL_SETTINGS_KEY": "k"})
    vars(deployed)["clients"] = lambda service: Bucket()
    assert deployed.settings == load(FULL)


def test_nothing_may_be_issued_unless_it_is_configured() -> None:
    """Without tables there are no issuers, no profiles and no owners; a profile has no names of its own."""
    found = load("")
    assert (found.issuers, found.profiles, found.policy.owners) == ({}, {}, {})
    assert load(profile("")).profiles["web"] == Profile(name="web", issuer="ca")


def test_the_documented_file_is_the_default() -> None:
    """perennial.toml as it stands is the default; with its examples in place it is read without a problem, and every
    field is named in it."""
    text = (ROOT / "perennial.toml").read_text("utf-8")
    assert load(text) == Settings()
    issuance = text[text.index("# [issuers.lets-encrypt]") : text.index("[solvers]")]
    lines = [re.sub(r"^# (?=\[|[a-z_]+ = )", "", line) for line in issuance.splitlines()]
    found = load("\n".join(lines))
    assert {name: each.kind for name, each in found.issuers.items()} == {
        "lets-encrypt": "acme",
        "internal": "acm_pca",
        "amazon": "acm",
    }
    assert found.profiles == {"web": Profile(name="web", issuer="lets-encrypt")}
    assert found.issuers["amazon"] == AcmIssuer(name="amazon")
    assert found.issuers["internal"] == PcaIssuer(name="internal", authority=found.issuers["internal"].authority)
    documented = set(re.findall(r"^(?:# )?([a-z_]+) = ", text, re.MULTILINE))
    for kind in (AcmeIssuer, PcaIssuer, Profile, Solvers, profiles.Organisation):
        fields = set(kind.__dataclass_fields__) - {"name", "owners", "delegations"}
        assert fields <= documented, sorted(fields - documented)
    assert "[policy.owners]" in text and "[solvers.delegations]" in text


DIRECTORY = '[issuers.ca]\nkind = "acme"\ndirectory = '
PCA = '[issuers.ca]\nkind = "acm_pca"\nauthority = '


@pytest.mark.parametrize(
    ("text", "field", "found", "accepted"),
    [
        ("issuers = 1", "issuers", "1", "table"),
        ("issuers.ca = 1", "issuers.ca", "1", "table"),
        ('issuers.CA = {kind = "acm"}', "issuers.CA", "not a name", "[a-z0-9]"),
        (f'issuers.{"a" * 65} = {{kind = "acm"}}', "issuers.a", "not a name", "[a-z0-9]"),
        ("[issuers.ca]", "issuers.ca.kind", "missing", "one of acme, acm_pca, acm"),
        ('issuers.ca.kind = "vault"', "issuers.ca.kind", "vault", "one of acme, acm_pca, acm"),
        ("issuers.ca.kind = []", "issuers.ca.kind", "[]", "one of acme, acm_pca, acm"),
        ('issuers.ca.kind = "acme"', "issuers.ca.directory", "missing", "https URL"),
        (DIRECTORY + "1", "issuers.ca.directory", "1", "https URL"),
        (DIRECTORY + '"http://ca.example.com/dir"', "issuers.ca.directory", "http://ca", "https URL"),
        (DIRECTORY + '"http://128.0.0.1/dir"', "issuers.ca.directory", "http://128", "loopback only"),
        (DIRECTORY + '"http://localhost.example.com/dir"', "issuers.ca.directory", "http://localhost", "loopback only"),
        (DIRECTORY + '"https://"', "issuers.ca.directory", "https://", "https URL"),
        (DIRECTORY + '"https://:443/dir"', "issuers.ca.directory", "https://:443", "https URL"),
        (DIRECTORY + '"https://ca.example.com:99999/"', "issuers.ca.directory", "99999", "https URL"),
        (DIRECTORY + '"https://ca.example.com:0/"', "issuers.ca.directory", ":0", "https URL"),
        (DIRECTORY + '"https://[::1/"', "issuers.ca.directory", "[::1", "https URL"),
        (DIRECTORY + '"https://user@ca.example.com/"', "issuers.ca.directory", "user@", "https URL"),
        (DIRECTORY + '"https://ca.example.com/#x"', "issuers.ca.directory", "#x", "https URL"),
        (DIRECTORY + '"https://ca.example.com/ x"', "issuers.ca.directory", " x", "https URL"),
        (DIRECTORY + '"file:///etc/passwd"', "issuers.ca.directory", "file", "https URL"),
        (acme('contacts = ["tls@example.com"]'), "issuers.ca.contacts", "tls@", "mailto:"),
        (acme('contacts = ["mailto:a@b.c?x=1"]'), "issuers.ca.contacts", "?x=1", "mailto:"),
        (acme('eab_secret = "a b"'), "issuers.ca.eab_secret", "a b", "a text like"),
        (acme('challenge = "tls-alpn-01"'), "issuers.ca.challenge", "tls-alpn-01", "dns-01, http-01, dns-persist-01"),
        (acme('challenge = "dns-persist-01"'), "issuers.ca.issuer_domain", "missing", "dns-persist-01"),
        (acme('issuer_domain = "*.example.com"'), "issuers.ca.issuer_domain", "*.example.com", "a DNS name"),
        (acme('origins = ["https://a.example.com/x"]'), "issuers.ca.origins", "/x", "https://host[:port]"),
        (acme('origins = ["http://a.example.com"]'), "issuers.ca.origins", "http://a", "https://host[:port]"),
        (acme('origins = "https://a.example.com"'), "issuers.ca.origins", "https://a", "a list of origins"),
        (acme('roots = "none"'), "issuers.ca.roots", "this value", "PEM of one or more"),
        (acme("roots = 1"), "issuers.ca.roots", "this value", "PEM of one or more"),
        (acme('directory_roots = "-----BEGIN CERTIFICATE-----"'), "issuers.ca.directory_roots", "value", "whole"),
        (acme("keys = []"), "issuers.ca.keys", "[]", "EC-256, EC-384"),
        (acme('keys = "EC-256"'), "issuers.ca.keys", "EC-256", "a list of some of"),
        (acme('keys = ["EC-256", "EC-256"]'), "issuers.ca.keys", "EC-256", "each once"),
        (acme('keys = ["RSA-1024"]'), "issuers.ca.keys", "RSA-1024", "RSA-2048"),
        (acme("keys = [[]]"), "issuers.ca.keys", "[[]]", "a list of some of"),
        (acme("distrusted = 1"), "issuers.ca.distrusted", "1", "true or false"),
        (profile('issuers = ["none"]'), "profiles.web.issuers", "none is not an issuer", "there are ca"),
        (profile("issuers = [1]"), "profiles.web.issuers", "[1]", "a list of texts"),
        (acme('region = "eu-west-1"'), "issuers.ca.region", "not known", "directory"),
        (PCA + '"arn:aws:acm:eu-west-1:111122223333:certificate/1"', "issuers.ca.authority", "acm:", "ARN of a CA"),
        ('issuers.ca.kind = "acm_pca"', "issuers.ca.authority", "missing", "ARN of a CA"),
        (f'{PCA}"{AUTHORITY}"\nkeys = ["Ed25519"]', "issuers.ca.keys", "Ed25519", "ML-DSA-87"),
        ('issuers.ca = {kind = "acm", region = "Ireland"}', "issuers.ca.region", "Ireland", "a text like"),
        ('issuers.ca = {kind = "acm", keys = ["RSA-4096"]}', "issuers.ca.keys", "RSA-4096", "RSA-2048, EC-256"),
        ('issuers.ca = {kind = "acm", public = false}', "issuers.ca.public", "not known", "region"),
        ("[profiles.web]", "profiles.web.issuer", "missing", "[issuers]"),
        ('profiles.web.issuer = "le"', "profiles.web.issuer", "le is not an issuer", "there are none"),
        ('profiles."a b".issuer = "x"', "profiles.'a b'", "not a name", "[a-z0-9]"),
        (profile('key_home = "hsm"'), "profiles.web.key_home", "hsm", "secret, kms, requester, issuer"),
        (profile("validity_days = 0"), "profiles.web.validity_days", "0", "from 1 to 3650"),
        (profile("max_names = 101"), "profiles.web.max_names", "101", "from 1 to 100"),
        (profile("usages = []"), "profiles.web.usages", "[]", "serverAuth, clientAuth"),
        (profile('usages = ["codeSigning"]'), "profiles.web.usages", "codeSigning", "serverAuth, clientAuth"),
        (profile('names = ["a_b.com"]'), "profiles.web.names", "a_b.com", ".example.com"),
        (profile('names = ["10.1.0.1/16"]'), "profiles.web.names", "10.1.0.1/16", "10.1.0.0/16"),
        (profile('names = ["example.com", 1]'), "profiles.web.names", "example.com", "a list of name rules"),
        (profile('wildcards = "yes"'), "profiles.web.wildcards", "yes", "true or false"),
        (profile('targets = ["Listener"]'), "profiles.web.targets", "Listener", "a list of texts"),
        (profile("acme_profile = 1"), "profiles.web.acme_profile", "1", "a text like"),
        (profile('template = "SubordinateCACertificate_PathLen0/V1"'), "profiles.web.template", "Subord", "EndEntity"),
        (profile('keys = ["ML-DSA-44"]'), "profiles.web.keys", "ML-DSA-44 is not of the issuer ca", "EC-256"),
        (profile('key_home = "issuer"'), "profiles.web.key_home", "issuer", "for ACM"),
        (profile("", 'kind = "acm"\n'), "profiles.web.key_home", "secret", '"issuer" is for ACM'),
        (profile("exportable = true"), "profiles.web.exportable", "acme", "kind acm only"),
        (profile('template = "EndEntityCertificate/V1"'), "profiles.web.template", "acme", "kind acm_pca only"),
        (
            profile('acme_profile = "x"', f'kind = "acm_pca"\nauthority = "{AUTHORITY}"\n'),
            "profiles.web.acme_profile",
            "acm_pca",
            "kind acme only",
        ),
        (profile("validity_days = 398", ACME + "public = false\n"), "profiles.web.validity_days", "398", "1 to 397"),
        (profile("", ACME + "distrusted = true\n"), "profiles.web.issuer", "ca is distrusted", "one that is not"),
        (
            profile('issuers = ["small"]', ACME + f'[issuers.small]\n{ACME}keys = ["RSA-2048"]\n'),
            "profiles.web.keys",
            "EC-256 is not of the issuer small",
            "it takes RSA-2048",
        ),
        ("policy.max_names = 9\n" + profile(""), "profiles.web.max_names", "10 is more", "1 to 9"),
        ('policy.keys = ["RSA-2048"]\n' + profile(""), "profiles.web.keys", "EC-256 is not in policy.keys", "RSA-2048"),
        ('solvers.zone_accounts = ["1"]', "solvers.zone_accounts", "1", "[0-9]{12}"),
        ('solvers.role_name = ""', "solvers.role_name", "''", "a text like"),
        ('solvers.delegations = {"x.example.com" = "y.example.com"}', "solvers.delegations", "x.ex", "_acme-challenge"),
        ('solvers.delegations = {"_acme-challenge.a.com" = "a b"}', "solvers.delegations", "a b", "_acme-challenge"),
        ('solvers.delegations = {"_acme-challenge.a.com" = 1}', "solvers.delegations", "1", "_acme-challenge"),
        (f'solvers.listeners = ["{LISTENER.replace("/app/", "/net/")}"]', "solvers.listeners", "arn:", "listener/app/"),
        ("solvers.rule_priority = 50001", "solvers.rule_priority", "50001", "from 1 to 50000"),
        ('policy.keys = ["EC-521"]', "policy.keys", "EC-521", "EC-256"),
        ("policy.private_validity_days = 3651", "policy.private_validity_days", "3651", "from 1 to 3650"),
        ("policy.max_names = 0", "policy.max_names", "0", "from 1 to 100"),
        ('policy.internal_names = ["*.corp.example.com"]', "policy.internal_names", "*.corp", "corp.example.com"),
        ('policy.internal_names = ["10.0.0.1"]', "policy.internal_names", "10.0.0.1", "corp.example.com"),
        ('policy.owners = ["shop"]', "policy.owners", "shop", "a table"),
        ('policy.owners.shop = "a.example.com"', "policy.owners.shop", "a.example.com", "a list of name rules"),
        ('policy.owners.shop = ["*"]', "policy.owners.shop", "'*'", "*..example.com"),
        ('policy.owners." " = []', "policy.owners", "' '", "not an owner"),
        ("policy.colour = 1", "policy.colour", "not known", "internal_names"),
    ],
)
def test_a_problem_names_field_finding_and_what_is_accepted(text: str, field: str, found: str, accepted: str) -> None:
    """One line for each problem, with all that is needed to repair it."""
    (line,) = problems(text)
    assert line.startswith(f"{field}: ") or (field.endswith(".a") and line.startswith(field)), line
    assert found in line and accepted in line, line
    assert len(line) < 500


def test_all_problems_are_told_at_once() -> None:
    """Problems of every table, and of what does not fit together, come in one message."""
    text = """
    solvers.rule_priority = 0
    policy.max_names = 1000
    [issuers.ca]
    kind = "acme"
    directory = "ftp://x"
    colour = 1
    [issuers.other]
    kind = "vault"
    [profiles.web]
    issuer = "nobody"
    names = ["*", "example.com", "a b"]
    [profiles.api]
    issuer = "other"
    [profiles.mail]
    issuer = "ca"
    exportable = true
    """
    assert [line.split(":")[0] for line in problems(text)] == [
        "issuers.ca.colour",
        "issuers.ca.directory",
        "issuers.other.kind",
        "policy.max_names",
        "profiles.mail.exportable",
        "profiles.web.issuer",
        "profiles.web.names",
        "profiles.web.names",
        "solvers.rule_priority",
    ]


@pytest.mark.parametrize(("count", "fine"), [(100, True), (101, False)])
def test_there_are_bounds_on_tables(count: int, fine: bool) -> None:
    """A hundred issuers are read, and not one more."""
    text = "\n".join(f'issuers.a{each}.kind = "acm"' for each in range(count))
    if fine:
        assert len(load(text).issuers) == count
    else:
        assert problems(text) == ["issuers: 101 tables; at most 100 are read"]


@pytest.mark.parametrize(("count", "fine"), [(1_000, True), (1_001, False)])
def test_there_are_bounds_on_rules_and_owners(count: int, fine: bool) -> None:
    """A thousand rules of one owner are read, and a thousand owners, and not one more."""
    for policy in ({"owners": {"a": ["a.example"] * count}}, {"owners": {f"a{each}": [] for each in range(count)}}):
        text = json.dumps({"policy": policy})
        if fine:
            assert load(text).policy.owners
        else:
            (line,) = problems(text)
            assert line.startswith("policy.owners")


def test_a_key_among_roots_is_refused_and_not_shown() -> None:
    """A private key that was pasted in place of roots, or among them, stands in no message."""
    secret = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
    key = f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"
    for pem in (key, PEM + key, secret, PEM + PEM[:200]):
        (line,) = problems(json.dumps({"issuers": {"ca": {"kind": "acm", "roots": pem}}}))
        assert line == "issuers.ca.roots: this value is not PEM of one or more whole certificates"


def test_roots_are_bounded_and_readable() -> None:
    """Roots beyond the bound, and blocks that hold no certificate, are refused; comments between them are not."""
    broken = "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n"
    for pem in (PEM * 400, broken, "-----BEGIN CERTIFICATE-----\nMAMwAQA=\n-----END CERTIFICATE-----\n"):
        assert len(problems(json.dumps({"issuers": {"ca": {"kind": "acm", "roots": pem}}}))) == 1
    commented = f"Example Root\n{PEM}\n# another\n{PEM}"
    assert load(json.dumps({"issuers": {"ca": {"kind": "acm", "roots": commented}}})).issuers["ca"].roots == commented


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["acme", "acm", "EC-256", "*."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["kind", "directory", "keys", "origins", "roots", "issuer", "names", "usages", "owners", "delegations", "x"]
tables = st.dictionaries(st.sampled_from(FIELDS), values)


@example_settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["issuers", "profiles", "solvers", "policy"]),
        values | tables | st.dictionaries(st.sampled_from(["a", "b", "A"]), tables | values),
    )
)
def test_no_document_makes_the_reader_fail(document: dict[str, Any]) -> None:
    """Any JSON is either taken or refused with lines of bounded length."""
    try:
        load(json.dumps(document))
    except InvalidConfiguration as error:
        assert all(len(line) < 700 for line in str(error).split("\n"))
