#!/bin/sh
# The handler of the embeddings function.
exec "$(dirname "$0")/../serve.sh" functions.embeddings.app:app
