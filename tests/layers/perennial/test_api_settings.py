"""`[api]` of perennial.toml: what it may say, its defaults, and every problem at once."""

from __future__ import annotations

import tomllib

import pytest

from perennial.api_settings import Api, Oidc, api, principal_name, user_pool
from perennial.roles import Grant, Role
from perennial.settings_table import Table
from perennial.sign_in import SignIn

OIDC = 'issuer = "https://login.example.com/r"\nkeys = "https://keys.example.com/k.json"\naudiences = ["perennial"]\n'
ARN = "arn:aws:iam::111122223333:role/pipeline"


def read(text: str) -> tuple[Api, list[str]]:
    problems: list[str] = []
    return api(Table(tomllib.loads(text), "api", problems)), problems


def good(text: str) -> Api:
    found, problems = read(text)
    assert problems == []
    return found


def oidc(text: str) -> Oidc:
    found = good(f"[api.oidc]\n{text}").oidc
    assert found is not None
    return found


def test_nothing_needs_to_be_configured() -> None:
    """Then keys stay where they are, the deployment's user pool signs people in, and no group means anything."""
    assert good("") == Api(export_keys=False, oidc=None, groups={}, principals={}, people={})


def test_an_issuer() -> None:
    """What is needed, and the defaults of the rest."""
    assert oidc(OIDC) == Oidc(
        issuer="https://login.example.com/r",
        keys="https://keys.example.com/k.json",
        audiences=("perennial",),
        also_for=(),
        kind="oidc",
        tokens="id",
        algorithms=("RS256",),
        groups_claim="groups",
        max_hours=24,
    )
    more = (
        'also_for = ["u"]\ntokens = "access"\nalgorithms = ["ES256", "PS256"]\ngroups_claim = "roles"\nmax_hours = 1\n'
    )
    found = oidc(OIDC + more)
    assert (found.also_for, found.tokens, found.algorithms) == (("u",), "access", ("ES256", "PS256"))
    assert (found.groups_claim, found.max_hours) == ("roles", 1)


SIGN_IN = (
    'client = "perennial"\nauthorization_endpoint = "https://login.example.com/a"\n'
    'token_endpoint = "https://tokens.example.com/t"\n'
)


def test_signing_in() -> None:
    """Client and endpoints say how people sign in; without them they bring their tokens themselves."""
    assert oidc(OIDC).sign_in is None
    assert oidc(OIDC + SIGN_IN).sign_in == SignIn(
        issuer="https://login.example.com/r",
        client="perennial",
        authorization="https://login.example.com/a",
        token="https://tokens.example.com/t",
        revocation="",
        scopes=("openid", "profile", "email"),
        tokens="id",
    )
    more = 'revocation_endpoint = "https://login.example.com/x"\nscopes = ["openid", "offline_access"]\n'
    found = oidc(OIDC + SIGN_IN.replace('"perennial"', '"other"') + more + 'tokens = "access"').sign_in
    assert found and (found.client, found.tokens) == ("other", "access")  # access tokens are for another audience
    assert (found.revocation, found.scopes) == ("https://login.example.com/x", ("openid", "offline_access"))


def test_a_user_pool() -> None:
    """Of Cognito it is known where the keys are and what the groups are called, deployed or configured."""
    pool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI"
    assert oidc(f'kind = "cognito"\nissuer = "{pool}"\naudiences = ["client"]') == user_pool(pool, "client")
    assert user_pool(pool, "client").keys == f"{pool}/.well-known/jwks.json"
    assert user_pool(pool, "client").groups_claim == "cognito:groups"


def test_grants() -> None:
    """Groups and principals have the grants that stand there; people, whose they are."""
    found = good(f"""
[api]
export_keys = true
[api.groups]
shop = ["requester@shop/prod", "viewer@shop", "viewer@shop"]
"/kc/Admins & Co" = ["admin"]
nothing = []
[api.principals]
"{ARN}" = ["requester@Shop Team"]
"arn:aws:iam::111122223333:user/division/ada" = ["auditor"]
[api.people]
"arn:aws-cn:iam::111122223333:role/path/to/ada" = "Ada@Example.com"
"https://login.example.com/r#0af3" = "ada@example.com"
""")
    assert found.export_keys is True
    assert found.groups["shop"] == (
        Grant(role=Role.REQUESTER, team="shop", environment="prod"),
        Grant(role=Role.VIEWER, team="shop"),
    )
    assert (found.groups["/kc/Admins & Co"], found.groups["nothing"]) == ((Grant(role=Role.ADMIN),), ())
    assert found.principals == {
        ARN: (Grant(role=Role.REQUESTER, team="Shop Team"),),
        "arn:aws:iam::111122223333:user/ada": (Grant(role=Role.AUDITOR),),
    }
    assert found.people == {
        "arn:aws-cn:iam::111122223333:role/ada": "ada@example.com",
        "https://login.example.com/r#0af3": "ada@example.com",
    }


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (ARN, ARN),
        ("arn:aws:iam::111122223333:role/a/b/c", "arn:aws:iam::111122223333:role/c"),
        ("arn:aws:iam::111122223333:role/", None),
        ("arn:aws:iam::111122223333:role/*", None),
        ("arn:aws:iam::111122223333:root", None),
        ("arn:aws:iam::111122223333:group/g", None),
        ("arn:aws:iam::11112222333:role/r", None),
        ("arn:aws:iam::111122223333:role/r\n", None),
        ("arn:aws:sts::111122223333:assumed-role/r/s", None),
    ],
)
def test_names_of_principals(arn: str, name: str | None) -> None:
    """Roles and users, without their path; nothing else, and no wildcard."""
    assert principal_name(arn) == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[api]\nexport_keys = 1", "api.export_keys: '1' is not true or false"),
        ("[api]\nroles = {}", "api.roles: not known; there are export_keys, oidc, groups, principals, people"),
        ("[api]\noidc = 7", "api.oidc: '7' is not a table"),
        ("[api.oidc]\nkind = 'oidc'", "api.oidc.issuer: missing"),
        ("[api.oidc]\nkind = 'oidc'", "api.oidc.keys: missing; it must be the `jwks_uri`"),
        ("[api.oidc]\nkind = 'oidc'", "api.oidc.audiences: missing"),
        ("[api.oidc]\nkind = 'saml'", "api.oidc.kind: saml is not one of oidc, cognito"),
        (f"[api.oidc]\n{OIDC}algorithms = ['HS256']", "api.oidc.algorithms: "),
        (f"[api.oidc]\n{OIDC}algorithms = ['none']", "api.oidc.algorithms: "),
        (f"[api.oidc]\n{OIDC}algorithms = []", "api.oidc.algorithms: "),
        (f"[api.oidc]\n{OIDC}tokens = 'refresh'", "api.oidc.tokens: refresh is not one of id, access"),
        (f"[api.oidc]\n{OIDC}max_hours = 25", "api.oidc.max_hours: '25' is not a whole number from 1 to 24"),
        (f"[api.oidc]\n{OIDC}also_for = 'x'", "api.oidc.also_for: x is not a list of texts"),
        (f"[api.oidc]\n{OIDC}secret = 'x'", "api.oidc.secret: not known; there are kind, issuer, keys, audiences,"),
        (f"[api.oidc]\n{OIDC.replace('[', '').replace(']', '')}", "api.oidc.audiences: perennial is not a list"),
        (f"[api.oidc]\n{OIDC.replace('perennial', '')}", "api.oidc.audiences: "),
        (f"[api.oidc]\n{OIDC}client = 'perennial'", "api.oidc.client: signing in needs client, authorization_endpoint"),
        (f"[api.oidc]\n{OIDC}revocation_endpoint = 'https://a'", "api.oidc.client: signing in needs client, "),
        (f"[api.oidc]\n{OIDC}{SIGN_IN.replace('perennial', 'other')}", "api.oidc.client: it must be one of audiences"),
        (
            f"[api.oidc]\n{OIDC}{SIGN_IN.replace('perennial', 'a b')}",
            "api.oidc.client: 'a b' is not the id of a public",
        ),
        (f"[api.oidc]\n{OIDC}{SIGN_IN.replace('https://tokens', 'http://tokens')}", "api.oidc.token_endpoint: "),
        (f"[api.oidc]\n{OIDC}{SIGN_IN}scopes = ['email']", "api.oidc.scopes: \"['email']\" is not a list of at most"),
        (f"[api.oidc]\n{OIDC}{SIGN_IN}scopes = ['openid', 'a b']", "api.oidc.scopes: "),
        ("[api]\ngroups = []", "api.groups: '[]' is not a table of at most 500 lists of grants"),
        ("[api.groups]\nshop = 'viewer'", "api.groups.shop: viewer is not a list of at most 50 grants"),
        ("[api.groups]\nshop = ['root']", "api.groups.shop: root is no grant: root is no role"),
        (
            "[api.groups]\nshop = ['viewer@shop', 'admin@shop']",
            "api.groups.shop: 'admin@shop' is no grant: admin is for",
        ),
        ("[api.groups]\nshop = [7]", "api.groups.shop: '[7]' is not a list"),
        ('[api.groups]\n"" = []', "api.groups: '' is not the name of a group"),
        ('[api.groups]\n" a" = []', "api.groups: ' a' is not the name of a group"),
        ('[api.groups]\n"a\\u202eb" = []', "api.groups: 'a\\u202eb' is not the name of a group"),
        ('[api.principals]\n"*" = []', "api.principals: '*' is not the ARN of an IAM role or user"),
        (
            f'[api.principals]\n"{ARN}" = []\n"{ARN.replace("pipeline", "p/pipeline")}" = []',
            "api.principals: 'arn:aws:iam::111122223333:role/p/pipeline' is twice there",
        ),
        (f'[api.people]\n"{ARN}" = "ada"', "api.people: ada is not an e-mail address"),
        (f'[api.people]\n"{ARN}" = 7', "api.people: '7' is not an e-mail address"),
        ('[api.people]\n"ada" = "ada@example.com"', "api.people: ada is not the ARN of an IAM role or user"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    """Each problem has the field, what was found and what is accepted."""
    _, problems = read(text)
    assert any(each.startswith(problem) for each in problems), problems
    assert all(each.isprintable() for each in problems)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/r",
        "HTTPS://login.example.com/r",
        "https://user@login.example.com/r",
        "https://login.example.com/r?x=1",
        "https://login.example.com/r#x",
        "https://login.example.com:0/r",
        "https://login.example.com:x/r",
        "https:///r",
        "https://login.example.com\\\\@evil.example.com/",
        "https://login.example.com/ r",
        "https://[::1]/r",
        "file:///etc/passwd",
        "https://" + "a" * 520,
        "",
    ],
)
def test_urls(url: str) -> None:
    """Issuer and keys are plain https URLs; nothing else is ever asked."""
    for field, other in (("issuer", "keys"), ("keys", "issuer")):
        text = f'[api.oidc]\n{field} = "{url}"\n{other} = "https://login.example.com"\naudiences = ["a"]'
        found, problems = read(text)
        assert [each.split(":")[0] for each in problems] == [f"api.oidc.{field}"]
        assert found.oidc is None


def test_one_problem_for_one_mistake() -> None:
    """A client that is none is not missing besides."""
    _, problems = read(f"[api.oidc]\n{OIDC}{SIGN_IN.replace('perennial', 'a b')}")
    assert len(problems) == 1


def test_all_problems_at_once() -> None:
    """One reading tells all of them, and an issuer with a problem is none."""
    found, problems = read("[api]\nexport_keys = 1\n[api.oidc]\nkind = 'x'\n[api.groups]\na = ['b', 'c']")
    assert len(problems) == 7
    assert (found.oidc, found.groups) == (None, {"a": ()})
