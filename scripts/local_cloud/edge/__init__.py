"""The local edge: real TLS on loopback for the emulated load balancers, API domains and distributions.

Each place that terminates TLS in AWS (`listeners`, `domains`) gets servers on addresses 127.x.y.z (`server`), bound
when it is first listed or resolved. At every handshake (`connection`) the certificate is read from ACM or IAM as they
are at that moment (`material`) and chosen by the client's hello (`hello`, `selection`). `resolve` leads host names
there, through Route 53; `behaviour` is how a place misbehaves on purpose; `paths` are the HTTP paths
``/_local_cloud/edge…``; `store` is how everything here reads the services of the process; `lookup` is the other end:
``socket.getaddrinfo`` of whoever connects. AWS's own names of REST APIs and user pools are apart from all this: they
lead to the local cloud itself (`aws_hosts`), for whoever trusts its root (`trust`).

    with resolving(cloud):
        socket.create_connection(("www.example.com", 443))      # ends at the edge, if Route 53 leads there
    with resolving(cloud), trusting(cloud):
        urllib.request.urlopen("https://cognito-idp.eu-west-1.amazonaws.com/…")    # ends at the local cloud

What differs from AWS: a handshake is all there is (then one small HTTP answer); IPv4 only; client certificates are not
asked for; what AWS takes minutes to roll out, an update of a distribution or of an API domain, is served at once unless
the fake itself delays it; a distribution's and an API domain's own AWS names show their certificate, not AWS's.
"""

from local_cloud.edge.lookup import resolving
from local_cloud.edge.trust import trusting

__all__ = ["resolving", "trusting"]
