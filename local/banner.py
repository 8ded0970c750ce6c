"""What `make run` prints once it serves. The snippets are for pasting, so they start at the margin."""

from typing import Final

REAL_MODEL: Final = "local/smollm2-135m-instruct"
SANDBOX_MODEL: Final = "sandbox/echo"


def text(base_url: str, key: str, *, chat: bool) -> str:
    """The base URL, the key, and a curl and a Python snippet for a model that answers on this machine.

    `chat`: whether the local chat model is served.
    """
    model = REAL_MODEL if chat else SANDBOX_MODEL
    return f"""
AIgateway is running. Ctrl-C stops it.

  Base URL  {base_url}
  API key   {key}

Try it with curl:

curl -N {base_url}/chat/completions \\
  -H 'Authorization: Bearer {key}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "{model}", "stream": true,
       "messages": [{{"role": "user", "content": "What is the capital of France?"}}]}}'

or with Python (pip install openai):

from openai import OpenAI

client = OpenAI(base_url="{base_url}", api_key="{key}")
for chunk in client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "What is the capital of France?"}}],
    stream=True,
):
    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="", flush=True)
print()
"""
