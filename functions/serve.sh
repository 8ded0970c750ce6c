#!/bin/sh
# Serves the ASGI app that $1 names, as module:attribute. Lambda Web Adapter's /opt/bootstrap execs a family's run.sh in
# place of the Python runtime, so what the runtime would set up is set up here: the layers' path, boto3's path,
# unbuffered output.
export PYTHONPATH="${LAMBDA_TASK_ROOT:-.}:/opt/python:${LAMBDA_RUNTIME_DIR:-/var/runtime}${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1

# The adapter drops its idle connections after 4 s; uvicorn must never close one first.
exec python -m uvicorn "$1" \
    --host 127.0.0.1 --port "${AWS_LWA_PORT:-8080}" \
    --loop uvloop --http httptools --ws none --interface asgi3 \
    --timeout-keep-alive 60 --timeout-graceful-shutdown 1 \
    --log-level warning --no-access-log --no-server-header
