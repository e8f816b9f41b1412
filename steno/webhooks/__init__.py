"""Telling a client's server that its job is over, by Standard Webhooks.

Comes in: a job's callback URL when it is submitted, its outcome when it is over. Goes out: signed events, each tried until
it is delivered or given up. `deliveries.py` is what storage holds of it, `due.py` what Redis does, `signing.py` the
signatures. The one who delivers is worker/courier.py.
"""
