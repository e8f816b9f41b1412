"""OpenAI's audio API: its forms come in, Steno's jobs are made of them, and what comes out is in OpenAI's shapes.

After openai/openai-openapi and what the `openai` package sends and reads. docs/openai.md says what each field does here.
"""
