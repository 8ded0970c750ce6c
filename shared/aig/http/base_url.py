"""Where this gateway is, as the client sees it."""

import re

from starlette.requests import Request

from aig.errors import InvalidRequest

_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}", re.ASCII)


def base_url(request: Request, stage: str) -> str:
    """Scheme, host and, at the address that API Gateway gives, the stage; without `/v1`. Raises InvalidRequest.

    API Gateway takes no Host but its own. Behind another proxy that is the proxy's to see to, or `AIG_MEDIA_URL` says
    where links to files lead.
    """
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise InvalidRequest("The Host header names no host. Send the one that you connect to.", param="Host")
    return f"{scheme}://{host}{f'/{stage}' if stage and '.execute-api.' in host else ''}"
