"""Says in one line whether the contract was held against real SQS too."""

import pytest
from sqs_calls import PREFIX


def test_the_contract_ran_against_real_sqs():
    if not PREFIX:
        pytest.skip("AWS_CONTRACT_QUEUE_PREFIX is not set: the contract was not run against real SQS")
    assert PREFIX.replace("-", "").replace("_", "").isalnum(), "a prefix of queue names"
