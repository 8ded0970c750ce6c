"""The local model server: small open models behind the OpenAI wire, in a process of its own.

`python -m local.models --port N` serves them; the gateway calls it like any other OpenAI-compatible provider.
One file per modality (its requests, answers and the Protocol of its engines) and one per engine, imported when its
model is first used; `registry.py` lists them all.
"""
