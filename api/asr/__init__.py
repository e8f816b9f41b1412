"""The routes of whisper-asr-webservice, which Bazarr and Speakr know how to talk to: docs/asr.md.

Comes in: its requests. Goes out: a job as any other, waited for, and the transcript in its bodies.
"""
