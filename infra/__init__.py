"""Perennial's CDK constructs: one per domain noun. `stack.py` composes the hub and owns every grant; `member.py` is
what each other account and region needs."""
