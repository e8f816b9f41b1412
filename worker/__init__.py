"""Takes a job, makes a transcript.

Comes in: a job id from RQ. Goes out: `transcript.json` or `error.json` in storage. `main.py` is the RQ worker, which
imports no speech library; `horse.py` is the long-lived engine process behind it, which does the listening.
"""
