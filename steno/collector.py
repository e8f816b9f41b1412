"""Python's collector of cycles, for processes that live for months."""

import gc


def spare_what_is_here() -> None:
    """All that there is by now stays, so the collector need not look through it again. Call it once, after the imports.

    By itself Python looks for cycles among what is old only once a quarter as much has come: of some hundred thousand objects
    of libraries, that is ten megabytes of what jobs, and clients that hang up, leave in cycles. The second collection is what
    makes it forget that number (CPython's `long_lived_total`).
    """
    gc.collect()
    gc.freeze()
    gc.collect()
