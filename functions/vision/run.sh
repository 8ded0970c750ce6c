#!/bin/sh
# The handler of the vision function.
exec "$(dirname "$0")/../serve.sh" functions.vision.app:app
