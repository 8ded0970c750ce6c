"""A table of ours: one item in, one item out, and transactions of them, on DynamoDB's attribute values."""

import base64
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from aig.aws.json_api import PATIENCE_S, AwsError, JsonApi
from aig.ports import StoreBusy

Value = str | int | bool | bytes | tuple[str, ...]
Item = dict[str, Any]


def _dump_value(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, bytes):
        return {"B": base64.b64encode(value).decode()}
    return {"L": [{"S": text} for text in value]}


def dump(item: Mapping[str, Value | None]) -> Item:
    """Plain values as attribute values; None is left out."""
    return {name: _dump_value(value) for name, value in item.items() if value is not None}


def _load_value(attribute: dict[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    if kind == "N":
        return int(value)
    if kind == "B":
        return base64.b64decode(value)
    if kind == "L":
        return tuple(_load_value(entry) for entry in value)
    return value


def load(item: Item) -> dict[str, Any]:
    return {name: _load_value(attribute) for name, attribute in item.items()}


class Table:
    """`name` in DynamoDB, with sort keys or, where `sk` is None, without.

    All calls raise StoreBusy when DynamoDB has no answer in time.
    """

    def __init__(self, api: JsonApi, name: str) -> None:
        self._api = api
        self.name = name

    async def close(self) -> None:
        await self._api.close()

    async def _call(
        self,
        operation: str,
        request: dict[str, Any],
        patience_s: float = PATIENCE_S,
        on_trouble: Callable[[AwsError], None] | None = None,
    ) -> dict[str, Any]:
        try:
            return await self._api.call(operation, request, patience_s, on_trouble)
        except AwsError as error:
            if error.retryable:
                raise StoreBusy(error.code) from error
            raise

    async def get(self, pk: str, sk: str | None = None) -> dict[str, Any] | None:
        """A strongly consistent read of one item."""
        key = dump({"pk": pk, "sk": sk})
        answer = await self._call("GetItem", {"TableName": self.name, "Key": key, "ConsistentRead": True})
        return load(answer["Item"]) if "Item" in answer else None

    async def get_all(self, keys: Sequence[tuple[str, str]]) -> list[dict[str, Any] | None]:
        """Items by their (pk, sk) as they were at one moment. Writes under way have it repeated."""
        gets = [{"Get": {"TableName": self.name, "Key": dump({"pk": pk, "sk": sk})}} for pk, sk in keys]
        answer = await self._call("TransactGetItems", {"TransactItems": gets})
        return [load(found["Item"]) if found.get("Item") else None for found in answer["Responses"]]

    async def put_new(self, item: Mapping[str, Value | None]) -> bool:
        """False if an item with this key is there already: it stays as it is."""
        request = {"TableName": self.name, "Item": dump(item), "ConditionExpression": "attribute_not_exists(pk)"}
        return await self._if("PutItem", request)

    async def put_if(
        self, item: Mapping[str, Value | None], condition: str, values: Mapping[str, Value], **names: str
    ) -> bool:
        """Put an item in the place of any other. False if the condition does not hold: nothing is changed then."""
        request: dict[str, Any] = {
            "TableName": self.name,
            "Item": dump(item),
            "ConditionExpression": condition,
            "ExpressionAttributeValues": dump(values),
        }
        if names:  # DynamoDB takes no empty map
            request["ExpressionAttributeNames"] = {f"#{short}": name for short, name in names.items()}
        return await self._if("PutItem", request)

    async def put(self, item: Mapping[str, Value | None]) -> None:
        """Put an item in the place of any other."""
        await self._call("PutItem", {"TableName": self.name, "Item": dump(item)})

    async def update(self, pk: str, sk: str, expression: str, values: Mapping[str, Value], **names: str) -> None:
        await self._call("UpdateItem", self.update_action(pk, sk, expression, values, **names)["Update"])

    async def update_if(
        self, pk: str, sk: str | None, expression: str, values: Mapping[str, Value], condition: str, **names: str
    ) -> bool:
        """False if the condition does not hold: nothing is changed then."""
        action = self.update_action(pk, sk, expression, values, condition, **names)
        return await self._if("UpdateItem", action["Update"])

    async def change(self, action: dict[str, Any]) -> bool:
        """An Update of `transact` alone, at half the write units. False if its condition does not hold.

        So it is too where a first try was done and its reply lost, if the change ends what the condition asks for.
        """
        return await self._if("UpdateItem", action["Update"])

    async def _if(self, operation: str, request: dict[str, Any]) -> bool:
        try:
            await self._call(operation, request)
        except AwsError as error:
            if error.code == "ConditionalCheckFailedException":
                return False
            raise
        return True

    async def query(
        self, condition: str, values: Mapping[str, Value], *, index: str | None = None, consistent: bool = False
    ) -> list[dict[str, Any]]:
        """All items of the pages that match, in key order."""
        pages = self.pages(condition, values, index=index, consistent=consistent)
        return [item async for page in pages for item in page]

    async def pages(
        self, condition: str, values: Mapping[str, Value], *, index: str | None = None, consistent: bool = False
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """What matches, in key order, as DynamoDB hands it out: a megabyte at a time."""
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": dump(values),
            "ConsistentRead": consistent,
        }
        if index:
            request["IndexName"] = index
        while True:
            page = await self._call("Query", request)
            yield [load(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def first(
        self, condition: str, values: Mapping[str, Value], most: int, *, index: str | None = None
    ) -> list[dict[str, Any]]:
        """At most so many of the items that match, in key order."""
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": dump(values),
            "Limit": most,
        }
        if index:
            request["IndexName"] = index
        return [load(item) for item in (await self._call("Query", request))["Items"]]

    async def family(self, pk: str, sk: str) -> list[dict[str, Any]]:
        """The item `sk`, and those whose sort keys are `sk#…`: strongly consistent, but not of one moment."""
        values = {":pk": pk, ":first": sk, ":last": f"{sk}#{chr(0x10FFFF)}"}
        request = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": dump(values),
            "ConsistentRead": True,
        }
        answer = await self._call("Query", request)
        assert "LastEvaluatedKey" not in answer  # a family is far from a megabyte
        return [item for item in map(load, answer["Items"]) if item["sk"] == sk or item["sk"].startswith(f"{sk}#")]

    async def page(
        self, pk: str, prefix: str, *, limit: int, after: str | None = None
    ) -> tuple[list[dict[str, Any]], bool]:
        """At most `limit` items whose sort keys begin with `prefix`, the last first; and whether there are more.

        `after` is the rest of the sort key behind which the page begins. It need not be there (any more).
        """
        lowest, highest = prefix, f"{prefix}{after or chr(0x10FFFF)}"
        values = {":pk": pk, ":lowest": lowest, ":highest": highest}
        request = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :lowest AND :highest",
            "ExpressionAttributeValues": dump(values),
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        items: list[dict[str, Any]] = []
        while len(items) <= limit:
            # One more than asked for tells whether there are more, and one may be `after` itself.
            page = await self._call("Query", {**request, "Limit": limit + 2 - len(items)})
            items += [item for item in map(load, page["Items"]) if after is None or item["sk"] != highest]
            if "LastEvaluatedKey" not in page:
                break
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return items[:limit], len(items) > limit

    async def transact(self, actions: Sequence[dict[str, Any]], patience_s: float = PATIENCE_S) -> list[int]:
        """All or none. The positions of the actions whose condition failed: none of them means it is done."""
        return list(await self.transact_telling(actions, patience_s))

    async def transact_telling(
        self,
        actions: Sequence[dict[str, Any]],
        patience_s: float = PATIENCE_S,
        on_trouble: Callable[[AwsError], None] | None = None,
    ) -> dict[int, dict[str, Any]]:
        """`transact` that tells more: what it met on its way, and the items whose condition failed.

        An item is empty unless its action asks for it (`telling`), and where there is none.
        The token makes a repeat after a lost reply harmless for ten minutes.
        """
        request = {"TransactItems": actions, "ClientRequestToken": secrets.token_hex(16)}
        try:
            await self._call("TransactWriteItems", request, patience_s, on_trouble)
        except AwsError as error:
            reasons = enumerate(zip(error.cancellation_codes, error.cancelled_items, strict=True))
            failed = {at: load(item) for at, (code, item) in reasons if code == "ConditionalCheckFailed"}
            if not failed:
                raise
            return failed
        return {}

    async def apply(self, action: dict[str, Any]) -> bool:
        """One Update as it is made for `transact`, at half the cost. False if its condition does not hold."""
        return await self._if("UpdateItem", action["Update"])

    def delete_action(self, pk: str, sk: str, condition: str | None = None) -> dict[str, Any]:
        """A Delete for `transact`, of an item that need not be there."""
        asked = {"ConditionExpression": condition} if condition else {}
        return {"Delete": {"TableName": self.name, "Key": dump({"pk": pk, "sk": sk}), **asked}}

    def put_action(self, item: Mapping[str, Value | None]) -> dict[str, Any]:
        """A Put for `transact`, of an item that must not be there yet."""
        condition = "attribute_not_exists(pk)"
        return {"Put": {"TableName": self.name, "Item": dump(item), "ConditionExpression": condition}}

    def change_action(
        self,
        pk: str,
        sk: str,
        changes: Mapping[str, Value | None],
        condition: str = "attribute_exists(pk)",
        values: Mapping[str, Value] | None = None,
        **names: str,
    ) -> dict[str, Any]:
        """An Update for `transact`: these attributes become what is given, or go where that is None.

        `names` gives placeholders for what only the condition names.
        """
        sets = [f"#{name} = :{name}" for name, value in changes.items() if value is not None]
        removes = [f"#{name}" for name, value in changes.items() if value is None]
        clauses = [f"SET {', '.join(sets)}" if sets else "", f"REMOVE {', '.join(removes)}" if removes else ""]
        given = {f":{name}": value for name, value in changes.items() if value is not None}
        expression = " ".join(filter(None, clauses))
        return self.update_action(
            pk, sk, expression, {**given, **(values or {})}, condition, **{name: name for name in changes}, **names
        )

    def count_action(self, pk: str, sk: str, most: int, expires_at: int) -> dict[str, Any]:
        """An Update for `transact`: one more hit of a counter, of which there may be `most` until it expires."""
        return self.update_action(
            pk,
            sk,
            "SET #ttl = :ttl ADD hits :one",
            {":ttl": expires_at, ":one": 1, ":limit": most},
            "attribute_not_exists(hits) OR hits < :limit",
            ttl="ttl",
        )

    def update_action(
        self,
        pk: str,
        sk: str | None,
        expression: str,
        values: Mapping[str, Value],
        condition: str | None = None,
        **names: str,
    ) -> dict[str, Any]:
        """An Update for `transact`. `names` gives `#name` placeholders for reserved words."""
        action: dict[str, Any] = {
            "TableName": self.name,
            "Key": dump({"pk": pk, "sk": sk}),
            "UpdateExpression": expression,
        }
        if values:
            action["ExpressionAttributeValues"] = dump(values)
        if condition:
            action["ConditionExpression"] = condition
        if names:
            action["ExpressionAttributeNames"] = {f"#{short}": name for short, name in names.items()}
        return {"Update": action}


def telling(action: dict[str, Any]) -> dict[str, Any]:
    """The same action, which tells of its item if its condition fails."""
    ((kind, request),) = action.items()
    return {kind: {**request, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
