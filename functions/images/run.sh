#!/bin/sh
# The handler of the images function.
exec "$(dirname "$0")/../serve.sh" functions.images.app:app
