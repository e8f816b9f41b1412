"""The channels of decoded sound, taken apart. A plane is the samples of one channel, as the codec gives them."""

from typing import Any, Final

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

_FULL_SCALE: Final = {"u1": 128.0, "i2": 32_768.0, "i4": 2_147_483_648.0}
"""What the loudest sample is, by the kind of number; those that are not integers go from -1 to 1."""


def planes(frame: AudioFrame) -> NDArray[Any]:
    """One row a channel, in the numbers of the frame."""
    samples = frame.to_ndarray()
    return samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T


def loudness(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Samples in any of FFmpeg's numbers as -1 to 1."""
    kind = samples.dtype.str[1:]
    loud = samples.astype(np.float32)
    if kind == "u1":
        loud -= np.float32(_FULL_SCALE[kind])
    loud /= np.float32(_FULL_SCALE.get(kind, 1.0))
    return loud


def only(frame: AudioFrame, channel: int) -> AudioFrame:
    """A frame of this channel alone. Where a file has fewer in between, as broken ones do, their last one stands for it."""
    told = planes(frame)
    plane = np.ascontiguousarray(told[min(channel, len(told) - 1)][np.newaxis])
    alone = AudioFrame.from_ndarray(plane, format=frame.format.packed.name, layout="mono")
    alone.sample_rate = frame.sample_rate
    return alone
