"""The operator's commands: `python -m ops [--stack NAME] COMMAND …`, and `--help` lists them.

With --stack (or AIG_STACK) they act on a deployed stack, without it on what AIG_CORE_TABLE, AIG_SECRET_ARN and
AIG_DYNAMODB_ENDPOINT of the environment say.
"""

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from aig.aws.json_api import AwsError
from aig.catalog.model import builtin
from aig.clock import SystemClock
from aig.keys import SCOPES
from aig.money.units import parse_usd
from aig.ports import StoreBusy
from aig.wiring import Container
from ops import accounts, prices, reconcile, redrive, secret, usage, wallets
from ops.stack import environment, open_container


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ops", description="The operator's commands.")
    parser.add_argument("--stack", default=os.environ.get("AIG_STACK"), help="the CloudFormation stack to act on")
    groups = parser.add_subparsers(dest="group", required=True)

    account = groups.add_parser("account", help="accounts").add_subparsers(dest="action", required=True)
    create = account.add_parser("create", help="make an account; prints its id")
    create.add_argument("--name", required=True)

    key = groups.add_parser("key", help="API keys").add_subparsers(dest="action", required=True)
    create = key.add_parser("create", help="make a key; prints it, this once")
    create.add_argument("account")
    create.add_argument("--name", default="default")
    create.add_argument("--scope", action="append", choices=sorted(SCOPES), help="may be repeated; all if left out")
    create.add_argument("--rpm", type=int, help="requests a minute")
    create.add_argument("--cap", help="what it may spend, in USD such as 25.00")
    create.add_argument("--tag", help="default tag of its requests")
    create.add_argument("--model", action="append", default=[], help="glob over slugs; may be repeated")
    create.add_argument("--expires-at", type=int, help="unix seconds")
    revoke = key.add_parser("revoke", help="end a key")
    revoke.add_argument("account")
    revoke.add_argument("key", help="key_…")

    wallets.add_parsers(groups)

    books = groups.add_parser("reconcile", help="prove an account's books; prints what does not add up")
    books.add_argument("account")
    books.set_defaults(action="")
    usage_group = groups.add_parser("usage", help="usage reports").add_subparsers(dest="action", required=True)
    repair = usage_group.add_parser("repair", help="count the debits of the last seven days that the reports miss")
    repair.add_argument("account")

    provider = groups.add_parser("provider-key", help="provider keys").add_subparsers(dest="action", required=True)
    put = provider.add_parser("set", help="asks for the value; an empty one removes the key")
    providers = builtin().providers.values()
    names = {p.key_name for p in providers if p.key_name} | {p.base_url_variable for p in providers}
    names |= secret.payment_names()
    put.add_argument(
        "name", choices=sorted(names), metavar="NAME", help="as in catalog/providers.toml or docs/payments.md"
    )
    provider.add_parser("list", help="the names of those that are set")
    groups.add_parser("rotate-link-key", help="sign links to files with another key; twice ends all former links")
    dead = groups.add_parser("redrive", help="have what could not be started, or sent, tried again")
    dead.add_argument("what", choices=[*sorted(redrive.QUEUES), "events"])
    dead.add_argument(
        "--from", dest="start", help="of events: those written from this time on, such as 2026-11-26T10:00"
    )
    dead.add_argument("--to", dest="end", help="and before this one, both in UTC")
    differences = groups.add_parser("prices", help="where our prices differ from a public data set")
    differences.add_argument("--source", default=prices.DEFAULT, help=f"URL or file (default {prices.DEFAULT})")
    return parser


async def _account_create(container: Container, args: argparse.Namespace) -> None:
    print(await accounts.create_account(container, args.name))


async def _key_create(container: Container, args: argparse.Namespace) -> None:
    made = await accounts.create_key(
        container,
        args.account,
        title=args.name,
        scopes=args.scope or accounts.ALL_SCOPES,
        rpm=args.rpm,
        cap=parse_usd(args.cap) if args.cap is not None else None,
        default_tag=args.tag,
        allowed_models=args.model,
        expires_at=args.expires_at,
    )
    print(made.text)


async def _key_revoke(container: Container, args: argparse.Namespace) -> None:
    if not await container.keys.revoke_key(args.account, args.key):
        raise ValueError(f"account {args.account} has no key {args.key}")


async def _reconcile(container: Container, args: argparse.Namespace) -> None:
    found = await reconcile.differences(container, args.account)
    if found:
        raise ValueError("\n".join([f"{len(found)} differences in the books of {args.account}:", *found]))
    print(f"{args.account}: no differences")


async def _usage_repair(container: Container, args: argparse.Namespace) -> None:
    print(f"{await usage.repair(container, args.account)} debits of the last seven days are in the reports")


async def _redrive_events(container: Container, args: argparse.Namespace) -> None:
    if not args.start or not args.end:
        raise ValueError("say which events: --from 2026-11-26T10:00 --to 2026-11-26T11:00")
    start, end = redrive.moment(args.start), redrive.moment(args.end)
    found = await redrive.redrive_events(container, environment(args.stack), start, end)
    print(f"{found} events are dispatched again: whoever was told of one is not told twice")


_ACTIONS = {
    ("account", "create"): _account_create,
    ("key", "create"): _key_create,
    ("key", "revoke"): _key_revoke,
    ("usage", "repair"): _usage_repair,
    ("reconcile", ""): _reconcile,
    ("redrive", "events"): _redrive_events,
}


async def _run(args: argparse.Namespace) -> None:
    container = open_container(environment(args.stack))
    try:
        action = args.what if args.group == "redrive" else args.action
        await (wallets.run if args.group == "wallet" else _ACTIONS[args.group, action])(container, args)
    finally:
        await container.close()


def _secret_arn(args: argparse.Namespace) -> str:
    arn = environment(args.stack).get("AIG_SECRET_ARN")
    if not arn:
        raise ValueError("say which secret: --stack NAME, or AIG_SECRET_ARN")
    return arn


def _provider_key(args: argparse.Namespace) -> None:
    arn = _secret_arn(args)
    if args.action == "list":
        print("\n".join(secret.provider_key_names(arn)) or "none")
    else:
        secret.set_provider_key(arn, args.name, getpass.getpass(f"{args.name}: ").strip())


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        if args.group == "provider-key":
            _provider_key(args)
        elif args.group == "rotate-link-key":
            secret.rotate_link_key(_secret_arn(args), int(SystemClock().now()))
        elif args.group == "redrive" and args.what != "events":
            print(f"{redrive.redrive(environment(args.stack), args.what)} messages are brought again")
        elif args.group == "prices":
            print(prices.report(builtin(), args.source))
        else:
            asyncio.run(_run(args))
    except (ValueError, OSError, AwsError, StoreBusy, BotoCoreError, ClientError) as error:
        print(f"ops: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
