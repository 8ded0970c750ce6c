"""What only one room may do: sockets, the environment, the names of providers."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import DEPLOYED, ROOT, Token, imports, name, python, tokens, tree

WIRE = "layers/providers/aig_providers/wire.py"
FETCH = "layers/providers/aig_providers/fetch.py"
AWS_CLIENT = "shared/aig/aws/http1.py"
BEDROCK = "layers/providers/aig_providers/bedrock.py"
WIRING = "shared/aig/wiring.py"

# Packages that open connections, and the only files that may import them.
CLIENTS = {
    "aiohttp": {FETCH, WIRE},
    "botocore": {BEDROCK},
    "boto3": {BEDROCK},
    "ftplib": set[str](),
    "grpc": set[str](),
    "http.client": set[str](),
    "httptools": {AWS_CLIENT},
    "httpx": set[str](),
    "requests": set[str](),
    "smtplib": set[str](),
    "urllib.request": set[str](),
    "urllib3": {BEDROCK},  # whose errors boto3 lets through
    "websockets": set[str](),
}
# What makes a connection or a listener, whatever it is called on.
CONNECTING = {
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "open_connection",
    "open_unix_connection",
    "socketpair",
    "start_server",
}
# All that the standard library's socket module is used for: reading addresses, and constants.
SOCKET_NAMES = {"AF_INET", "AF_INET6", "SOCK_STREAM", "inet_aton", "inet_ntoa"}
ENVIRONMENT = {"environ", "environb", "getenv", "putenv"}

# Names that would tie the code to a vendor. The sandbox and the local models are ours, and features of the product.
OURS = {"local", "sandbox"}
VENDORS = {
    "alibaba", "anthropic", "azure", "bedrock", "cerebras", "claude", "cloudflare", "cohere", "deepgram",
    "deepseek", "elevenlabs", "fal", "fireworks", "gemini", "gpt", "grok", "groq", "huggingface", "jina", "kimi",
    "llama", "llamacpp", "luma", "meshy", "minimax", "mistral", "moonshot", "nebius", "nvidia", "ollama",
    "openrouter", "perplexity", "qwen", "replicate", "runway", "smollm", "stability", "stripe", "together", "tripo",
    "vllm", "voyage", "xai",
}  # fmt: skip
PROVIDERS = (VENDORS | set(tomllib.loads((ROOT / "catalog" / "providers.toml").read_text()))) - OURS
# The wire that most vendors speak is called after the first of them; these are its names.
WIRE_NAMES = ("openai_compatible", "OpenAICompatible")

# Each adapter is the room of its own vendor's names, and of its models'.
ADAPTERS = "layers/providers/aig_providers/"
ROOMS = {
    "anthropic": {"anthropic", "claude"},
    "bedrock": {"bedrock", "anthropic", "claude", "cohere"},
    "bfl": {"bfl"},
    "claude": {"anthropic", "claude"},
    "cloudflare/": {"cloudflare", "deepgram", "openai", "stability", "llama"},  # whose models it runs
    "cohere": {"cohere"},
    "deepgram": {"deepgram"},
    "elevenlabs": {"elevenlabs"},
    "deepl": {"deepl"},
    "fal": {"fal", "minimax"},  # which trains models of others on
    "google": {"google", "gemini"},
    "jina": {"jina"},
    "luma": {"luma"},
    "meshy": {"meshy"},
    "minimax": {"minimax"},
    "mistral": {"mistral"},
    "openai_compatible": {"groq"},  # one of its answers' fields
    "openai": {"openai"},
    "payments": {"stripe"},
    "replicate": {"replicate"},
    "responses": {"openai"},
    "runway": {"runway"},
    "stability": {"stability"},
    "stripe": {"stripe"},
    "tripo": {"tripo"},
    "voyage": {"voyage"},
}

CODE = python(*DEPLOYED)


def named(token: Token) -> set[str]:
    """The providers that a piece of code names."""
    text = token.text
    for allowed in WIRE_NAMES:
        text = text.replace(allowed, "")
    words = Token(token.line, text.replace("OpenAI", "openai")).words
    return words & PROVIDERS


def at_home(path: str) -> set[str]:
    """The names that a file may use: those of the vendor whose adapter it is."""
    name = path.removeprefix(ADAPTERS) if path.startswith(ADAPTERS) else ""
    return next((names for room, names in ROOMS.items() if name.startswith(room)), set[str]())


def sockets(module: ast.Module) -> set[str]:
    """What is used of the socket module, imported by name or through it."""
    used = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module == "socket":
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "socket":
            used.add(node.attr)
    return used


def strange_imports(path: Path) -> list[str]:
    """Imports of a client that this file is not the place for."""
    return [
        f"line {line}: {imported}"
        for line, imported in imports(path)
        for client, allowed in CLIENTS.items()
        if f"{imported}.".startswith(f"{client}.") and name(path) not in allowed
    ]


def said(path: Path) -> set[str]:
    return {token.text for token in tokens(path)}


def test_sockets_are_opened_in_three_places_only() -> None:
    for path in CODE:
        assert strange_imports(path) == [], name(path)
        assert name(path) == AWS_CLIENT or not said(path) & CONNECTING, name(path)
        assert sockets(tree(path)) <= SOCKET_NAMES, name(path)


@pytest.mark.parametrize(
    "source", ["import socket\nsocket.socket()", "from socket import socket", "socket.getaddrinfo()"]
)
def test_the_check_sees_a_socket(source: str) -> None:
    assert not sockets(ast.parse(source)) <= SOCKET_NAMES


def test_no_place_is_kept_for_a_client_that_is_gone() -> None:
    assert said(ROOT / AWS_CLIENT) & CONNECTING
    for client, allowed in CLIENTS.items():
        for place in allowed:
            imported = {name for _, name in imports(ROOT / place)}
            assert any(f"{name}.".startswith(f"{client}.") for name in imported), f"{place} does without {client}"


def test_the_environment_is_read_in_one_place() -> None:
    assert {name(path) for path in CODE if said(path) & ENVIRONMENT} == {WIRING}


def test_no_provider_is_named_in_code() -> None:
    for path in CODE:
        own = at_home(path.relative_to(ROOT).as_posix())
        found = {f"line {token.line}: {provider}" for token in tokens(path) for provider in named(token) - own}
        assert found == set(), name(path)


@pytest.mark.parametrize(
    ("text", "providers"),
    [
        ("OpenAI", {"openai"}),
        ("OPENAI_API_KEY", {"openai"}),
        ("call openai/gpt-5.4-mini", {"openai", "gpt"}),
        ("anthropic_version", {"anthropic"}),
        ("XAIClient", {"xai"}),
        ("is_ollama", {"ollama"}),
        ("openai_compatible", set()),
        ("OpenAICompatibleChat", set()),
        ("openapi_url", set()),
        ("x-sandbox-id", set()),
        ("default", set()),
    ],
)
def test_the_check_sees_names_in_every_spelling(text: str, providers: set[str]) -> None:
    assert named(Token(1, text)) == providers
