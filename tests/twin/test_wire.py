"""What is sent of a record that changes meanwhile is of one moment."""

import sys
import threading
from collections.abc import Iterator

import botocore.session
import pytest

from twin.wire import to_wire

RUNNING = {"buildStatus": "IN_PROGRESS", "buildComplete": False}
ENDED = {"buildStatus": "SUCCEEDED", "buildComplete": True}


@pytest.fixture
def threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_take_turns_often")
def test_members_that_change_together_are_sent_together() -> None:
    model = botocore.session.Session().get_service_model("codebuild")
    shape = model.operation_model("BatchGetBuilds").output_shape
    build, over = {"id": "a:1", **RUNNING}, threading.Event()

    def change() -> None:
        while not over.is_set():
            build.update(ENDED)
            build.update(RUNNING)

    thread = threading.Thread(target=change)
    thread.start()
    sent = [to_wire(shape, {"builds": [build]})["builds"][0] for _ in range(60_000)]
    over.set()
    thread.join()
    assert {(each["buildStatus"], each["buildComplete"]) for each in sent} <= {
        ("IN_PROGRESS", False),
        ("SUCCEEDED", True),
    }
