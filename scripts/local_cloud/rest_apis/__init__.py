"""What API Gateway enforces for REST APIs, beside what ministack does: see `signature_hooks` and `integration_hooks`.

    signatures.py  who signed a request of a method with AWS_IAM, and may they invoke it
    events.py      the event of a proxy integration and of a REQUEST authorizer, with every member that AWS sends
    replies.py     what a proxy integration and an authorizer may answer

Differs from AWS: header names reach a function in lower case, as an HTTP/2 client sends them, except those that API
Gateway adds; a signature in the query string is none; whether headers are more than API Gateway takes (10,240 bytes) is
not looked at; caches of integrations, WAF and the quotas of an account are not there.
"""
