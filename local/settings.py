"""What `make run` takes from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from local.errors import StartError
from local.models.registry import Modality, UnknownModelError, choose

DEFAULT_PORT = 8787
_TIME_SCALE = re.compile(r"1(\.0*)?|0?\.(?=\d*[1-9])\d{1,6}", re.ASCII)
_FREE_TIER = re.compile(r"\S+/\S+ [1-9]\d{0,5} \d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True)
class Settings:
    """`dev_key` is the key to seed (None: make one); `dynamodb_endpoint` replaces the embedded DynamoDB.

    `models` is MODELS as it was given, `modalities` what of the local models it leaves.
    `time_scale` is a decimal above 0 and up to 1 that the waits of state machines are multiplied by.
    """

    port: int
    dev_key: str | None
    dynamodb_endpoint: str | None
    models: str
    modalities: tuple[Modality, ...]
    log_level: str
    free_tier: str
    time_scale: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises StartError for a PORT, MODELS, FREE_TIER or TIME_SCALE that means nothing."""
        port = environ.get("PORT", "") or str(DEFAULT_PORT)
        if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
            raise StartError(f"PORT must be a number from 0 to 65535, not {port!r}")
        models = environ.get("MODELS", "")
        try:
            modalities = choose(models)
        except UnknownModelError as error:
            raise StartError(str(error)) from error
        free_tier = environ.get("FREE_TIER", "")
        if free_tier and not _FREE_TIER.fullmatch(free_tier):
            raise StartError(f"FREE_TIER must be like 'sandbox/echo 100 2027-01-31', not {free_tier!r}")
        time_scale = environ.get("TIME_SCALE", "") or "1"
        if not _TIME_SCALE.fullmatch(time_scale):
            raise StartError(f"TIME_SCALE must be a decimal above 0 and up to 1, like 0.01, not {time_scale!r}")
        return cls(
            port=int(port),
            dev_key=environ.get("AIG_DEV_KEY") or None,
            dynamodb_endpoint=environ.get("AIG_DYNAMODB_ENDPOINT") or None,
            models=models,
            modalities=modalities,
            log_level=environ.get("LOG_LEVEL", "") or "WARNING",
            free_tier=free_tier,
            time_scale=time_scale,
        )
