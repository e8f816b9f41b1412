"""The transcript: what an engine heard, in one shape for every engine, and the formats it is written in.

Comes in: segments of an engine. Goes out: one `Transcript`, and text in any format of `writers`.
"""

from steno.transcript.model import Segment, Transcript, Word

__all__ = ["Segment", "Transcript", "Word"]
