"""A TLS listener of an Application or Network Load Balancer: its default certificate, or one on its list for SNI.

The two slots are `elbv2_default` and `elbv2_sni`. Neither touches what somebody else put on the listener.

Sources: ELBv2 API reference (ModifyListener, AddListenerCertificates, RemoveListenerCertificates); ALB and NLB user
guides, "SSL certificates", "Server certificates", "Quotas".
"""

from __future__ import annotations

from perennial.targets import acm_copy, attached_certificate
from perennial.targets.elbv2_default import DefaultCertificate
from perennial.targets.elbv2_sni import SniCertificate
from perennial.targets.interface import DEADLINE as USUAL_DEADLINE
from perennial.targets.interface import Field, Reach, Target, TargetSettings

QUOTA = 25  # certificates of a load balancer besides the default ones, until AWS raises it

TITLE = "Listener of an Application or Network Load Balancer"
FIELDS = (
    Field(
        name="listener",
        pattern=r"arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:\d{12}:"
        r"listener/(app|net)/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}/[0-9a-f]{16}",
        words="the ARN of an HTTPS or TLS listener",
        needed=True,
    ),
    Field(
        name="slot",
        pattern="default|sni",
        words="default for the listener's default certificate, or sni for one on its list",
        default="default",
    ),
    Field(
        name="replaces",
        pattern=r"(arn:aws[a-z-]*:(acm|iam):[a-z0-9-]*:\d{12}:(certificate|server-certificate)/[!-~]{1,640})?",
        words="the ARN of the SNI certificate that the first rollout takes off the list",
    ),
    Field(
        name="quota",
        pattern="[1-9][0-9]{0,3}",
        words="how many certificates the load balancer may have besides default ones, where AWS raised it",
        default=str(QUOTA),
    ),
)
KEYS = acm_copy.KEYS
LOOKS = (
    *attached_certificate.LOOKS,
    "elasticloadbalancing:DescribeListenerCertificates",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeSSLPolicies",
)
CHANGES = (
    *acm_copy.CHANGES,
    "elasticloadbalancing:AddListenerCertificates",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:RemoveListenerCertificates",
)
RETIRES = acm_copy.RETIRES
MAX_CHAIN = acm_copy.MAX_CHAIN
DEADLINE = USUAL_DEADLINE
HANDSHAKES = True


def target(settings: TargetSettings, reach: Reach) -> Target:
    """The slot of a listener."""
    arn = settings.text("listener")
    if settings.text("slot") != "sni":
        return DefaultCertificate(arn, reach)
    return SniCertificate(
        arn=arn,
        managed=settings.managed,
        replaces=settings.text("replaces"),
        quota=int(settings.text("quota") or QUOTA),
        reach=reach,
    )
