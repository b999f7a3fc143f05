"""The API: what people and machines ask over HTTPS, answered by one Lambda function behind two REST APIs.

    resolver       an event of API Gateway in, a reply out: who asks, the limits, the routes
    arriving       the request as it came, bounded, before anything of it is parsed
    asking         who asks and what they may; every refusal goes to the audit trail
    routes         the list of all routes: documentation and the matrix test read it
    problems       every error as RFC 9457 wants it
    preconditions  ETag and If-Match
    once           Idempotency-Key
    models         what all documents have in common
    document       docs/openapi.json
    managed, requests, exceptions, me, …   one module a noun: its routes, and its documents

Nothing else imports this package: pydantic and the router are the API's alone.
"""
