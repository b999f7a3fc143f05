"""The fake of Elastic Load Balancing version 2 refuses what the service refuses of listeners and their certificates."""

from typing import Any

import pytest
from balanced_account import OK, BalancedAccount, listener, load_balancer, refusal

from local_cloud.fakes.loopback import ACCOUNT, REGION

UNKNOWN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def account() -> BalancedAccount:
    return BalancedAccount()


@pytest.fixture
def elb(account: BalancedAccount) -> Any:
    return account.elbv2()


def certificates(elb: Any, arn: str) -> list[tuple[str, bool]]:
    listed = elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    return [(item["CertificateArn"], item["IsDefault"]) for item in listed]


def add(elb: Any, arn: str, certificate: str) -> None:
    elb.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": certificate}])


class TestListeners:
    def test_https(self, elb: Any, account: BalancedAccount) -> None:
        """An HTTPS listener gets the API's default policy, and shows its default certificate without IsDefault."""
        owner, certificate = load_balancer(elb), account.acm_certificate()
        listener(elb, owner, certificate)
        (found,) = elb.describe_listeners(LoadBalancerArn=owner)["Listeners"]
        assert found["Certificates"] == [{"CertificateArn": certificate}]
        assert found["SslPolicy"] == "ELBSecurityPolicy-2016-08"
        assert found["MutualAuthentication"] == {"Mode": "off"}

    def test_iam_certificate(self, elb: Any, account: BalancedAccount) -> None:
        """A listener may serve a server certificate of IAM, which then cannot be deleted."""
        arn = listener(elb, load_balancer(elb), account.iam_certificate())
        assert refusal(account.iam.delete_server_certificate, ServerCertificateName="www") == "DeleteConflict"
        elb.delete_listener(ListenerArn=arn)
        account.iam.delete_server_certificate(ServerCertificateName="www")

    @pytest.mark.parametrize(
        ("kind", "changes", "code"),
        [
            ("application", {}, "ValidationError"),
            ("application", {"Certificates": [{"CertificateArn": UNKNOWN}]}, "CertificateNotFound"),
            ("application", {"Certificates": [{"CertificateArn": UNKNOWN.replace(REGION, "us-east-1")}]},
             "CertificateNotFound"),
            ("application", {"Certificates": [{"CertificateArn": f"arn:aws:iam::{ACCOUNT}:server-certificate/none"}]},
             "CertificateNotFound"),
            ("application", {"Certificates": [{"CertificateArn": "none"}]}, "CertificateNotFound"),
            ("application", {"Certificates": ["good", "good"]}, "ValidationError"),
            ("application", {"Certificates": ["default"]}, "ValidationError"),
            ("application", {"Certificates": ["good"], "SslPolicy": "ELBSecurityPolicy-None"}, "SSLPolicyNotFound"),
            ("application", {"Certificates": ["good"], "Protocol": "HTTP"}, "ValidationError"),
            ("application", {"SslPolicy": "ELBSecurityPolicy-2016-08", "Protocol": "HTTP"}, "ValidationError"),
            ("application", {"Certificates": ["good"], "Protocol": "TLS"}, "ValidationError"),
            ("application", {"Certificates": ["good"], "AlpnPolicy": ["HTTP2Only"]}, "ALPNPolicyNotFound"),
            ("application", {"Certificates": ["good"], "Protocol": None}, "ValidationError"),
            ("application", {"Certificates": ["good"], "Port": 65536}, "ValidationError"),
            ("application", {"Certificates": ["good"], "LoadBalancerArn": "none"}, "LoadBalancerNotFound"),
            ("application", {"Certificates": ["good"], "DefaultActions": [{"Type": "forward"}]}, "ValidationError"),
            ("application", {"Certificates": ["good"], "DefaultActions": [{"Type": "redirect"}]}, "ValidationError"),
            ("application", {"Certificates": ["good"],
                             "DefaultActions": [{"Type": "forward", "TargetGroupArn": "none"}]}, "TargetGroupNotFound"),
            ("network", {"Certificates": ["good"], "Protocol": "TLS"}, "InvalidLoadBalancerAction"),
            ("network", {"Certificates": ["good"], "Protocol": "HTTPS"}, "ValidationError"),
        ],
    )  # fmt: skip
    def test_create_refused(
        self, elb: Any, account: BalancedAccount, kind: str, changes: dict[str, Any], code: str
    ) -> None:
        """A listener that breaks a rule is refused with the code that the service uses."""
        owner, good = load_balancer(elb, Type=kind), account.acm_certificate()
        entries = {"good": {"CertificateArn": good}, "default": {"CertificateArn": good, "IsDefault": True}}
        usual: dict[str, Any] = {"LoadBalancerArn": owner, "Protocol": "HTTPS", "Port": 443, "DefaultActions": OK}
        request = usual | changes
        if "Certificates" in request:
            given = request["Certificates"]
            request["Certificates"] = [entries[item] if isinstance(item, str) else item for item in given]
        request = {key: value for key, value in request.items() if value is not None}
        assert refusal(elb.create_listener, **request) == code

    def test_certificate_not_issued(self, elb: Any, account: BalancedAccount) -> None:
        """A certificate that ACM has not issued yet cannot be attached."""
        pending = account.acm.request_certificate(DomainName="www.example.com", ValidationMethod="DNS")
        assert refusal(listener, elb, load_balancer(elb), pending["CertificateArn"]) == "UnsupportedCertificate"

    def test_acme_certificate(self, elb: Any, account: BalancedAccount) -> None:
        """A certificate that ACM issued to an ACME client cannot be attached."""
        assert refusal(listener, elb, load_balancer(elb), account.acme_certificate()) == "UnsupportedCertificate"

    def test_iam_certificate_in_another_region(self, account: BalancedAccount) -> None:
        """A server certificate of IAM cannot be deleted while a load balancer of any region serves it."""
        elb = account.elbv2("us-east-1")
        listener(elb, load_balancer(elb), account.iam_certificate())
        assert refusal(account.iam.delete_server_certificate, ServerCertificateName="www") == "DeleteConflict"

    def test_create_twice(self, elb: Any, account: BalancedAccount) -> None:
        """Creating is idempotent with the same settings and refused with others on the same port."""
        owner, certificate = load_balancer(elb), account.acm_certificate()
        assert listener(elb, owner, certificate) == listener(elb, owner, certificate)
        assert refusal(listener, elb, owner, account.acm_certificate()) == "DuplicateListener"

    def test_network(self, elb: Any, account: BalancedAccount) -> None:
        """A TLS listener of a Network Load Balancer forwards, and may state one ALPN policy."""
        group = elb.create_target_group(Name="web", Protocol="TCP", Port=80)["TargetGroups"][0]["TargetGroupArn"]
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        owner, certificate = load_balancer(elb, Type="network"), account.acm_certificate()
        tls = {"Protocol": "TLS", "DefaultActions": forward, "AlpnPolicy": ["HTTP2Preferred"]}
        listener(elb, owner, certificate, **tls)
        assert elb.describe_listeners(LoadBalancerArn=owner)["Listeners"][0]["AlpnPolicy"] == ["HTTP2Preferred"]

    def test_modify_certificate(self, elb: Any, account: BalancedAccount) -> None:
        """ModifyListener replaces the default certificate alone, and ACM's InUseBy follows."""
        owner, old, new, sni = load_balancer(elb), *(account.acm_certificate() for _ in range(3))
        arn = listener(elb, owner, old)
        add(elb, arn, sni)
        assert account.users(old) == [owner]
        elb.modify_listener(ListenerArn=arn, Certificates=[{"CertificateArn": new}])
        assert certificates(elb, arn) == [(new, True), (sni, False)]
        assert (account.users(old), account.users(new), account.users(sni)) == ([], [owner], [owner])
        account.acm.delete_certificate(CertificateArn=old)
        assert refusal(account.acm.delete_certificate, CertificateArn=new) == "ResourceInUseException"

    def test_modify_refused(self, elb: Any, account: BalancedAccount) -> None:
        """A refused change leaves the listener as it was."""
        owner, certificate = load_balancer(elb), account.acm_certificate()
        arn = listener(elb, owner, certificate)
        listener(elb, owner, certificate, Port=8443)
        two = [{"CertificateArn": certificate}, {"CertificateArn": certificate}]
        for change, code in (
            ({"Certificates": [{"CertificateArn": UNKNOWN}]}, "CertificateNotFound"),
            ({"Certificates": two}, "ValidationError"),
            ({"Port": 8443}, "DuplicateListener"),
            ({"SslPolicy": "none"}, "SSLPolicyNotFound"),
        ):
            assert refusal(elb.modify_listener, ListenerArn=arn, **change) == code
        (found,) = elb.describe_listeners(ListenerArns=[arn])["Listeners"]
        assert (found["Port"], found["Certificates"]) == (443, [{"CertificateArn": certificate}])

    def test_protocol_change(self, elb: Any, account: BalancedAccount) -> None:
        """A change to HTTP drops policy and certificates; a change back needs both."""
        certificate = account.acm_certificate()
        arn = listener(elb, load_balancer(elb), certificate)
        elb.modify_listener(ListenerArn=arn, Protocol="HTTP")
        assert certificates(elb, arn) == []
        assert account.users(certificate) == []
        one = [{"CertificateArn": certificate}]
        assert refusal(elb.modify_listener, ListenerArn=arn, Protocol="HTTPS", Certificates=one) == "ValidationError"
        policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
        assert refusal(elb.modify_listener, ListenerArn=arn, Protocol="HTTPS", SslPolicy=policy) == "ValidationError"
        elb.modify_listener(ListenerArn=arn, Protocol="HTTPS", SslPolicy=policy, Certificates=one)

    def test_describe_refused(self, elb: Any) -> None:
        """Describing needs either listener ARNs or a load balancer, and both have to exist."""
        owner = load_balancer(elb)
        assert refusal(elb.describe_listeners) == "ValidationError"
        assert refusal(elb.describe_listeners, ListenerArns=["a"], LoadBalancerArn=owner) == "ValidationError"
        assert refusal(elb.describe_listeners, ListenerArns=["a"]) == "ListenerNotFound"
        assert refusal(elb.describe_listeners, LoadBalancerArn="a") == "LoadBalancerNotFound"


class TestListenerCertificates:
    def test_list(self, elb: Any, account: BalancedAccount) -> None:
        """The default comes first; it may be on the list too; a repeat changes nothing; pages hold everything."""
        default, sni = account.acm_certificate(), account.acm_certificate()
        arn = listener(elb, load_balancer(elb), default)
        for certificate in (sni, default, sni):
            add(elb, arn, certificate)
        assert certificates(elb, arn) == [(default, True), (sni, False), (default, False)]
        first = elb.describe_listener_certificates(ListenerArn=arn, PageSize=2)
        rest = elb.describe_listener_certificates(ListenerArn=arn, PageSize=2, Marker=first["NextMarker"])
        assert (len(first["Certificates"]), len(rest["Certificates"])) == (2, 1)

    def test_remove(self, elb: Any, account: BalancedAccount) -> None:
        """A certificate is removed from the list; the default one cannot be, and an absent one is not found."""
        default, sni = account.acm_certificate(), account.acm_certificate()
        arn = listener(elb, load_balancer(elb), default)
        add(elb, arn, sni)
        one = {"ListenerArn": arn, "Certificates": [{"CertificateArn": sni}]}
        elb.remove_listener_certificates(**one)
        assert refusal(elb.remove_listener_certificates, **one) == "CertificateNotFound"
        one["Certificates"] = [{"CertificateArn": default}]
        assert refusal(elb.remove_listener_certificates, **one) == "OperationNotPermitted"
        assert certificates(elb, arn) == [(default, True)]

    @pytest.mark.parametrize(
        ("entries", "code"),
        [
            ([{"CertificateArn": UNKNOWN}], "CertificateNotFound"),
            ([], "ValidationError"),
            (["good", "good"], "ValidationError"),
            (["default"], "ValidationError"),
        ],
    )
    def test_add_refused(self, elb: Any, account: BalancedAccount, entries: list[Any], code: str) -> None:
        """Exactly one known certificate is added in a call, and never with IsDefault."""
        good = account.acm_certificate()
        arn = listener(elb, load_balancer(elb), good)
        known = {"good": {"CertificateArn": good}, "default": {"CertificateArn": good, "IsDefault": False}}
        given = [known[item] if isinstance(item, str) else item for item in entries]
        assert refusal(elb.add_listener_certificates, ListenerArn=arn, Certificates=given) == code

    def test_plain_listener(self, elb: Any, account: BalancedAccount) -> None:
        """An HTTP listener takes no certificates."""
        arn = listener(elb, load_balancer(elb), Protocol="HTTP", Port=80)
        assert refusal(add, elb, arn, account.acm_certificate()) == "ValidationError"

    def test_quota(self, elb: Any, account: BalancedAccount) -> None:
        """A load balancer has at most 25 certificates besides its default ones, on all its listeners together."""
        owner = load_balancer(elb)
        first = listener(elb, owner, account.acm_certificate())
        second = listener(elb, owner, account.acm_certificate(), Port=8443)
        for number in range(25):
            add(elb, first if number % 2 else second, account.acm_certificate())
        assert refusal(add, elb, first, account.acm_certificate()) == "TooManyCertificates"
        add(elb, first, certificates(elb, first)[1][0])

    def test_unknown_listener(self, elb: Any) -> None:
        """Every operation on the list of an unknown listener answers ListenerNotFound."""
        assert refusal(elb.describe_listener_certificates, ListenerArn="none") == "ListenerNotFound"
        assert refusal(add, elb, "none", UNKNOWN) == "ListenerNotFound"
