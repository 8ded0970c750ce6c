"""The handlers as Lambda calls them: the files of events/, and REST proxy events as API Gateway makes them."""

import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from typing_extensions import override

from aig.aws.health import DynamoHealth
from aig.traffic import Traffic
from aig.wiring import Container
from local import event as rest
from local.deploy import create_tables
from local.routing import Router
from local.template import Stack
from tests import apps
from tests.apps import App, Handler, catalog_with, event
from tests.builders import PROVIDER_KEY, an_account, wallet_of
from tests.logs import Log
from tests.unit.clock import FixedClock


@dataclass(frozen=True)
class Answer:
    """What a client of the REST API gets; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str, str]:
        """Status, type and code of an error that has all five fields and the request id."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "code", "param", "request_id"}
        assert error["request_id"] == self.headers["x-request-id"] == self.headers["request-id"]
        return self.status, error["type"], error["code"]


class HastyClock(FixedClock):
    """The true time, but every look at the monotonic clock finds it a minute later: what is due then is due at once."""

    @override
    def now(self) -> float:
        return time.time()

    @override
    def monotonic(self) -> float:
        self.time += 60
        return self.time


class RestApi:
    """API Gateway's part: the route, the event, and the answer in the handler's result."""

    def __init__(self, stack: Stack, **variables: str) -> None:
        self._stack = stack
        self._router = Router(stack.routes)
        self._variables = variables
        self._handlers: dict[str, Handler] = {}

    async def __call__(self, method: str, path: str, query: str = "", **headers: str) -> Answer:
        match = self._router.match(method, path)
        assert match is not None
        lines = [(name.replace("_", "-"), value) for name, value in {"host": "gateway", **headers}.items()]
        request = rest.Request(method, path, query, lines, b"", "203.0.113.1", 443, str(uuid.uuid4()))
        return await self.invoke(
            match.route.function, rest.build(request, match, self._stack.stage, (), datetime.now(UTC))
        )

    async def invoke(self, function: str, proxy_event: dict[str, Any]) -> Answer:
        """The answer of the function with this logical id."""
        if function not in self._handlers:
            self._handlers[function] = Handler(self._stack.functions[function], **self._variables)
        answer = rest.parse_result(await self._handlers[function].invoke(proxy_event), "", ())
        return Answer(answer.status, dict(answer.headers), answer.body)

    async def close(self) -> None:
        """Ends the functions."""
        for handler in self._handlers.values():
            await handler.close()


@pytest.fixture
async def api(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[RestApi]:
    """The routes of the Mangum functions."""
    api = RestApi(deployed)
    yield api
    await api.close()


class TestEventFiles:
    async def test_accounts(self, api: RestApi, container: Container) -> None:
        account = await an_account(container)
        answer = await api.invoke("AccountsFunction", event("accounts", authorization=f"Bearer {account.key}"))
        assert (answer.status, answer.json["balance"]) == (200, "10.00")
        assert answer.headers["x-request-id"].startswith("req_")

    async def test_accounts_as_it_is_committed(self, api: RestApi) -> None:
        answer = await api.invoke("AccountsFunction", event("accounts"))
        assert answer.refusal == (401, "authentication_error", "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"

    async def test_payments_as_it_is_committed_and_without_stripe(self, api: RestApi, container: Container) -> None:
        assert (await api.invoke("PaymentsFunction", event("payments"))).status == 401
        account = await an_account(container)
        answer = await api.invoke("PaymentsFunction", event("payments", authorization=f"Bearer {account.key}"))
        assert answer.refusal == (502, "provider_error", "not_configured")
        assert "STRIPE_API_KEY" in answer.json["error"]["message"]

    async def test_models(self, api: RestApi) -> None:
        answer = await api.invoke("ModelsFunction", event("models"))
        assert answer.status == 200
        assert "sandbox/echo" in {model["id"] for model in answer.json["data"]}

    async def test_chat(self, chat: App, container: Container) -> None:
        """Its handler is a web server behind Lambda Web Adapter, which turns the event into this request."""
        account = await an_account(container)
        sent = event("chat", authorization=f"Bearer {account.key}")
        response = await chat.client.request(
            sent["httpMethod"], sent["path"], headers=sent["headers"], content=sent["body"]
        )
        assert response.status_code == 200
        assert response.json()["choices"][0]["message"]["content"] == "echo: Hello from events/chat.json"

    async def test_sweeper(self, deployed: Stack, container: Container, logged: Log) -> None:
        """What it counts is not told here: jobs of other tests may have fallen silent by now."""
        sweeper = Handler(deployed.functions["SweeperFunction"])
        counted = await sweeper.invoke(event("sweeper"))
        assert counted.keys() == {"voided", "brought"}
        await sweeper.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_root_needs_no_key(api: RestApi, method: str) -> None:
    answer = await api(method, "/")
    assert answer.status == 200
    assert "x-request-id" in answer.headers


async def test_an_unknown_path_is_a_typed_404(api: RestApi) -> None:
    answer = await api("GET", "/v1/nothing/here")
    assert answer.refusal == (404, "not_found_error", "not_found")
    assert "/v1/nothing/here" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/models"), ("DELETE", "/v1/wallet"), ("PUT", "/v1/key"), ("PATCH", "/")]
)
async def test_a_wrong_method_is_a_typed_405(api: RestApi, method: str, path: str) -> None:
    assert (await api(method, path)).refusal == (405, "invalid_request_error", "method_not_allowed")


class TestModels:
    async def test_the_list_holds_prices_and_what_can_be_called(self, api: RestApi) -> None:
        listed = (await api("GET", "/v1/models")).json
        assert listed["object"] == "list"
        models = {model["id"]: model for model in listed["data"]}
        echo, gpt = models["sandbox/echo"], models["openai/gpt-5.4-mini"]
        assert (echo["object"], echo["owned_by"], echo["sandbox"], echo["available"]) == (
            "model", "sandbox", True, True
        )  # fmt: skip
        assert isinstance(echo["created"], int)
        assert echo["offers"][0]["usd_per_million"] == {"input_tokens": "1.00", "output_tokens": "2.00"}
        # No key for OpenAI is set up here.
        assert (gpt["sandbox"], gpt["available"], gpt["offers"][0]["available"]) == (False, False, False)
        assert gpt["offers"][0]["source"].startswith("https://")

    async def test_a_provider_with_a_key_is_available_and_its_key_is_not_shown(
        self, deployed: Stack, container: Container, logged: Log
    ) -> None:
        api = RestApi(deployed, OPENAI_API_KEY=PROVIDER_KEY)
        answer = await api("GET", "/v1/models/openai/gpt-5.4-mini")
        assert answer.json["available"] is True
        assert PROVIDER_KEY.encode() not in answer.body
        await api.close()

    @pytest.mark.parametrize("path", ["/v1/models/sandbox/echo", "/v1/models/sandbox%2Fecho"])
    async def test_one_by_its_slug_raw_and_encoded(self, api: RestApi, path: str) -> None:
        answer = await api("GET", path)
        assert (answer.status, answer.json["id"]) == (200, "sandbox/echo")

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (
                "modality=music",
                {
                    "elevenlabs/music",
                    "minimax/music-2.0",
                    "minimax/music-2.6",
                    "sandbox/music",
                    "stability/stable-audio-2",
                    "stability/stable-audio-2.5",
                },
            ),
            ("provider=local&capability=chat", {"local/smollm2-135m-instruct"}),
            ("provider=local&modality=transcription", {"local/whisper-tiny-en"}),
            ("provider=sandbox&capability=embed&modality=embedding", {"sandbox/embed"}),
            ("provider=sandbox&modality=embedding", {"sandbox/embed"}),
            ("provider=sandbox&available=false", set()),
        ],
    )
    async def test_filters(self, api: RestApi, query: str, expected: set[str]) -> None:
        listed = (await api("GET", "/v1/models", query)).json
        assert {model["id"] for model in listed["data"]} == expected

    @pytest.mark.parametrize(
        ("query", "param", "known"),
        [
            ("modality=smell", "modality", "text"),
            ("provider=nobody", "provider", "openai"),
            ("provider=openai&provider=nobody", "provider", "openai"),
            ("capability=tools,flight", "capability", "vision"),
            ("available=yes", "available", "true"),
        ],
    )
    async def test_a_filter_that_nothing_can_pass_names_what_there_is(
        self, api: RestApi, query: str, param: str, known: str
    ) -> None:
        answer = await api("GET", "/v1/models", query)
        assert answer.refusal == (400, "invalid_request_error", "invalid_value")
        assert answer.json["error"]["param"] == param
        assert known in answer.json["error"]["message"]

    async def test_several_capabilities_are_all_wanted(self, api: RestApi) -> None:
        for query in ("capability=tools,vision&provider=openai", "capability=tools&capability=vision&provider=openai"):
            listed = (await api("GET", "/v1/models", query)).json["data"]
            assert len(listed) > 5
            assert all({"tools", "vision"} <= {*model["capabilities"]} for model in listed)

    async def test_what_can_be_called_and_what_is_missing_for_the_rest(self, api: RestApi) -> None:
        """Test models need nothing here; OpenAI's name their key, and other modalities say that they come later."""
        callable_here = (await api("GET", "/v1/models", "available=true")).json["data"]
        assert {model["owned_by"] for model in callable_here} == {"sandbox"}
        others = {model["id"]: model for model in (await api("GET", "/v1/models", "available=false")).json["data"]}
        assert len(others) >= 200
        gpt, video = others["openai/gpt-5.4"], others["xai/grok-imagine-video"]
        assert (gpt["unavailable_reason"], gpt["offers"][0]["missing"]) == ("not_configured", "OPENAI_API_KEY")
        assert (video["unavailable_reason"], video["offers"][0]["usd_per_unit"]) == (
            "not_served_yet",
            {"seconds": "0.05"},
        )

    async def test_an_offer_of_a_model_that_is_not_served_is_not_available(self, deployed: Stack, logged: Log) -> None:
        api = RestApi(deployed, OPENAI_API_KEY=PROVIDER_KEY)
        model = (await api("GET", "/v1/models/openai/gpt-4o-transcribe-diarize")).json
        assert (model["available"], model["unavailable_reason"]) == (False, "not_served_yet")
        assert {offer["available"] for offer in model["offers"] if offer["provider"] == "openai"} == {False}
        await api.close()

    async def test_prices_by_length_and_by_tier(self, api: RestApi) -> None:
        offer, *_ = (await api("GET", "/v1/models/openai/gpt-5.4")).json["offers"]
        assert offer["usd_per_million"] == {
            "input_tokens": "2.50",
            "cached_input_tokens": "0.25",
            "output_tokens": "15.00",
        }
        assert offer["above"][0]["tokens"] == 272_000
        assert offer["above"][0]["usd_per_million"]["output_tokens"] == "22.50"
        assert offer["service_tiers"]["flex"]["usd_per_million"]["input_tokens"] == "1.25"

    async def test_prices_by_the_hour(self, api: RestApi) -> None:
        offer, *_ = (await api("GET", "/v1/models/deepseek/deepseek-v4-pro")).json["offers"]
        assert offer["usd_per_million"]["output_tokens"] == "1.98"
        assert offer["hours"] == [
            {
                "utc": ["01:00-04:00", "06:00-10:00"],
                "days": [1, 2, 3, 4, 5],
                "usd_per_million": {
                    "input_tokens": "1.32",
                    "cached_input_tokens": "0.044",
                    "output_tokens": "3.96",
                },
            }
        ]
        full = (await api("GET", "/llms-full.txt")).body.decode()
        (line,) = [line for line in full.splitlines() if line.startswith("- `deepseek/deepseek-v4-pro`")]
        assert "$0.66/M input tokens, $1.98/M output tokens ($0.044/M cached input tokens, $1.32/M input tokens" in line
        assert "at 01:00-04:00 and 06:00-10:00 UTC on Mon, Tue, Wed, Thu, Fri)" in line

    @pytest.mark.parametrize(
        ("variables", "missing"),
        [
            ({}, "CLOUDFLARE_API_TOKEN and AIG_CLOUDFLARE_BASE_URL"),
            ({"CLOUDFLARE_API_TOKEN": PROVIDER_KEY}, "AIG_CLOUDFLARE_BASE_URL"),
            ({"AIG_CLOUDFLARE_BASE_URL": "https://cloudflare.example/ai/v1"}, "CLOUDFLARE_API_TOKEN"),
        ],
    )
    async def test_what_is_missing_is_named_and_not_what_is_there(
        self, variables: dict[str, str], missing: str, deployed: Stack, logged: Log
    ) -> None:
        api = RestApi(deployed, **variables)
        (offer,) = (await api("GET", "/v1/models/alibaba/qwq-32b")).json["offers"]
        full = (await api("GET", "/llms-full.txt")).body.decode()
        await api.close()
        assert (offer["available"], offer["missing"]) == (False, missing)
        (line,) = [line for line in full.splitlines() if line.startswith("- `alibaba/qwq-32b`")]
        assert line.endswith(f"(needs {missing})")

    async def test_an_offer_that_is_smaller_says_so(self, api: RestApi) -> None:
        model = (await api("GET", "/v1/models/meta/llama-3.3-70b-instruct")).json
        offers = {offer["provider"]: offer for offer in model["offers"]}
        assert model["context_window"] == 131_072
        assert (offers["cloudflare"]["context_window"], offers["bedrock"]["max_output_tokens"]) == (24_000, 4096)
        assert "context_window" not in offers["groq"]

    async def test_llms_txt_tells_an_agent_how_to_call(self, api: RestApi) -> None:
        answer = await api("GET", "/llms.txt")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        text = answer.body.decode()
        assert text.startswith("# AIgateway\n")
        base_url = text.partition("Base URL: `")[2].partition("`")[0]
        assert base_url.startswith("http")
        assert base_url.endswith("/v1")
        assert "`sandbox/echo`" in text
        assert "openai/gpt-5.4" not in text  # it cannot be called here
        full = (await api("GET", "/llms-full.txt")).body.decode()
        models = (await api("GET", "/v1/models")).json["data"]
        assert all(f"- `{model['id']}`: " in full for model in models)
        assert "needs OPENAI_API_KEY" in full
        assert "- `xai/grok-imagine-video`: Grok Imagine Video; $0.05 per second (not served yet)" in full

    async def test_an_unknown_one_names_the_nearest(self, api: RestApi) -> None:
        answer = await api("GET", "/v1/models/sandbox/eco")
        assert answer.refusal == (404, "model_not_found", "model_not_found")
        assert "sandbox/echo" in answer.json["error"]["message"]
        assert answer.json["error"]["param"] == "model"


async def test_the_openapi_document_lists_the_templates_routes(api: RestApi, deployed: Stack) -> None:
    answer = await api("GET", "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    paths = set(answer.json["paths"])
    # The rest of the routes serves the document itself and 404s.
    routes = {route.path for route in deployed.routes} - {"/", "/{proxy+}", "/openapi.json"}

    def beginnings(found: set[str]) -> set[str]:
        return {re.sub(r"\{.*", "{", path) for path in found}

    assert beginnings(paths) == beginnings(routes)


async def test_the_health_of_providers_is_that_of_real_traffic(deployed: Stack, dynamodb: str, logged: Log) -> None:
    (table,) = (table for table in deployed.tables if table.logical_id == "CoreTable")
    name = f"{table.name}-{uuid.uuid4().hex}"
    own = replace(table, name=name, definition={**table.definition, "TableName": name})
    create_tables([own], dynamodb)
    variables = {"AIG_CORE_TABLE": name, "OPENAI_API_KEY": PROVIDER_KEY}
    chat = App(apps.start(deployed.functions["ChatFunction"], **variables))
    account = await an_account(chat.module.container)
    chat.replace(
        traffic=Traffic(DynamoHealth(chat.module.container.table), HastyClock()),
        catalog=catalog_with({"sandbox": {"first_byte": 0.2, "total": 0.2}}),
    )
    for model in (*["echo"] * 6, "fail-500", "fail-timeout"):
        await chat.ask(account, model=f"sandbox/{model}")
    await chat.ask(account, model="sandbox/nothing")
    await chat.close()
    api = RestApi(deployed, **variables)
    answer = await api("GET", "/v1/health/providers")
    await api.close()
    providers = {provider["provider"]: provider for provider in answer.json["data"]}
    sandbox, openai, ollama = providers["sandbox"], providers["openai"], providers["ollama"]
    assert (sandbox["available"], openai["available"], ollama["available"]) == (True, True, False)
    assert (sandbox["state"], openai["state"]) == ("degraded", "unknown")
    assert set(sandbox["windows"]) == {"1m", "5m", "60m"}
    hour = sandbox["windows"]["60m"]
    assert (hour["requests"], hour["success_rate"]) == (10, 0.6)  # what failed with 500 was tried three times
    assert hour["last_error"] in {"unavailable", "timeout"}
    assert 0 < hour["p50_ms"] <= hour["p95_ms"]
    models = {model["model"]: model["windows"]["60m"] for model in sandbox["models"]}
    assert {name: window["requests"] for name, window in models.items()} == {
        "sandbox/echo": 6, "sandbox/fail-500": 3, "sandbox/fail-timeout": 1
    }  # fmt: skip
    assert (models["sandbox/echo"]["state"], models["sandbox/fail-500"]["state"]) == ("healthy", "down")
    assert models["sandbox/fail-timeout"]["last_error"] == "timeout"
    assert openai["windows"]["60m"] == {
        "state": "unknown", "requests": 0, "success_rate": None, "p50_ms": None, "p95_ms": None, "last_error": None,
        "tokens_per_s": None,
    }  # fmt: skip
    assert PROVIDER_KEY.encode() not in answer.body


class TestAccounts:
    async def test_the_wallet(self, api: RestApi, container: Container) -> None:
        account = await an_account(container, "12.345678901")
        answer = await api("GET", "/v1/wallet", authorization=f"Bearer {account.key}")
        assert answer.json == {
            "object": "wallet",
            "balance": "12.345678901",
            "in_flight": "0.00",
            "currency": "usd",
            "low_balance_threshold": "1.00",
        }
        assert (await wallet_of(container, account)).available == 12_345_678_901

    async def test_the_key(self, api: RestApi, container: Container) -> None:
        account = await an_account(container, title="ci", allowed_models=["sandbox/*"], default_tag="ci", rpm=9)
        answer = await api("GET", "/v1/key", authorization=f"Bearer {account.key}")
        assert answer.json == {
            "object": "api_key",
            "id": account.key_id,
            "name": "ci",
            "hint": f"{account.key[:15]}…",
            "scopes": ["admin", "inference", "usage:read"],
            "status": "active",
            "spend_cap": None,
            "spend_cap_reset": "never",
            "resets_at": None,
            "spent": "0.00",
            "in_flight": None,
            "remaining": None,
            "rpm": 9,
            "allowed_models": ["sandbox/*"],
            "default_tag": "ci",
            "expires_at": None,
            "former_secret_expires_at": None,
            "created_at": answer.json["created_at"],
        }

    async def test_both_want_a_key(self, api: RestApi) -> None:
        for path in ("/v1/wallet", "/v1/key"):
            assert (await api("GET", path)).refusal == (401, "authentication_error", "invalid_api_key")
