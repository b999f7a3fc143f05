"""The local cloud: one process on 127.0.0.1 that takes a real ``cdk deploy`` and runs what it deploys.

It is ministack (an AWS emulator in Python) with the services that ministack lacks or simplifies, as fakes of our own.
Nothing in ``functions/``, ``infra/`` or the library knows of it: whatever runs against it is told where AWS is by the
standard ``AWS_ENDPOINT_URL`` variables.

    cloud.py       start, stop and describe a local cloud; the environment of its clients
    deploy.py      ``cdk bootstrap`` and ``cdk deploy`` into it
    server.py      the process itself (``python -m local_cloud.server``)
    hooks.py, workflow_hooks.py, edge_hooks.py, signature_hooks.py, integration_hooks.py, object_lock_hooks.py
                   every change made to ministack, each with its reason and its check
    patching.py    how a hook reaches into ministack, and what it says when ministack has changed
    admin.py       paths by which tests and the demo play AWS itself
    record.py      the locked file by which a running cloud is known
    resources/     the CloudFormation resource types that ministack lacks
    in_process.py  botocore clients that call a service of this process without a socket
    tagging.py     the tags of the fakes' resources in the Resource Groups Tagging API
    dns_bridge.py, dns_answers.py   a DNS server that answers from Route 53's zones
    http_bridge.py what an ALB does on port 80, for http-01
    unpacked.py    Lambda layers, unpacked once
    edge/          real TLS on loopback for load balancers, API domains and distributions, and for AWS's own names
    rest_apis/     what API Gateway enforces for REST APIs
    people.py, api_calls.py   principals and people of a cloud, and their calls to its APIs
    inside.py      a command that meets the cloud under AWS's names
    fakes/         the added services
    __main__.py    the command ``scripts/local-cloud``

Use it from Python:

    >>> cloud = Cloud.named("demo")                             # doctest: +SKIP
    >>> cloud.start()                                           # doctest: +SKIP
    >>> deploy(cloud, App(app_dir), account=HUB_ACCOUNT)        # doctest: +SKIP
    >>> cloud.client("acm", account=MEMBER_ACCOUNT).list_certificates()  # doctest: +SKIP
    >>> cloud.stop()                                            # doctest: +SKIP
"""
