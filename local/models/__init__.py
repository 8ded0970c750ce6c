"""The local model server: small open models behind the OpenAI wire, in a process of its own.

`python -m local.models --port N` serves them; the gateway calls it like any other OpenAI-compatible provider.
One file per engine, imported when its model is first used; `registry.py` lists them.
"""
