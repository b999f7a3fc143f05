"""A module that is only in the layer."""

GREETING = "hello from the layer"
