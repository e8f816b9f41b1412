"""Where recordings, requests and transcripts are kept: the truth of Steno.

Comes in: bytes of an upload, JSON records. Goes out: the same, complete or absent. `base.py` is the contract,
`local.py` keeps it on a file system.
"""

from steno.storage.base import JobExists, Storage, StorageFull, StorageRefused, StorageUnusable, Upload, is_job_id
from steno.storage.local import LocalStorage

__all__ = [
    "JobExists",
    "LocalStorage",
    "Storage",
    "StorageFull",
    "StorageRefused",
    "StorageUnusable",
    "Upload",
    "is_job_id",
]
