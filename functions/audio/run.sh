#!/bin/sh
# The handler of the audio function.
exec "$(dirname "$0")/../serve.sh" functions.audio.app:app
