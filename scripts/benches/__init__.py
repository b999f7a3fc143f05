"""The benches of `scripts/bench`: one module for each, and `report`, which prints what all of them found.

A bench is a module with `add_arguments(parser)` and `run(options)`, which yields `report.Result`s. Figures are counted,
or are ratios of two things measured in the same run; seconds of one machine are told and never a target.
"""
