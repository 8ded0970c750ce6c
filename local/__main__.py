"""`python -m local`: the whole gateway on this machine, until Ctrl-C. `make run` makes the environment for it."""

import sys


def main() -> int:
    """Says in one line which package is missing, if one is; else runs the stack."""
    try:
        from local.server import main as run
    except ModuleNotFoundError as error:
        print(f"make run: {error}; `make run` installs what is needed", file=sys.stderr)
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
