#!/bin/sh
# The handler of the chat function.
exec "$(dirname "$0")/../serve.sh" functions.chat.app:app
