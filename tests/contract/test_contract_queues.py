"""Creating, finding, changing and deleting queues."""

import json

import pytest
from sqs_calls import arn, attribute, counts, redrive_to, refused, send

BAD_ATTRIBUTES = [
    ({"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
    ({"VisibilityTimeout": "-1"}, "InvalidAttributeValue"),
    ({"VisibilityTimeout": "soon"}, "InvalidAttributeValue"),
    ({"DelaySeconds": "901"}, "InvalidAttributeValue"),
    ({"MessageRetentionPeriod": "59"}, "InvalidAttributeValue"),
    ({"MessageRetentionPeriod": "1209601"}, "InvalidAttributeValue"),
    ({"MaximumMessageSize": "1023"}, "InvalidAttributeValue"),
    ({"MaximumMessageSize": "1048577"}, "InvalidAttributeValue"),
    ({"ReceiveMessageWaitTimeSeconds": "21"}, "InvalidAttributeValue"),
    ({"Policy": "no policy"}, "InvalidAttributeValue"),
    ({"Policy": json.dumps({"Version": "x" * 8_192})}, "InvalidAttributeValue"),
    ({"Policy": "[" * 8_000}, "InvalidAttributeValue"),
    ({"KmsMasterKeyId": "k" * 2_049}, "InvalidAttributeValue"),
    ({"KmsMasterKeyId": "alias/aws/sqs", "SqsManagedSseEnabled": "true"}, "InvalidAttributeValue"),
    ({"Colour": "blue"}, "InvalidAttributeName"),
    ({"ContentBasedDeduplication": "true"}, "InvalidAttributeName"),
    ({"FifoQueue": "false"}, "InvalidAttributeName"),
]


def test_defaults_of_a_new_queue(sqs, queue):
    shown = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert shown["VisibilityTimeout"] == "30"
    assert shown["DelaySeconds"] == "0"
    assert shown["MaximumMessageSize"] == "1048576"
    assert shown["MessageRetentionPeriod"] == "345600"
    assert shown["ReceiveMessageWaitTimeSeconds"] == "0"
    assert shown["QueueArn"].endswith(":" + queue.rpartition("/")[2])
    assert int(shown["CreatedTimestamp"]) == int(shown["LastModifiedTimestamp"]) > 1_700_000_000
    assert counts(sqs, queue) == (0, 0, 0)
    assert "RedrivePolicy" not in shown
    assert "FifoQueue" not in shown


def test_named_attributes_alone_are_shown(sqs, queue):
    shown = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout", "RedrivePolicy"])
    assert shown["Attributes"] == {"VisibilityTimeout": "30"}
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue)


def test_create_again_with_the_same_attributes_gives_the_queue(sqs, make_queue):
    url = make_queue(VisibilityTimeout=77, DelaySeconds=3)
    name = url.rpartition("/")[2]
    assert sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "77"})["QueueUrl"] == url
    assert sqs.create_queue(QueueName=name)["QueueUrl"] == url


def test_create_again_with_another_attribute_is_refused(sqs, make_queue):
    name = make_queue(VisibilityTimeout=77).rpartition("/")[2]
    with pytest.raises(sqs.exceptions.QueueNameExists) as caught:
        sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "78"})
    assert caught.value.response["Error"]["Code"] == "QueueAlreadyExists"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [pytest.param(*case, id=str(case[0])[:60]) for case in BAD_ATTRIBUTES],
)
def test_bad_attributes_are_refused_in_create_and_in_set(sqs, queue, attributes, code):
    refused(code, sqs.set_queue_attributes, QueueUrl=queue, Attributes=attributes)
    refused(code, sqs.create_queue, QueueName="contract-never-made", Attributes=attributes)
    refused("NonExistentQueue", sqs.get_queue_url, QueueName="contract-never-made")


def test_attributes_of_fifo_queues_are_not_for_others(sqs, queue):
    set_attributes, attributes = sqs.set_queue_attributes, {"DeduplicationScope": "queue"}
    reason = refused("InvalidAttributeName", set_attributes, QueueUrl=queue, Attributes=attributes)
    assert reason == "You can specify the DeduplicationScope only when FifoQueue is set to true."


def test_a_queue_has_one_kind_of_encryption(sqs, make_queue):
    url = make_queue(KmsMasterKeyId="alias/aws/sqs", KmsDataKeyReusePeriodSeconds=600)
    assert attribute(sqs, url, "SqsManagedSseEnabled") == "false"
    managed = {"SqsManagedSseEnabled": "true"}
    refused("InvalidAttributeValue", sqs.set_queue_attributes, QueueUrl=url, Attributes=managed)
    with pytest.raises(sqs.exceptions.QueueNameExists):
        sqs.create_queue(QueueName=url.rpartition("/")[2], Attributes=managed)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": ""})
    assert attribute(sqs, url, "KmsMasterKeyId") is None
    assert attribute(sqs, url, "KmsDataKeyReusePeriodSeconds") is None
    sqs.set_queue_attributes(QueueUrl=url, Attributes=managed)
    assert attribute(sqs, url, "SqsManagedSseEnabled") == "true"


def test_a_limit_by_group_needs_deduplication_by_group(sqs, make_queue):
    """docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    by_group = {"FifoThroughputLimit": "perMessageGroupId"}
    name = "contract-never-made.fifo"
    attributes = {"FifoQueue": "true", **by_group}
    refused("InvalidAttributeValue", sqs.create_queue, QueueName=name, Attributes=attributes)
    url = make_queue(FifoQueue="true")
    refused("InvalidAttributeValue", sqs.set_queue_attributes, QueueUrl=url, Attributes=by_group)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DeduplicationScope": "messageGroup"})
    sqs.set_queue_attributes(QueueUrl=url, Attributes=by_group)
    by_queue = {"DeduplicationScope": "queue"}
    refused("InvalidAttributeValue", sqs.set_queue_attributes, QueueUrl=url, Attributes=by_queue)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={**by_queue, "FifoThroughputLimit": "perQueue"})


def test_a_fifo_queue_stays_one(sqs, make_queue):
    url = make_queue(FifoQueue="true")
    set_attributes, attributes = sqs.set_queue_attributes, {"FifoQueue": "false"}
    reason = refused("InvalidAttributeValue", set_attributes, QueueUrl=url, Attributes=attributes)
    assert reason.endswith("Reason: Modifying queue type is not supported.")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"FifoQueue": "True"})
    assert attribute(sqs, url, "FifoQueue") == "true"


def test_unknown_names_are_refused_in_get(sqs, queue):
    refused("InvalidAttributeName", sqs.get_queue_attributes, QueueUrl=queue, AttributeNames=["Colour"])


def test_changed_attributes_are_shown(sqs, queue):
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "5", "DelaySeconds": "1"})
    assert attribute(sqs, queue, "VisibilityTimeout") == "5"
    assert attribute(sqs, queue, "DelaySeconds") == "1"
    assert attribute(sqs, queue, "MessageRetentionPeriod") == "345600"


@pytest.mark.parametrize("name", ["", "a" * 81, "with space", "dotted.name", "slash/name", "käse"])
def test_bad_names_are_refused(sqs, name):
    refused("InvalidParameterValue", sqs.create_queue, QueueName=name)


def test_longest_name_is_taken(sqs, make_queue):
    url = make_queue("-" * 40 + "x_9")
    assert sqs.get_queue_url(QueueName=url.rpartition("/")[2])["QueueUrl"] == url


def test_a_fifo_name_needs_the_attribute_and_the_attribute_the_name(sqs):
    refused("InvalidParameterValue", sqs.create_queue, QueueName="contract-plain", Attributes={"FifoQueue": "true"})
    refused("InvalidParameterValue", sqs.create_queue, QueueName="contract-plain.fifo")


def test_what_does_not_exist_is_named_so(sqs, queue):
    missing = queue + "-missing"
    for call, fields in (
        (sqs.send_message, {"MessageBody": "x"}),
        (sqs.receive_message, {}),
        (sqs.delete_message, {"ReceiptHandle": "x"}),
        (sqs.get_queue_attributes, {"AttributeNames": ["All"]}),
        (sqs.set_queue_attributes, {"Attributes": {"DelaySeconds": "1"}}),
        (sqs.purge_queue, {}),
        (sqs.delete_queue, {}),
        (sqs.list_queue_tags, {}),
    ):
        with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
            call(QueueUrl=missing, **fields)
        error = caught.value.response["Error"]
        assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
        assert error["QueryErrorCode"] == "QueueDoesNotExist"


def test_a_deleted_queue_is_gone(sqs, make_queue):
    url = make_queue()
    sqs.delete_queue(QueueUrl=url)
    refused("NonExistentQueue", sqs.get_queue_url, QueueName=url.rpartition("/")[2])


def test_listing_by_prefix_in_pages(sqs, make_queue):
    urls = sorted(make_queue(f"-{number}") for number in range(3))
    # Names are random but for the ending, so each queue is found by its own prefix.
    for url in urls:
        assert sqs.list_queues(QueueNamePrefix=url.rpartition("/")[2])["QueueUrls"] == [url]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="contract-nothing-has-this-name")
    first = sqs.list_queues(MaxResults=2)
    assert len(first["QueueUrls"]) == 2
    rest = sqs.list_queues(MaxResults=1000, NextToken=first["NextToken"])
    assert not set(first["QueueUrls"]) & set(rest["QueueUrls"])
    assert set(urls) <= set(first["QueueUrls"]) | set(rest["QueueUrls"])


def test_tags_are_added_listed_and_removed(sqs, queue):
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=queue)
    sqs.tag_queue(QueueUrl=queue, Tags={"team": "search", "stage": "test"})
    sqs.tag_queue(QueueUrl=queue, Tags={"stage": "live"})
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"team": "search", "stage": "live"}
    sqs.untag_queue(QueueUrl=queue, TagKeys=["team", "unknown"])
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"stage": "live"}


def test_tags_given_at_creation(sqs, make_queue):
    url = make_queue()
    name = url.rpartition("/")[2] + "-tagged"
    tagged = sqs.create_queue(QueueName=name, tags={"a": "b"})["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=tagged)["Tags"] == {"a": "b"}
    sqs.delete_queue(QueueUrl=tagged)


def test_purge_empties_whatever_state_messages_are_in(sqs, queue):
    send(sqs, queue, "in flight")
    assert sqs.receive_message(QueueUrl=queue)["Messages"]
    send(sqs, queue, "ready")
    send(sqs, queue, "delayed", DelaySeconds=900)
    sqs.purge_queue(QueueUrl=queue)
    assert counts(sqs, queue) == (0, 0, 0)


def test_a_second_purge_within_a_minute_is_refused(sqs, queue):
    sqs.purge_queue(QueueUrl=queue)
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress):
        sqs.purge_queue(QueueUrl=queue)


def test_redrive_policy_is_checked(sqs, make_queue):
    dlq, queue, fifo = make_queue("-dlq"), make_queue(), make_queue(FifoQueue="true")
    policies = [
        "nothing",
        json.dumps({"deadLetterTargetArn": arn(sqs, dlq)}),
        json.dumps({"maxReceiveCount": 3}),
        redrive_to(arn(sqs, dlq), 0),
        redrive_to(arn(sqs, dlq), 1001),
        redrive_to(arn(sqs, dlq) + "-missing", 3),
        redrive_to(arn(sqs, dlq).replace(":sqs:", ":sns:"), 3),
        redrive_to(arn(sqs, dlq).replace(arn(sqs, dlq).split(":")[3], "mars-east-1"), 3),
        redrive_to("arn:aws:sqs:us-east-1:000000000000:" + "x" * 500, 3),
        "[" * 100_000,
        redrive_to(arn(sqs, fifo), 3),
    ]
    for policy in policies:
        refused(
            "InvalidParameterValue",
            sqs.set_queue_attributes,
            QueueUrl=queue,
            Attributes={"RedrivePolicy": policy},
        )
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": redrive_to(arn(sqs, dlq), 1000)})
    shown = json.loads(attribute(sqs, queue, "RedrivePolicy"))
    assert shown == {"deadLetterTargetArn": arn(sqs, dlq), "maxReceiveCount": 1000}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": ""})
    assert attribute(sqs, queue, "RedrivePolicy") is None


def test_redrive_allow_policy_decides_who_may_send_dead_letters(sqs, make_queue):
    dlq, queue, stranger = make_queue("-dlq"), make_queue(), make_queue()
    sqs.set_queue_attributes(
        QueueUrl=dlq,
        Attributes={
            "RedriveAllowPolicy": json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn(sqs, queue)]})
        },
    )
    policy = {"RedrivePolicy": redrive_to(arn(sqs, dlq), 3)}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=policy)
    refused("InvalidParameterValue", sqs.set_queue_attributes, QueueUrl=stranger, Attributes=policy)
    sqs.set_queue_attributes(QueueUrl=dlq, Attributes={"RedriveAllowPolicy": '{"redrivePermission": "denyAll"}'})
    refused("InvalidParameterValue", sqs.set_queue_attributes, QueueUrl=stranger, Attributes=policy)
    sqs.set_queue_attributes(QueueUrl=dlq, Attributes={"RedriveAllowPolicy": '{"redrivePermission": "allowAll"}'})
    sqs.set_queue_attributes(QueueUrl=stranger, Attributes=policy)


@pytest.mark.parametrize(
    "policy",
    [
        "nothing",
        '{"redrivePermission": "some"}',
        '{"redrivePermission": "byQueue"}',
        '{"redrivePermission": "byQueue", "sourceQueueArns": []}',
        pytest.param("[" * 100_000, id="nested"),
        pytest.param(
            json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": ["arn:aws:sqs:a:b:" + "x" * 512]}), id="long"
        ),
        '{"redrivePermission": "allowAll", "sourceQueueArns": ["arn:aws:sqs:us-east-1:000000000000:x"]}',
    ],
)
def test_redrive_allow_policy_is_checked(sqs, queue, policy):
    refused(
        "InvalidParameterValue",
        sqs.set_queue_attributes,
        QueueUrl=queue,
        Attributes={"RedriveAllowPolicy": policy},
    )


def test_sources_of_a_dead_letter_queue_are_listed(sqs, make_queue):
    dlq = make_queue("-dlq")
    sources = sorted(make_queue(f"-{n}", RedrivePolicy=redrive_to(arn(sqs, dlq), 3)) for n in range(2))
    assert sorted(sqs.list_dead_letter_source_queues(QueueUrl=dlq)["queueUrls"]) == sources
    assert sqs.list_dead_letter_source_queues(QueueUrl=sources[0])["queueUrls"] == []
