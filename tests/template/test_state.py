"""Tables, bucket and secret: what they must have, and which of them deleting the stack leaves."""

from collections.abc import Mapping
from typing import Any

from local.template import Stack

Resources = Mapping[str, Mapping[str, Any]]


def test_there_are_two_tables(resources: Resources) -> None:
    assert {name for name, r in resources.items() if r["Type"] == "AWS::DynamoDB::Table"} == {"CoreTable", "CacheTable"}


def test_the_cache_costs_nothing_idle_and_goes_with_the_stack(resources: Resources) -> None:
    table = resources["CacheTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Delete"
    assert table["Properties"] == {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
    }


def test_large_answers_are_private_encrypted_and_forgotten(resources: Resources) -> None:
    (name,) = [name for name, r in resources.items() if r["Type"] == "AWS::S3::Bucket"]
    bucket = resources[name]
    # CloudFormation fails to delete a bucket that has objects, and the whole stack with it.
    assert (name, bucket["DeletionPolicy"]) == ("CacheBucket", "Retain")
    properties = bucket["Properties"]
    assert "BucketName" not in properties
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["Prefix"], rule["ExpirationInDays"]) == ("Enabled", "cache/", 2)


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


def test_the_table_is_paid_by_use_and_can_be_restored(resources: Resources) -> None:
    table = resources["CoreTable"]["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_state_survives_the_stack_and_a_second_stack_can_be_made(resources: Resources) -> None:
    for name in ("CoreTable", "Secret"):
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
