"""HTTP in, HTTP out.

Comes in: uploads and questions. Goes out: job ids, states, transcripts. Never imports `worker` or a speech library.
"""
