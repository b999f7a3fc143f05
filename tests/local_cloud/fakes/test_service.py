"""What every fake has from FakeService: operations, validation, errors, pages, rates, faults, counts, registration."""

import asyncio
import json
import threading
from typing import Any, ClassVar

import pytest
from balanced_account import others_go_on
from fake_estate import Clock, refused

from local_cloud import fakes
from local_cloud.fakes import constraints, pages, wire
from local_cloud.fakes.admin import Admin
from local_cloud.fakes.controls import Controls, RateLimiter
from local_cloud.fakes.loopback import client, here
from local_cloud.fakes.references import References
from local_cloud.fakes.service import LOCK, FakeService, ServiceError

ARN = "arn:aws:acm:eu-central-1:111122223333:certificate/a"


class Small(FakeService[dict[str, Any]]):
    """A part of ACM (JSON)."""

    service = "acm"
    credential_scope = "acm"
    target_prefixes = ("CertificateManager",)
    operations = frozenset({"ListCertificates", "DescribeCertificate", "DeleteCertificate", "RenewCertificate"})
    rates: ClassVar[dict[str, float]] = {"ListCertificates": 2}

    def new_state(self, account: str, region: str) -> dict[str, Any]:
        return {"place": f"{account} {region}"}

    def list_certificates(self, state: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        found, token = self.page(range(5), request, token="NextToken", size="MaxItems", default=2, maximum=3)
        return {
            "CertificateSummaryList": [{"CertificateArn": f"{ARN}{n}", "Type": None} for n in found],
            "NextToken": token,
        }

    def describe_certificate(self, state: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        return {"Certificate": {"CreatedAt": self.now(), "DomainName": state["place"]}}

    def delete_certificate(self, state: dict[str, Any], request: dict[str, Any]) -> None:
        raise ServiceError("ResourceInUseException", f"{request['CertificateArn']} is in use")


class Balancers(FakeService[list[str]]):
    """A part of ELBv2 (query)."""

    service = "elbv2"
    credential_scope = "elasticloadbalancing"
    api_version = "2015-12-01"

    def new_state(self, account: str, region: str) -> list[str]:
        return []

    def create_load_balancer(self, state: list[str], request: dict[str, Any]) -> dict[str, Any]:
        if request["Name"] in state:
            raise ServiceError("DuplicateLoadBalancerNameException", "There is one already")
        state.append(request["Name"])
        tags = [tag["Value"] for tag in request.get("Tags", [])]
        return {
            "LoadBalancers": [
                {"LoadBalancerName": request["Name"], "CreatedTime": self.now(), "Scheme": ",".join(tags)}
            ]
        }


class OldBalancers(FakeService[None]):
    """A part of the classic ELB, which shares scope and operation names with ELBv2."""

    service = "elb"
    credential_scope = "elasticloadbalancing"
    api_version = "2012-06-01"

    def new_state(self, account: str, region: str) -> None:
        return None

    def delete_load_balancer(self, state: None, request: dict[str, Any]) -> dict[str, Any]:
        return {}


class Hub(FakeService[None]):
    """A part of Security Hub (REST)."""

    service = "securityhub"
    credential_scope = "securityhub"

    def new_state(self, account: str, region: str) -> None:
        return None

    def list_tags_for_resource(self, state: None, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": {"arn": request["ResourceArn"]}}

    def get_findings(self, state: None, request: dict[str, Any]) -> dict[str, Any]:
        raise ServiceError("InvalidAccessException", "The hub is not enabled")


@pytest.fixture
def steering() -> Controls:
    return Controls(enforce_rates=False)


@pytest.fixture
def small(steering: Controls) -> Small:
    return Small(where=here, clock=Clock(), steering=steering)


def test_json_requests_and_responses(small: Small) -> None:
    """A JSON operation is found by its target, gets the caller's state, and answers with the model's types."""
    found = client(small).describe_certificate(CertificateArn=ARN)["Certificate"]
    assert found == {"CreatedAt": small.now(), "DomainName": " ".join(here())}


def test_query_requests_and_responses() -> None:
    """A query operation is found by its action, reads lists, and answers in XML."""
    made = client(Balancers(where=here, clock=Clock())).create_load_balancer(
        Name="web", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    )["LoadBalancers"][0]
    assert (made["LoadBalancerName"], made["Scheme"]) == ("web", "1,2")
    assert made["CreatedTime"] == Clock().now


def test_rest_requests_and_responses() -> None:
    """A REST operation is found by method and path; an ARN in the path keeps its slashes."""
    arn = "arn:aws:securityhub:eu-central-1:111122223333:hub/default"
    assert client(Hub(where=here)).list_tags_for_resource(ResourceArn=arn)["Tags"] == {"arn": arn}


ERRORS = {
    "json": (Small, lambda caller: caller.delete_certificate(CertificateArn=ARN), "ResourceInUseException", 400),
    "rest": (Hub, lambda caller: caller.get_findings(), "InvalidAccessException", 401),
}


@pytest.mark.parametrize("protocol", ERRORS)
def test_errors(protocol: str) -> None:
    """An error reaches boto3 with its code and the model's HTTP status."""
    kind, call, code, status = ERRORS[protocol]
    caller = client(kind(where=here, clock=Clock()))
    with pytest.raises(getattr(caller.exceptions, code)) as caught:
        call(caller)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, status)


def test_query_errors_have_their_code_on_the_wire() -> None:
    """An error that is named by its shape goes out under its code, as boto3 expects."""
    caller = client(Balancers(where=here))
    caller.create_load_balancer(Name="web")
    with pytest.raises(caller.exceptions.DuplicateLoadBalancerNameException):
        caller.create_load_balancer(Name="web")


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "an enumeration": ({"CertificateStatuses": ["LOST"]}, "enum value set"),
    "a range": ({"MaxItems": 5000}, "less than or equal to 1000"),
    "a length": ({"NextToken": ""}, "length greater than or equal to 1"),
    "a list length": ({"CertificateKeyPairOrigins": []}, "length greater than or equal to 1"),
    "a nested enumeration": ({"Includes": {"keyTypes": ["DSA"]}}, "includes.keyTypes.1.member"),
}


@pytest.mark.parametrize("case", INVALID)
def test_what_boto3_lets_through_is_checked(small: Small, case: str) -> None:
    """Enumerations, ranges and lengths are checked against the model, as the service does."""
    request, text = INVALID[case]
    with refused("ValidationException", text):
        client(small, validate=False).list_certificates(**request)


def test_missing_members_and_patterns_are_checked(small: Small) -> None:
    """A required member and a pattern are checked, in AWS's words."""
    caller = client(small, validate=False)
    with refused("ValidationException", "1 validation error detected: Value null at 'certificateArn'"):
        caller.describe_certificate()
    with refused("ValidationException", "regular expression pattern"):
        caller.describe_certificate(CertificateArn="arn:aws:iam::111122223333:role/a")


MALFORMED = {
    "no JSON": (b"{", "SerializationException"),
    "no object": (b"[]", "SerializationException"),
    "text in place of a structure": (b'{"Includes": "all"}', "SerializationException"),
    "text in place of a number": (b'{"MaxItems": "many"}', "SerializationException"),
    "a number in place of text": (b'{"NextToken": 7}', "ValidationException"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_body_is_refused(small: Small, case: str) -> None:
    """A body that is no JSON, or has values of other types than the model's, is refused."""
    body, code = MALFORMED[case]
    headers = {"x-amz-target": "CertificateManager.ListCertificates"}
    status, _, answer = small.handle(wire.HttpRequest("POST", "/", headers, body, {}))
    assert (status, json.loads(answer)["__type"]) == (400, code)


def test_patterns_of_java_are_understood() -> None:
    """Unicode classes are translated, and a pattern that cannot be is not checked."""
    assert constraints.compiled(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)").fullmatch("Größe 1")
    assert not constraints.compiled(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)").fullmatch("a#b")
    assert constraints.compiled(r"\p{Unheard}+") is None


def test_pages(small: Small) -> None:
    """A list comes in pages; a foreign token and a page that is too large are refused."""
    caller = client(small)
    found = [len(page["CertificateSummaryList"]) for page in caller.get_paginator("list_certificates").paginate()]
    assert found == [2, 2, 1]
    token = caller.list_certificates()["NextToken"]
    with refused("ValidationException"):
        caller.list_certificates(NextToken=token, CertificateStatuses=["ISSUED"])
    with refused("ValidationException"):
        caller.list_certificates(NextToken="nonsense")
    with refused("ValidationException", "exceed 3"):
        caller.list_certificates(MaxItems=4)


def test_a_token_is_opaque_and_bound_to_its_query() -> None:
    """A token decodes for its own query only."""
    token = pages.encode(7, {"a": 1})
    assert pages.decode(token, {"a": 1}) == 7
    with pytest.raises(pages.BadToken):
        pages.decode(token, {"a": 2})


def test_what_is_not_faked_says_so(small: Small) -> None:
    """An operation without a method is an error and never a silent success."""
    with refused("NotImplementedException"):
        client(small).renew_certificate(CertificateArn=ARN)


def test_faults_are_injected(small: Small, steering: Controls) -> None:
    """An injected error meets as many calls as it says, of its operation only."""
    steering.inject("acm", "ListCertificates", "AccessDeniedException", 2, "no")
    for _ in range(2):
        with refused("AccessDeniedException", "no"):
            client(small).list_certificates()
    assert client(small).list_certificates()
    steering.inject("acm", "*", "ThrottlingException")
    with refused("ThrottlingException"):
        client(small).describe_certificate(CertificateArn=ARN)


def test_rates_are_enforced_when_switched_on(small: Small, steering: Controls) -> None:
    """Beyond the rate of an operation calls are throttled, until a second has passed; off by default."""
    caller = client(small)
    assert [caller.list_certificates() for _ in range(5)]
    seconds = [0.0]
    steering.enforce_rates, steering.limiter = True, RateLimiter(lambda: seconds[0])
    for _ in range(2):
        caller.list_certificates()
    with refused("ThrottlingException", "Rate exceeded"):
        caller.list_certificates()
    assert caller.describe_certificate(CertificateArn=ARN)
    seconds[0] = 0.5
    assert caller.list_certificates()


def test_admin_paths(small: Small, steering: Controls) -> None:
    """The admin paths inject faults, count calls, reset, and reach a fake's own actions."""
    admin = Admin({"acm": small}, steering)
    caller = client(small)
    caller.list_certificates()
    fault = {"service": "acm", "operation": "ListCertificates", "error_code": "AccessDeniedException", "times": 1}
    assert admin("POST", "/_fakes/inject", json.dumps(fault).encode())[0] == 200
    with refused("AccessDeniedException"):
        caller.list_certificates()
    assert json.loads(admin("GET", "/_fakes/calls", b"")[2]) == {"acm": {"ListCertificates": 2}}
    assert admin("DELETE", "/_fakes/calls", b"")[0] == 200
    assert json.loads(admin("GET", "/_fakes/calls", b"")[2]) == {}
    assert admin("POST", "/_fakes/acm/nothing", b"{}")[0] == 404
    assert admin("POST", "/_fakes/inject", b"{}")[0] == 400
    before = small.state(*here())
    admin("POST", "/_fakes/reset", b"")
    assert small.state(*here()) is not before


def test_a_call_that_is_not_taken_falls_through(small: Small) -> None:
    """Fakes of one scope form a chain by version and operation that ends at ministack."""

    async def ministack(method: str, path: str, headers: Any, body: bytes, query: Any) -> wire.Response:
        return 200, {}, b"ministack"

    new, old = Balancers(where=here), OldBalancers(where=here)
    new.fallback, old.fallback, small.fallback = ministack, new, ministack

    def asked(fake: FakeService[Any], body: bytes = b"", **headers: str) -> bytes:
        return asyncio.run(fake("POST", "/", headers, body, {}))[2]

    assert b"<DeleteLoadBalancerResponse" in asked(
        old, b"Action=DeleteLoadBalancer&Version=2012-06-01&LoadBalancerName=a"
    )
    assert b"<CreateLoadBalancerResponse" in asked(old, b"Action=CreateLoadBalancer&Version=2015-12-01&Name=a")
    assert asked(old, b"Action=DescribeThings&Version=2015-12-01") == b"ministack"
    assert asked(small, b"{}", **{"X-Amz-Target": "CertificateManager.GetCertificate"}) == b"ministack"


def test_the_lock_is_let_go_for_a_while() -> None:
    """Taken twice, it is free in between for others, and then held as often as before; who does not hold it may too."""
    with LOCK.released():
        assert others_go_on()
    with LOCK, LOCK:
        with LOCK.released():
            assert others_go_on()
            with LOCK:
                pass
        held = threading.Event()
        other = threading.Thread(target=lambda: (LOCK.__enter__(), held.set(), LOCK.__exit__()), daemon=True)
        other.start()
        assert not held.wait(0.2)
    assert held.wait(5)


def test_registration() -> None:
    """Registering puts every fake before what served its scope, and adds scopes and targets to the router."""
    handlers: dict[str, Any] = {"acm": "ministack's"}
    patterns: dict[str, dict[str, Any]] = {"acm": {"host_patterns": ["acm"]}}
    fakes.register(handlers, patterns)
    assert handlers["acm"] is fakes.fake("acm")
    assert fakes.fake("acm").fallback == "ministack's"
    assert patterns["acm"]["target_prefixes"] == ["CertificateManager"]
    assert patterns["acm-pca"] == {"credential_scope": "acm-pca", "target_prefixes": ["ACMPrivateCA"]}


def test_users_of_a_certificate_come_from_all_services() -> None:
    """Providers and indexes say who uses a certificate; registering a name again replaces it."""
    references = References()
    references.register("elb", lambda account, region, arn: ["b", "a"] if arn == ARN else [])
    references.register("old", lambda account, region, arn: ["gone"])
    references.register("old", lambda account, region, arn: ["c"], index=lambda account, region: {ARN: ["c"]})
    assert references.users("1", "r", ARN) == ["a", "b", "c"]
    assert references.view("1", "r")(ARN) == ["a", "b", "c"]
    assert references.view("1", "r")("other") == []
