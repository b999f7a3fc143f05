"""`scripts/demo`: each act is a module; every one states what it expects."""
