"""Faults to survive: real processes are killed, stopped, starved and cut off while clients send recordings of known words.

Comes in: how many jobs, a seed, which faults. Goes out: a report of what was accepted, finished, lost, duplicated or left over.
"""
