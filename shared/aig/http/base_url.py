"""Where this gateway is, as the client sees it."""

from starlette.requests import Request


def base_url(request: Request, stage: str) -> str:
    """Scheme, host and, at the address that API Gateway gives, the stage; without `/v1`."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    host = request.headers.get("host", "")
    return f"{scheme}://{host}{f'/{stage}' if stage and '.execute-api.' in host else ''}"
