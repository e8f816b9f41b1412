"""Steno's speed and memory, measured with real processes over loopback, each against a bare counterpart in the same run.

Comes in: names of benchmarks, none for all. Goes out: one JSON object a line on standard output, a result and its goal.
"""
