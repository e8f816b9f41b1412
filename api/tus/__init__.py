"""Resumable uploads by tus 1.0.0, at /uploads.

Comes in: pieces of a recording, and what is asked of it as metadata. Goes out: where the upload is, and once it is whole, a
job of the same id.
"""
