#!/bin/sh
# The handler of the text function.
exec "$(dirname "$0")/../serve.sh" functions.text.app:app
