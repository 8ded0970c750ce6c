"""Tables, bucket and secret: what they must have, and which of them deleting the stack leaves."""

from collections.abc import Mapping
from typing import Any

import pytest

from aig.links import LONGEST_S
from local.template import Stack

Resources = Mapping[str, Mapping[str, Any]]


def test_these_are_the_tables(resources: Resources) -> None:
    tables = {name for name, r in resources.items() if r["Type"] == "AWS::DynamoDB::Table"}
    assert tables == {"CacheTable", "CoreTable", "RequestsTable", "UsageTable"}


def test_records_of_requests_expire_and_go_with_the_stack(resources: Resources) -> None:
    table = resources["RequestsTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Delete")
    assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["Properties"]["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert [key["AttributeName"] for key in table["Properties"]["KeySchema"]] == ["pk", "sk"]


def test_usage_is_found_by_its_keys_alone(resources: Resources) -> None:
    table = resources["UsageTable"]["Properties"]
    assert table["KeySchema"] == resources["CoreTable"]["Properties"]["KeySchema"]
    # A stream of its own would bring the roll-up what it has written itself.
    assert not {"GlobalSecondaryIndexes", "StreamSpecification"} & table.keys()


def test_the_cache_costs_nothing_idle_and_goes_with_the_stack(resources: Resources) -> None:
    table = resources["CacheTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Delete"
    assert table["Properties"] == {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
    }


FORGOTTEN = {"CacheBucket": {"cache/": 2}, "MediaBucket": {"uploads/": 1, "media/": 7}}  # after so many days


@pytest.mark.parametrize("name", sorted(FORGOTTEN))
def test_buckets_are_private_encrypted_and_forgetful(resources: Resources, name: str) -> None:
    assert {name for name, r in resources.items() if r["Type"] == "AWS::S3::Bucket"} == FORGOTTEN.keys()
    bucket = resources[name]
    # CloudFormation fails to delete a bucket that has objects, and the whole stack with it.
    assert bucket["DeletionPolicy"] == "Retain"
    properties = bucket["Properties"]
    assert "BucketName" not in properties
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    rules = properties["LifecycleConfiguration"]["Rules"]
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert {rule["Prefix"]: days for rule in rules if (days := rule.get("ExpirationInDays"))} == FORGOTTEN[name]
    assert min(FORGOTTEN[name].values()) >= 1


def test_an_upload_that_nobody_finishes_is_forgotten(resources: Resources) -> None:
    rules = resources["MediaBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (rule,) = (rule for rule in rules if "AbortIncompleteMultipartUpload" in rule)
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert rule["Prefix"] == ""  # wherever it was to be


def test_a_page_may_see_how_large_a_file_is_and_which_part_it_got(resources: Resources) -> None:
    (rule,) = resources["MediaBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    assert set(rule["ExposedHeaders"]) >= {"Accept-Ranges", "Content-Length", "Content-Range", "ETag"}


def test_web_pages_may_use_links_to_files_and_no_others(resources: Resources) -> None:
    (rule,) = resources["MediaBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    assert (rule["AllowedMethods"], rule["AllowedOrigins"]) == (["GET", "HEAD", "PUT"], ["*"])
    assert "CorsConfiguration" not in resources["CacheBucket"]["Properties"]


def test_no_link_outlives_its_file() -> None:
    assert FORGOTTEN["MediaBucket"]["media/"] * 24 * 3600 >= LONGEST_S  # S3 rounds up to a midnight


def test_no_answer_outlives_its_object(stack: Stack) -> None:
    hours = stack.translated["Parameters"]["CacheHours"]
    assert (hours["Default"], hours["MinValue"], hours["MaxValue"]) == (24, 1, 2 * 24)


def test_the_keys_of_the_table(resources: Resources) -> None:
    table = resources["CoreTable"]["Properties"]
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    types = {item["AttributeName"]: item["AttributeType"] for item in table["AttributeDefinitions"]}
    assert types == {"pk": "S", "sk": "S", "expiry_bucket": "S", "expires_at": "N"}


def test_open_holds_are_found_by_their_expiry(resources: Resources) -> None:
    (index,) = resources["CoreTable"]["Properties"]["GlobalSecondaryIndexes"]
    assert index == {
        "IndexName": "expiry",
        "KeySchema": [
            {"AttributeName": "expiry_bucket", "KeyType": "HASH"},
            {"AttributeName": "expires_at", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "ALL"},
    }


@pytest.mark.parametrize("name", ["CoreTable", "UsageTable"])
def test_a_table_is_paid_by_use_and_can_be_restored(resources: Resources, name: str) -> None:
    table = resources[name]["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}


def test_the_ledger_has_a_stream(resources: Resources) -> None:
    table = resources["CoreTable"]["Properties"]
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_state_survives_the_stack_and_a_second_stack_can_be_made(resources: Resources) -> None:
    for name in ("CoreTable", "UsageTable", "Secret"):
        assert resources[name]["DeletionPolicy"] == "Retain"
        assert resources[name]["UpdateReplacePolicy"] == "Retain"
        # A name of its own would collide with what the last stack left.
        assert not {"TableName", "Name"} & resources[name]["Properties"].keys()


def test_the_pepper_is_made_once(resources: Resources) -> None:
    """CloudFormation overwrites the whole secret, provider keys included, when any of these values changes."""
    secret = resources["Secret"]["Properties"]
    assert secret["GenerateSecretString"] == {
        "SecretStringTemplate": "{}",
        "GenerateStringKey": "pepper",
        "PasswordLength": 64,
        "ExcludePunctuation": True,
    }
    assert "SecretString" not in secret
