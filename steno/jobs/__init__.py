"""A job: what was asked, its options, its states, its errors and the queue it waits in.

Comes in: a stored upload and options. Goes out: a job on RQ, its record in storage, its state. RQ is named here and in
`worker/` only.
"""
