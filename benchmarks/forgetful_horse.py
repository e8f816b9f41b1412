"""worker.horse with one thing changed: whisper-timestamped does not show the model what was said before.

The miniature model never learnt to use that, and falls silent in the second half minute of a recording, or the library loses
track of its segments and raises. No option of Steno's turns it off, so long recordings are measured on this.
"""

from functools import partial

import whisper_timestamped

from worker import horse

if __name__ == "__main__":
    whisper_timestamped.transcribe = partial(whisper_timestamped.transcribe, condition_on_previous_text=False)
    horse.main()
