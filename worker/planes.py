"""The channels of decoded sound, taken apart. A plane is the samples of one channel, as the codec gives them."""

from typing import Any, Final

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

_FULL_SCALE: Final = {"u1": 128.0, "i2": 32_768.0, "i4": 2_147_483_648.0}
"""What the loudest sample is, by the kind of number; those that are not integers go from -1 to 1."""
_FORMATS: Final = {"u1": "u8", "i2": "s16", "i4": "s32", "f4": "flt", "f8": "dbl"}
"""What FFmpeg calls the kinds of numbers."""


def planes(frame: AudioFrame) -> NDArray[Any]:
    """One row a channel, in the numbers of the frame, but for 64-bit integers, which numpy is not given: they come as 32."""
    if frame.format.bytes > 4 and not frame.format.name.startswith("dbl"):
        (frame,) = AudioResampler(format="s32p").resample(frame)
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
    alone = AudioFrame.from_ndarray(plane, format=_FORMATS[plane.dtype.str[1:]], layout="mono")
    alone.sample_rate = frame.sample_rate
    return alone
