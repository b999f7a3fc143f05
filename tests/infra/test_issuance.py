"""The deployed Issuance: its definition, and what each of its functions may do with which configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.infra import conftest, test_approval, test_permissions, test_renewal, test_rollout
from tests.infra.conftest import BUS, HUB, MEMBER_REGION, Synthesised, as_list

from perennial import key_store, kms_keys
from perennial.errors import RETRYABLE
from perennial.issuers import acm, acm_pca, acme
from perennial.solvers import route53

FUNCTIONS = ("Prepare", "Advance", "Store", "CleanUp", "GiveUp", "Http01Answer")
READ_TABLE = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}
SHARED = test_permissions.TABLE | test_permissions.LOGS
AUTHORITY = "arn:aws:acm-pca:eu-central-1:111122223333:certificate-authority/11111111-2222-3333-4444-555555555555"
SECRETS = "arn:<AWS::Partition>:secretsmanager:eu-central-1:111122223333:secret:"
CERTIFICATES, ACCOUNT, BINDING = (
    f"{SECRETS}{name}"
    for name in ("perennial/certificates/*", "perennial/acme/letsencrypt-??????", "acme/binding-??????")
)
BUCKET = "<ManifestsBucket99AD6324.Arn>"
REPORTS = f"{BUCKET}/audit-report/*"
TABLE = "<InventoryTable40A3050B.Arn>"
ZONES, CHANGES = (f"arn:<AWS::Partition>:route53:::{kind}/*" for kind in ("hostedzone", "change"))
SOLVER = "arn:<AWS::Partition>:iam::444455556666:role/PerennialSolver"
LISTING = {"route53:ListHostedZones", "route53:ListHostedZonesByName"}
CHANGE = "route53:ChangeResourceRecordSets"
Synthesise = Callable[..., Synthesised]

# --- the definition ---


@pytest.fixture(scope="module")
def definition(hub: Synthesised) -> dict[str, Any]:
    return hub.definition("PerennialIssuance")


@pytest.fixture(scope="module")
def states(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(definition["States"])


def _following(state: Mapping[str, Any]) -> set[str]:
    """Where a state may lead."""
    named = [state.get("Next"), state.get("Default")]
    named += [each["Next"] for each in (*state.get("Choices", ()), *state.get("Catch", ()))]
    return {each for each in named if each}


def _reached(states: Mapping[str, Any], start: str, without: str = "") -> set[str]:
    """Every state that may be reached from one, on ways that do not lead through another."""
    found, ways = set(), [start]
    while ways:
        name = ways.pop()
        if name not in found and name != without:
            found.add(name)
            ways += _following(states[name])
    return found


def test_states(definition: dict[str, Any], states: dict[str, dict[str, Any]]) -> None:
    """The states are these, all of them reached, and each calls its own function."""
    tasks = {name: state["Resource"] for name, state in states.items() if state["Type"] == "Task"}
    assert {name: resource.strip("<").partition("Function")[0] for name, resource in tasks.items()} == {
        "Prepare": "Prepare",
        "Advance": "Advance",
        "Store": "Store",
        "Clean up": "CleanUp",
        "Give up": "GiveUp",
    }
    others = {name: state["Type"] for name, state in states.items() if state["Type"] != "Task"}
    assert others == {
        "What next?": "Choice",
        "Wait": "Wait",
        "How did it end?": "Choice",
        "Issued": "Succeed",
        "Postponed": "Succeed",
        "Not issued": "Fail",
    }
    assert definition["StartAt"] == "Prepare"
    assert _reached(states, "Prepare") == set(states)


def test_every_step_goes_on_as_it_says(states: dict[str, dict[str, Any]]) -> None:
    """wait, advance and store lead to their states, everything else to Clean up; a wait lasts as long as the step
    says, and is followed by the next advance."""
    choices = {each["StringEquals"]: each["Next"] for each in states["What next?"]["Choices"]}
    assert choices == {"wait": "Wait", "advance": "Advance", "store": "Store"}
    assert {each["Variable"] for each in states["What next?"]["Choices"]} == {"$.step.next"}
    assert states["What next?"]["Default"] == "Clean up"
    assert (states["Wait"]["SecondsPath"], states["Wait"]["Next"]) == ("$.step.seconds", "Advance")
    assert [states[name]["Next"] for name in ("Prepare", "Advance", "Store", "Give up", "Clean up")] == [
        "What next?",
        "What next?",
        "Clean up",
        "Clean up",
        "How did it end?",
    ]


def test_how_it_ends(states: dict[str, dict[str, Any]]) -> None:
    """A version that failed fails the execution with its message; one that waits does not."""
    ends = states["How did it end?"]
    assert {each["StringEquals"]: each["Next"] for each in ends["Choices"]} == {
        "failed": "Not issued",
        "postponed": "Postponed",
    }
    assert ends["Default"] == "Issued"
    assert states["Not issued"] == {"Type": "Fail", "Error": "NotIssued", "CausePath": "$.step.doing"}


@pytest.mark.parametrize("name", ["Prepare", "Advance", "Store"])
def test_whatever_fails_is_recorded(states: dict[str, dict[str, Any]], name: str) -> None:
    """Whatever a step ends in, Give up records it."""
    caught = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Give up"}
    assert states[name]["Catch"] == [caught]


def test_challenges_are_removed_on_every_way(states: dict[str, dict[str, Any]]) -> None:
    """No way from the start to an end misses Clean up, which every other state can reach."""
    ends = {name for name, state in states.items() if state["Type"] in ("Succeed", "Fail")}
    assert _reached(states, "Prepare", without="Clean up") & ends == set()
    before = set(states) - ends - {"How did it end?"}
    assert [name for name in before if "Clean up" not in _reached(states, name)] == []


def test_retries_what_is_retryable(states: dict[str, dict[str, Any]]) -> None:
    """Every call is made again for exactly the retryable errors and Lambda's own; a rate limit is none of them."""
    for state in (each for each in states.values() if each["Type"] == "Task"):
        (retry,) = state["Retry"]
        assert [each for each in retry["ErrorEquals"] if "." not in each] == [each.__name__ for each in RETRYABLE]
        assert all(each.startswith("Lambda.") for each in retry["ErrorEquals"] if "." in each)
        assert (retry["JitterStrategy"], retry["BackoffRate"], retry["MaxAttempts"]) == ("FULL", 2, 6)


def test_only_references_are_carried(states: dict[str, dict[str, Any]]) -> None:
    """A state gets the version's name, Give up the error as well; the execution carries these and the last step."""
    given = {name: set(state["Parameters"]) for name, state in states.items() if state["Type"] == "Task"}
    others = ("Prepare", "Advance", "Store", "Clean up")
    assert given == {**{name: {"version.$"} for name in others}, "Give up": {"version.$", "error.$"}}
    kept = {name: state["ResultPath"] for name, state in states.items() if state["Type"] == "Task"}
    assert kept == {**dict.fromkeys(others, "$.step"), "Give up": None}
    carrying = ("Assign", "ItemSelector", "Output", "OutputPath", "Result", "ResultSelector")
    assert [name for name, state in states.items() if set(carrying) & set(state)] == []


def test_it_lasts_longer_than_acm_waits(definition: dict[str, Any]) -> None:
    """ACM looks for validation records for 72 hours; the execution may take four days."""
    assert definition["TimeoutSeconds"] == 4 * 86_400


# --- what functions may do ---


def granted(stack: Synthesised, function: str) -> dict[str, set[str]]:
    """Action → the resources on which a function may do it."""
    role = next(name for name in stack.of("AWS::IAM::Role") if name.startswith(f"{function}Role"))
    found: dict[str, set[str]] = {}
    for policy in stack.of("AWS::IAM::Policy").values():
        if {"Ref": role} in policy["Properties"]["Roles"]:
            allowed = (
                each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"
            )
            for said in allowed:
                for action in as_list(said["Action"]):
                    found.setdefault(action, set()).update(map(written, as_list(said["Resource"])))
    return found


def own(stack: Synthesised, function: str) -> dict[str, set[str]]:
    """The same without table, key, log and settings, which every step has."""
    found = {action: on for action, on in granted(stack, function).items() if action not in SHARED}
    settings = {on for on in found.get("s3:GetObject", set()) if "-assets-" in on}
    if settings:
        found["s3:GetObject"] -= settings
    return {action: on for action, on in found.items() if on}


def written(value: Any) -> str:
    """A resource of a policy as a text, `<Logical.Arn>` in the place of what is not known yet."""
    match value:
        case {"Fn::Join": [delimiter, parts]}:
            return str(delimiter).join(map(written, parts))
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
    return str(value)


def _on(resources: set[str], actions: Any) -> dict[str, set[str]]:
    return {action: set(resources) for action in actions}


def _in_zones() -> dict[str, set[str]]:
    """What showing a challenge needs."""
    declared = set(route53.ACTIONS)
    reading = declared - LISTING - {CHANGE}
    return {
        **_on({"*"}, LISTING & declared),
        **_on({ZONES, CHANGES}, reading),
        CHANGE: {ZONES},
        "sts:AssumeRole": {SOLVER},
    }


def _of(service: str, actions: Any) -> set[str]:
    return {each for each in actions if each.startswith(f"{service}:")}


def _accounts() -> dict[str, set[str]]:
    """The ACME account's secret, and reading its binding's."""
    return {**_on({ACCOUNT}, acme.ACTIONS), "secretsmanager:GetSecretValue": {ACCOUNT, BINDING}}


def test_prepare_makes_and_stores_keys(hub: Synthesised) -> None:
    """Prepare writes the secrets of certificates and makes keys in KMS, as their modules declare; it talks to nobody
    else."""
    assert own(hub, "Prepare") == {
        **_on({CERTIFICATES}, _of("secretsmanager", key_store.ACTIONS)),
        **_on({"*"}, kms_keys.ACTIONS),
    }


def test_advance_talks_to_issuers_and_reads_no_key(hub: Synthesised) -> None:
    """Advance does what issuers and solvers declare, on the configured CA and account; it can read no certificate's
    secret, export and revoke nothing."""
    assert own(hub, "Advance") == {
        **_on({AUTHORITY}, _of("acm-pca", acm_pca.ACTIONS)),
        **_on({REPORTS}, {"s3:GetObject", "s3:PutObject"}),
        "s3:ListBucket": {BUCKET},
        **_on({"*"}, acm.ACTIONS),
        **_accounts(),
        **_in_zones(),
        "dynamodb:DeleteItem": {TABLE},
    }
    assert {"s3:GetObject", "s3:PutObject", "s3:ListBucket"} == _of("s3", acm_pca.ACTIONS)


def test_store_judges_and_stores(hub: Synthesised) -> None:
    """Store writes certificates beside their keys, and asks an issuer for a root, an export or a revocation, never for
    a certificate."""
    secrets = {action: set(on) for action, on in _accounts().items()}
    for action in _of("secretsmanager", key_store.ACTIONS):
        secrets.setdefault(action, set()).add(CERTIFICATES)
    assert own(hub, "Store") == {
        **_on({AUTHORITY}, acm_pca.OF_STORING),
        **_on({"*"}, acm.OF_STORING),
        **secrets,
    }
    assert not {"acm-pca:IssueCertificate", "acm:RequestCertificate", CHANGE} & set(granted(hub, "Store"))


def test_clean_up_removes_challenges(hub: Synthesised) -> None:
    """Clean up does what solvers declare, and deletes items of the table: files that were shown."""
    assert own(hub, "CleanUp") == {**_in_zones(), "dynamodb:DeleteItem": {TABLE}}


def test_give_up_writes_the_table_only(hub: Synthesised) -> None:
    """Recording a failure needs nothing but the table."""
    assert own(hub, "GiveUp") == {}
    assert set(granted(hub, "GiveUp")) == SHARED


def test_http01_reads_the_table_only(hub: Synthesised) -> None:
    """What answers anyone's requests can read the table, and write nothing but its log."""
    assert set(granted(hub, "Http01Answer")) == READ_TABLE | test_permissions.LOGS | {"kms:Decrypt"}


def test_who_deletes(hub: Synthesised) -> None:
    """Only clean up may delete any item of the table; advance what waits for an issuer, retire what was placed, the API
    the replies of idempotency keys."""
    keys = {}
    for name in hub.of("AWS::IAM::Role"):
        function = name.partition("Role")[0]
        for said in _statements(hub, function) if "dynamodb:DeleteItem" in hub.actions(name) else ():
            if "dynamodb:DeleteItem" in as_list(said["Action"]) and said["Effect"] == "Allow":
                ((_, only),) = said.get("Condition", {"": {}}).items()
                keys[function] = only.get("dynamodb:LeadingKeys")
    own = {"Advance": ["ISSUER#*"], "Retire": ["MANAGED#*"], "ApiHandle": ["IDEMPOTENCY"]}
    assert keys == {"CleanUp": None, **own}


@pytest.mark.parametrize("function", ["Advance", "CleanUp"])
def test_only_challenges_can_bewritten_into_zones(hub: Synthesised, function: str) -> None:
    """Records of other types than TXT and CNAME cannot be changed."""
    _pinned_to_challenges(json.dumps(_statements(hub, function)))


def _statements(stack: Synthesised, function: str) -> list[dict[str, Any]]:
    role = next(name for name in stack.of("AWS::IAM::Role") if name.startswith(f"{function}Role"))
    policies = [each["Properties"] for each in stack.of("AWS::IAM::Policy").values()]
    return [said for each in policies if {"Ref": role} in each["Roles"] for said in each["PolicyDocument"]["Statement"]]


def _pinned_to_challenges(text: str) -> None:
    changing = [each for each in json.loads(text) if CHANGE in as_list(each["Action"])]
    kinds = {"route53:ChangeResourceRecordSetsRecordTypes": ["TXT", "CNAME"]}
    assert [each["Condition"] for each in changing] == [{"ForAllValues:StringEquals": kinds}]
    assert [as_list(each["Action"]) for each in changing] == [[CHANGE]]


def test_every_function_is_pinned(hub: Synthesised) -> None:
    """Each function's role is in a table of a test: here, or in the test of permissions."""
    roles = {each["Properties"]["Role"]["Fn::GetAtt"][0] for each in hub.of("AWS::Lambda::Function").values()}
    named = {name.partition("Role")[0].removeprefix("Dispatch") for name in roles}
    own = {*FUNCTIONS, *test_permissions.OWN, *test_rollout.FUNCTIONS, *test_renewal.FUNCTIONS}
    own |= set(test_approval.FUNCTIONS)
    assert named == {*own, "Scan", "CallbackReport", "AuditCheckpoint", "ApiHandle", "ApiAuthorizer", "ApiPage"}


# --- other configurations ---

DISCOVERY = '[discovery]\naccounts = ["111122223333"]\n'
BY_DNS = '[issuers.ca]\nkind = "acme"\ndirectory = "https://ca.example/directory"\n'
BY_FILES = BY_DNS + 'challenge = "http-01"\n'
PCA = f'[issuers.inside]\nkind = "acm_pca"\nauthority = "{AUTHORITY}"\n'
ACM = '[issuers.amazon]\nkind = "acm"\n'


@pytest.fixture(scope="module")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synthesise]:
    """Synthesises the hub with some perennial.toml, or with `hub` in the context the member; each once."""
    made: dict[tuple[str, str], Synthesised] = {}

    def synthesised(text: str, **context: str) -> Synthesised:
        if (key := (text, str(context))) not in made:
            made[key] = _made(tmp_path_factory.mktemp("issuance"), text, context)
        return made[key]

    yield synthesised


def _made(directory: Path, text: str, context: Mapping[str, str]) -> Synthesised:
    (directory / "perennial.toml").write_text(text)
    (directory / "deps" / "python").mkdir(parents=True)
    (directory / "deps" / "python" / "package.py").touch()
    where = {"account": HUB, "region": MEMBER_REGION, "deps": str(directory / "deps")}
    return conftest.synthesise(directory, dict(context) or where)


def _services(stack: Synthesised) -> dict[str, set[str]]:
    """Which services each step may use, beside the table, the key and the log."""
    found = {each: {action.partition(":")[0] for action in own(stack, each)} for each in FUNCTIONS[:5]}
    return {function: services for function, services in found.items() if services}


@pytest.mark.parametrize(
    ("text", "services"),
    [
        pytest.param("", {"Advance": {"dynamodb"}, "CleanUp": {"dynamodb"}}, id="no issuer"),
        pytest.param(
            BY_DNS,
            {
                "Prepare": {"secretsmanager"},
                "Advance": {"dynamodb", "secretsmanager", "route53"},
                "Store": {"secretsmanager"},
                "CleanUp": {"dynamodb", "route53"},
            },
            id="ACME with dns-01",
        ),
        pytest.param(
            BY_FILES,
            {
                "Prepare": {"secretsmanager"},
                "Advance": {"dynamodb", "secretsmanager"},
                "Store": {"secretsmanager"},
                "CleanUp": {"dynamodb"},
            },
            id="ACME with http-01",
        ),
        pytest.param(
            PCA,
            {
                "Prepare": {"secretsmanager"},
                "Advance": {"dynamodb", "acm-pca", "s3"},
                "Store": {"secretsmanager", "acm-pca"},
                "CleanUp": {"dynamodb"},
            },
            id="ACM PCA",
        ),
        pytest.param(
            ACM,
            {
                "Prepare": {"secretsmanager"},
                "Advance": {"dynamodb", "acm", "tag", "route53"},
                "Store": {"secretsmanager", "acm"},
                "CleanUp": {"dynamodb", "route53"},
            },
            id="ACM",
        ),
    ],
)
def test_what_is_not_configured_is_not_granted(
    synthesise: Synthesise, text: str, services: Mapping[str, set[str]]
) -> None:
    """Without issuers no function may touch secrets, zones or CAs; with one kind, only what that kind needs."""
    assert _services(synthesise(DISCOVERY + text)) == services


@pytest.mark.parametrize(("text", "lets"), [("", False), (BY_DNS + ACM, False), (PCA, True)])
def test_acm_pca_writes_reports_only_where_it_is_configured(synthesise: Synthesise, text: str, lets: bool) -> None:
    """The bucket and its key let ACM PCA in only with a CA in the configuration, for this account, and only to write
    reports."""
    stack = synthesise(DISCOVERY + text)
    bucket = next(each for name, each in stack.of("AWS::S3::BucketPolicy").items() if name.startswith("Manifests"))
    key = stack.of("AWS::KMS::Key")["EncryptionKey3A692D6E"]
    of_bucket, of_key = (
        [each for each in document["Statement"] if "acm-pca.amazonaws.com" in json.dumps(each["Principal"])]
        for document in (bucket["Properties"]["PolicyDocument"], key["Properties"]["KeyPolicy"])
    )
    assert bool(of_bucket) == bool(of_key) == lets
    for each in (*of_bucket, *of_key):
        assert each["Condition"] == {"StringEquals": {"aws:SourceAccount": HUB}}
    found = {action: written(each["Resource"]) for each in of_bucket for action in as_list(each["Action"])}
    reports = dict.fromkeys(("s3:PutObject", "s3:PutObjectAcl"), REPORTS)
    whole = dict.fromkeys(("s3:GetBucketAcl", "s3:GetBucketLocation"), BUCKET)
    assert found == (reports | whole if lets else {})


def test_http01_only_with_listeners(synthesise: Synthesise) -> None:
    """Without listeners there is no function that answers them."""
    functions = synthesise(DISCOVERY + BY_DNS).of("AWS::Lambda::Function").values()
    assert not [each for each in functions if each["Properties"]["Handler"].startswith("issuance/answer_http01")]


# --- the member ---


def test_member_lets_challenges_be_shown(member: Synthesised) -> None:
    """The solver's role may do what the solver declares, write challenges only, and trusts the two functions that show
    and remove them, with the external id."""
    name = member.named_role("PerennialSolver")
    assert member.actions(name) == set(route53.ACTIONS)
    said = member.template["Resources"][name]["Properties"]
    _pinned_to_challenges(
        json.dumps([each for policy in said["Policies"] for each in policy["PolicyDocument"]["Statement"]])
    )
    (trust,) = said["AssumeRolePolicyDocument"]["Statement"]
    trusted = [each["Fn::Join"][1][-1] for each in trust["Condition"]["ArnEquals"]["aws:PrincipalArn"]]
    assert trusted == [":role/PerennialIssuanceAdvance", ":role/PerennialIssuanceCleanUp"]
    assert trust["Condition"]["StringEquals"] == {"sts:ExternalId": "perennial-1"}


def test_hub_has_the_roles_that_the_member_trusts(hub: Synthesised) -> None:
    """The names that the member trusts are those of the roles of Advance and Clean up."""
    for name, function in (("PerennialIssuanceAdvance", "Advance"), ("PerennialIssuanceCleanUp", "CleanUp")):
        assert hub.named_role(name).startswith(f"{function}Role")


def test_solver_role_is_made_in_accounts_with_zones_only(member: Synthesised) -> None:
    """One template fits all accounts: the role is made in those of zone_accounts, in the one region of roles."""
    role = member.template["Resources"][member.named_role("PerennialSolver")]
    assert role["Condition"] == "WithZones"
    here = {"Fn::Equals": [{"Ref": "AWS::Region"}, {"Ref": "RolesRegion"}]}
    account = {"Fn::Equals": [{"Ref": "AWS::AccountId"}, "444455556666"]}
    assert member.template["Conditions"]["WithZones"] == {"Fn::And": [here, account]}


def test_many_accounts_with_zones(synthesise: Synthesise) -> None:
    """CloudFormation's Or takes ten conditions: more accounts are grouped, and all of them are there."""
    accounts = [f"{number:012}" for number in range(1, 112)]
    stack = synthesise(f"{DISCOVERY}[solvers]\nzone_accounts = {json.dumps(accounts)}\n", hub=BUS)
    condition = stack.template["Conditions"]["WithZones"]
    text = json.dumps(condition)
    assert all(f'"{account}"' in text for account in accounts)
    assert max(_widths(condition)) <= 10


def _widths(condition: Any) -> Iterator[int]:
    """How many conditions each Or and And has."""
    for kind, parts in condition.items():
        if kind in ("Fn::Or", "Fn::And"):
            yield len(parts)
            for each in parts:
                yield from _widths(each)


def test_no_solver_role_without_zone_accounts(synthesise: Synthesise) -> None:
    """Where no account is configured to have zones, the member's template has no such role and no condition for it."""
    stack = synthesise(DISCOVERY + BY_DNS, hub=BUS)
    names = {each["Properties"].get("RoleName") for each in stack.of("AWS::IAM::Role").values()}
    assert "PerennialSolver" not in names
    assert "WithZones" not in stack.template["Conditions"]
