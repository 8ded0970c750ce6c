"""Idempotency keys: idem#<hash of operation and key> under the tenant, for a day."""

import secrets
from typing import Any

from aig.aws.table import Table
from aig.idempotency import KEPT_S, LEASE_S, Answer, Claim, Record, in_progress, judge


class DynamoIdempotency:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def claim(self, tenant: str, name: str, fingerprint: str, subject: str, now: int) -> Claim | Answer:
        """Raises Conflict, StoreBusy."""
        table, sk, token = self._table, f"idem#{name}", secrets.token_hex(16)
        claim = Claim(tenant, name, subject, token)
        values: dict[str, Any] = {
            ":fingerprint": fingerprint,
            ":subject": subject,
            ":token": token,
            ":until": now + LEASE_S,
            ":ttl": now + KEPT_S,
            ":now": now,
        }
        # Rows stay for up to two days behind their time.
        free = await table.update_if(
            tenant,
            sk,
            "SET fingerprint = :fingerprint, subject = :subject, #token = :token, claimed_until = :until, #ttl = :ttl "
            "REMOVE answer, http_status",
            values,
            "attribute_not_exists(pk) OR #ttl <= :now",
            token="token",  # noqa: S106 a placeholder, not a secret
            ttl="ttl",
        )
        if free:
            return claim
        item = await table.get(tenant, sk)
        if item is None:
            raise in_progress()
        if item["token"] == token:  # written by the first of two sends, whose reply was lost
            return claim
        record = _load(item)
        answer = judge(record, fingerprint, now)
        if answer is not None:
            return answer
        return await self._take_over(Claim(tenant, name, record.subject, token), item["token"], now)

    async def _take_over(self, claim: Claim, before: str, now: int) -> Claim:
        sk = f"idem#{claim.name}"
        values: dict[str, Any] = {":token": claim.token, ":before": before, ":until": now + LEASE_S}
        taken = await self._table.update_if(
            claim.tenant,
            sk,
            "SET #token = :token, claimed_until = :until",
            values,
            "#token = :before AND attribute_not_exists(answer)",
            token="token",  # noqa: S106
        )
        if not taken:
            item = await self._table.get(claim.tenant, sk)
            if item is None or item["token"] != claim.token:
                raise in_progress()
        return claim

    async def finish(self, claim: Claim, answer: Answer) -> None:
        values: dict[str, Any] = {":answer": answer.body, ":status": answer.status, ":token": claim.token}
        await self._if_mine(claim, "SET answer = :answer, http_status = :status", values)

    async def release(self, claim: Claim) -> None:
        await self._if_mine(claim, "SET claimed_until = :never", {":never": 0, ":token": claim.token})

    async def _if_mine(self, claim: Claim, expression: str, values: dict[str, Any]) -> None:
        """Who has lost the claim leaves the row to the next, who works on the same subject."""
        await self._table.update_if(
            claim.tenant,
            f"idem#{claim.name}",
            expression,
            values,
            "#token = :token",
            token="token",  # noqa: S106
        )


def _load(item: dict[str, Any]) -> Record:
    answer = Answer(item["http_status"], item["answer"]) if "answer" in item else None
    return Record(item["fingerprint"], item["subject"], item["claimed_until"], answer)
