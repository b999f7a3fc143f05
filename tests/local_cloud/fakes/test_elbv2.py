"""The fake of Elastic Load Balancing version 2 refuses what the service refuses of load balancers, rules and tags."""

from typing import Any

import pytest
from balanced_account import OK, BalancedAccount, listener, load_balancer, refusal

from certificates import NOW
from local_cloud.fakes.loopback import REGION


@pytest.fixture
def account() -> BalancedAccount:
    return BalancedAccount()


@pytest.fixture
def elb(account: BalancedAccount) -> Any:
    return account.elbv2()


class TestLoadBalancers:
    @pytest.mark.parametrize(
        ("kind", "scheme", "arn_part", "dns_end"),
        [
            ("application", "internet-facing", "loadbalancer/app/web/", f".{REGION}.elb.amazonaws.com"),
            ("application", "internal", "loadbalancer/app/web/", f".{REGION}.elb.amazonaws.com"),
            ("network", "internet-facing", "loadbalancer/net/web/", f".elb.{REGION}.amazonaws.com"),
        ],
    )
    def test_create(self, elb: Any, kind: str, scheme: str, arn_part: str, dns_end: str) -> None:
        """A load balancer's ARN and DNS name are built as AWS builds them for its type and scheme."""
        load_balancer(elb, Type=kind, Scheme=scheme)
        (found,) = elb.describe_load_balancers(Names=["web"])["LoadBalancers"]
        assert arn_part in found["LoadBalancerArn"]
        assert found["DNSName"].endswith(dns_end)
        assert found["DNSName"].startswith("internal-web-" if scheme == "internal" else "web-")
        assert (found["Type"], found["State"]["Code"], found["CreatedTime"]) == (kind, "active", NOW)

    @pytest.mark.parametrize(
        "changes",
        [
            {"Name": "internal-web"},
            {"Name": "-web"},
            {"Name": "w" * 33},
            {"Name": "web_1"},
            {"Subnets": ["subnet-a"]},
            {"Subnets": []},
            {"SubnetMappings": [{"SubnetId": "subnet-a"}]},
        ],
    )
    def test_create_refused(self, elb: Any, changes: dict[str, Any]) -> None:
        """A load balancer with a bad name or the wrong subnets is refused."""
        assert refusal(load_balancer, elb, **changes) == "ValidationError"

    def test_create_twice(self, elb: Any) -> None:
        """Creating is idempotent with the same settings and refused with others."""
        assert load_balancer(elb) == load_balancer(elb)
        assert refusal(load_balancer, elb, Scheme="internal") == "DuplicateLoadBalancerName"

    def test_describe_refused(self, elb: Any) -> None:
        """Describing takes ARNs or names, at most 20 of them, all known, and pages of at most 400."""
        assert refusal(elb.describe_load_balancers, Names=["none"]) == "LoadBalancerNotFound"
        assert refusal(elb.describe_load_balancers, LoadBalancerArns=["none"]) == "LoadBalancerNotFound"
        arn = load_balancer(elb)
        assert refusal(elb.describe_load_balancers, Names=["web"], LoadBalancerArns=[arn]) == "ValidationError"
        assert refusal(elb.describe_load_balancers, LoadBalancerArns=[arn] * 21) == "ValidationError"
        assert refusal(elb.describe_load_balancers, PageSize=401) == "ValidationError"

    def test_pages(self, elb: Any) -> None:
        """Describing pages through all load balancers, each once."""
        for number in range(7):
            load_balancer(elb, f"web-{number}")
        pages = elb.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 3})
        names = [item["LoadBalancerName"] for page in pages for item in page["LoadBalancers"]]
        assert names == [f"web-{number}" for number in range(7)]

    def test_delete(self, elb: Any, account: BalancedAccount) -> None:
        """Deleting takes the listeners along, succeeds twice, and is refused under deletion protection."""
        arn = load_balancer(elb)
        certificate = account.acm_certificate()
        gone = listener(elb, arn, certificate)
        protection = {"Key": "deletion_protection.enabled", "Value": "true"}
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[protection])
        assert protection in elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        assert refusal(elb.delete_load_balancer, LoadBalancerArn=arn) == "OperationNotPermitted"
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[protection | {"Value": "false"}])
        elb.delete_load_balancer(LoadBalancerArn=arn)
        elb.delete_load_balancer(LoadBalancerArn=arn)
        assert refusal(elb.describe_listeners, ListenerArns=[gone]) == "ListenerNotFound"
        assert account.users(certificate) == []


class TestRulesAndTargets:
    def test_rules(self, elb: Any) -> None:
        """Rules are ordered by priority, the default one last; it can be neither changed nor deleted as a rule."""
        arn = listener(elb, load_balancer(elb), Protocol="HTTP", Port=80)
        host = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["www.example.com"]}}]
        for priority in (20, 3):
            elb.create_rule(ListenerArn=arn, Priority=priority, Conditions=host, Actions=OK)
        rules = elb.describe_rules(ListenerArn=arn)["Rules"]
        assert [(rule["Priority"], rule["IsDefault"]) for rule in rules] == [
            ("3", False),
            ("20", False),
            ("default", True),
        ]
        request = {"ListenerArn": arn, "Conditions": host, "Actions": OK}
        assert refusal(elb.create_rule, **request, Priority=3) == "PriorityInUse"
        color = [{"Field": "color", "Values": ["red"]}]
        assert refusal(elb.create_rule, **request | {"Conditions": color}, Priority=4) == "ValidationError"
        default = rules[-1]["RuleArn"]
        assert refusal(elb.delete_rule, RuleArn=default) == "OperationNotPermitted"
        assert refusal(elb.modify_rule, RuleArn=default, Actions=OK) == "OperationNotPermitted"
        elb.delete_rule(RuleArn=rules[0]["RuleArn"])
        assert refusal(elb.describe_rules, RuleArns=[rules[0]["RuleArn"]]) == "RuleNotFound"
        assert refusal(elb.describe_rules) == "ValidationError"

    def test_modify_rule(self, elb: Any) -> None:
        """A rule's conditions and actions are replaced by what the request states, and it has to state something."""
        arn = listener(elb, load_balancer(elb), Protocol="HTTP", Port=80)
        host = [{"Field": "host-header", "Values": ["www.example.com"]}]
        rule = elb.create_rule(ListenerArn=arn, Priority=1, Conditions=host, Actions=OK)["Rules"][0]["RuleArn"]
        path = [{"Field": "path-pattern", "Values": ["/a"]}]
        assert elb.modify_rule(RuleArn=rule, Conditions=path)["Rules"][0]["Conditions"] == path
        assert refusal(elb.modify_rule, RuleArn=rule) == "ValidationError"

    def test_target_groups(self, elb: Any) -> None:
        """A target group in use cannot be deleted; a name is unique; a registered target is healthy."""
        group = elb.create_target_group(Name="web", Protocol="HTTP", Port=80)["TargetGroups"][0]["TargetGroupArn"]
        assert refusal(elb.create_target_group, Name="web", Protocol="HTTP", Port=80) == "DuplicateTargetGroupName"
        assert refusal(elb.create_target_group, Name="web-2") == "ValidationError"
        owner = load_balancer(elb)
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        arn = listener(elb, owner, Protocol="HTTP", Port=80, DefaultActions=forward)
        assert elb.describe_target_groups(LoadBalancerArn=owner)["TargetGroups"][0]["LoadBalancerArns"] == [owner]
        assert refusal(elb.delete_target_group, TargetGroupArn=group) == "ResourceInUse"
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "i-1"}, {"Id": "i-2", "Port": 8080}])
        elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "i-1"}])
        (health,) = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        assert (health["Target"], health["TargetHealth"]["State"]) == ({"Id": "i-2", "Port": 8080}, "healthy")
        elb.delete_listener(ListenerArn=arn)
        elb.delete_target_group(TargetGroupArn=group)
        assert refusal(elb.describe_target_groups, Names=["web"]) == "TargetGroupNotFound"

    def test_lambda_target_groups(self, elb: Any) -> None:
        """A target group of type lambda needs no port, and takes one function, named by its ARN."""
        group = elb.create_target_group(Name="answer", TargetType="lambda")["TargetGroups"][0]["TargetGroupArn"]
        function = f"arn:aws:lambda:{REGION}:111122223333:function:answer"
        for wrong in ("answer", "i-1", function.replace("lambda", "sqs")):
            assert refusal(elb.register_targets, TargetGroupArn=group, Targets=[{"Id": wrong}]) == "InvalidTarget"
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": function}])
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": function}])
        other = [{"Id": f"{function}-2"}]
        assert refusal(elb.register_targets, TargetGroupArn=group, Targets=other) == "TooManyTargets"
        (health,) = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        assert health["Target"] == {"Id": function}


class TestPolicies:
    @pytest.mark.parametrize(
        ("name", "protocols", "number", "last"),
        [
            ("2016-08", ["TLSv1", "TLSv1.1", "TLSv1.2"], 18, "AES256-SHA"),
            ("TLS-1-0-2015-04", ["TLSv1", "TLSv1.1", "TLSv1.2"], 19, "DES-CBC3-SHA"),
            ("TLS13-1-0-2021-06", ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"], 21, "AES256-SHA"),
            ("TLS13-1-2-2021-06", ["TLSv1.2", "TLSv1.3"], 11, "ECDHE-RSA-AES256-SHA384"),
            ("TLS13-1-2-Res-2021-06", ["TLSv1.2", "TLSv1.3"], 7, "ECDHE-RSA-AES256-GCM-SHA384"),
            ("TLS13-1-2-Res-PQ-2025-09", ["TLSv1.2", "TLSv1.3"], 7, "ECDHE-RSA-AES256-GCM-SHA384"),
            ("TLS13-1-3-PQ-2025-09", ["TLSv1.3"], 3, "TLS_CHACHA20_POLY1305_SHA256"),
            ("FS-1-2-Res-2020-10", ["TLSv1.2"], 4, "ECDHE-RSA-AES256-GCM-SHA384"),
        ],
    )
    def test_policy(self, elb: Any, name: str, protocols: list[str], number: int, last: str) -> None:
        """A predefined policy has the protocols and ciphers that AWS documents, in order of preference."""
        (policy,) = elb.describe_ssl_policies(Names=[f"ELBSecurityPolicy-{name}"])["SslPolicies"]
        assert policy["SslProtocols"] == protocols
        assert [cipher["Priority"] for cipher in policy["Ciphers"]] == list(range(1, number + 1))
        assert policy["Ciphers"][-1]["Name"] == last

    def test_unknown(self, elb: Any) -> None:
        """An unknown policy is refused, and all known ones are listed without names."""
        assert refusal(elb.describe_ssl_policies, Names=["none"]) == "SSLPolicyNotFound"
        assert len(elb.describe_ssl_policies()["SslPolicies"]) > 20


class TestTags:
    def test_tags(self, elb: Any, account: BalancedAccount) -> None:
        """Load balancers, listeners and their like are tagged and untagged by ARN."""
        owner = load_balancer(elb, Tags=[{"Key": "owner", "Value": "shop"}])
        arn = listener(elb, owner, account.acm_certificate())
        elb.add_tags(ResourceArns=[owner, arn], Tags=[{"Key": "tier", "Value": "1"}])
        elb.remove_tags(ResourceArns=[owner], TagKeys=["owner"])
        described = elb.describe_tags(ResourceArns=[owner, arn])["TagDescriptions"]
        assert [item["Tags"] for item in described] == [[{"Key": "tier", "Value": "1"}]] * 2

    def test_refused(self, elb: Any) -> None:
        """Tags are refused for unknown resources, more than 20 of them, repeated keys and more than 50 tags."""
        owner = load_balancer(elb)
        assert refusal(elb.describe_tags, ResourceArns=[owner] * 21) == "ValidationError"
        assert refusal(elb.describe_tags, ResourceArns=[owner + "0"]) == "LoadBalancerNotFound"
        assert refusal(elb.describe_tags, ResourceArns=["none"]) == "ValidationError"
        assert refusal(elb.describe_tags, ResourceArns=["arn:aws:x:y:z:listener/app/a"]) == "ListenerNotFound"
        twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
        assert refusal(elb.add_tags, ResourceArns=[owner], Tags=twice) == "DuplicateTagKeys"
        many = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
        assert refusal(elb.add_tags, ResourceArns=[owner], Tags=many) == "TooManyTags"
