"""The only room that knows FastAPI: app factory, authentication, bodies, headers, errors, event streams."""
