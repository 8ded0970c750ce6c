"""Chat completions: streams, so it runs as an ASGI app under Lambda Web Adapter."""
