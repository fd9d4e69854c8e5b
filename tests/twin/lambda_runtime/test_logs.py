"""Log lines, embedded metrics and Lambda's own metrics of an invocation."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.twin


def events(lambdas: Any, twin: Any, name: str) -> list[str]:
    found = twin.client("logs", lambdas.account).filter_log_events(logGroupName=f"/aws/lambda/{name}")
    return [event["message"].rstrip("\n") for event in found["events"]]


def test_lines_of_an_invocation_stand_between_start_and_report(lambdas: Any, twin: Any) -> None:
    source = """
import logging, os, sys
logging.getLogger().setLevel(logging.INFO)
def handler(event, context):
    print("printed", flush=True)
    sys.stderr.write("to stderr\\n")
    logging.info("first\\nsecond")
    os.system("echo from a child")
"""
    name = lambdas.make(source)
    lambdas.invoke(name)
    lines = events(lambdas, twin, name)
    assert [line.split(" ")[0] for line in (lines[0], lines[1], lines[-2], lines[-1])] == [
        "INIT_START",
        "START",
        "END",
        "REPORT",
    ]
    assert lines[2:4] == ["printed", "to stderr"]
    assert lines[4].startswith("[INFO]\t")
    assert lines[4].endswith("\tfirst\nsecond")
    assert lines[5] == "from a child"
    assert "Memory Size: 128 MB\tMax Memory Used: " in lines[-1]
    assert "Init Duration: " in lines[-1]


def test_role_without_permission_leaves_the_log_empty(lambdas: Any, twin: Any) -> None:
    name = lambdas.make("def handler(e, c): print('unseen')", Role=lambdas.role(logs=False))
    assert "unseen" in lambdas.invoke(name).log
    with pytest.raises(twin.client("logs", lambdas.account).exceptions.ResourceNotFoundException):
        events(lambdas, twin, name)


def test_environments_write_streams_of_their_own_and_later_invocations_append(
    lambdas: Any, twin: Any
) -> None:
    name = lambdas.make("def handler(e, c): print(c.log_stream_name)")
    lambdas.invoke(name)
    lambdas.invoke(name)
    logs = twin.client("logs", lambdas.account)
    streams = logs.describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]
    assert len(streams) == 1
    assert streams[0]["logStreamName"].startswith(time.strftime("%Y/%m/%d/[$LATEST]", time.gmtime()))
    assert events(lambdas, twin, name).count(streams[0]["logStreamName"]) == 2


def test_json_log_format_wraps_records_and_platform_lines(lambdas: Any, twin: Any) -> None:
    source = "import logging\ndef handler(e, c): logging.getLogger('mine').warning('low %s', 1)"
    name = lambdas.make(source, LoggingConfig={"LogFormat": "JSON"})
    lambdas.invoke(name)
    documents = [json.loads(line) for line in events(lambdas, twin, name)]
    assert [d.get("type", d.get("message")) for d in documents] == [
        "platform.initStart",
        "platform.start",
        "low 1",
        "platform.report",
    ]
    assert documents[2]["level"] == "WARNING"
    assert documents[2]["requestId"] == documents[1]["record"]["requestId"]


def test_json_log_format_reports_an_exception_as_one_document(lambdas: Any, twin: Any) -> None:
    name = lambdas.make("def handler(e, c): raise ValueError('boom')", LoggingConfig={"LogFormat": "JSON"})
    lambdas.invoke(name)
    (error,) = [d for d in map(json.loads, events(lambdas, twin, name)) if d.get("log_level") == "ERROR"]
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "boom")


def test_embedded_metric_lines_become_metrics(lambdas: Any, twin: Any) -> None:
    name = lambdas.make("import json\ndef handler(e, c): print(json.dumps(e))")
    definition = {
        "Namespace": f"Vision-{name}",
        "Dimensions": [["Model"], ["Model", "Line"], ["Missing"]],
        "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}, {"Name": "Absent"}],
    }
    happened = time.time() - 7200
    aws = {"Timestamp": int(happened * 1000), "CloudWatchMetrics": [definition]}
    lambdas.invoke(name, {"_aws": aws, "Model": "m1", "Line": "smoke", "Latency": [10, 30]})
    watch = twin.client("cloudwatch", lambdas.account)
    found = watch.list_metrics(Namespace=f"Vision-{name}")["Metrics"]
    assert {metric["MetricName"] for metric in found} == {"Latency"}
    assert sorted(len(metric["Dimensions"]) for metric in found) == [1, 2]
    points = watch.get_metric_statistics(
        Namespace=f"Vision-{name}",
        MetricName="Latency",
        Dimensions=[{"Name": "Model", "Value": "m1"}],
        StartTime=happened - 300,
        EndTime=happened + 300,
        Period=600,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    assert [(point["Sum"], point["SampleCount"]) for point in points] == [(40, 2)]


def test_invocations_errors_and_duration_are_counted_once(lambdas: Any, twin: Any) -> None:
    name = lambdas.make("def handler(e, c):\n    if e.get('fail'): raise ValueError('x')\n")
    lambdas.invoke(name)
    lambdas.invoke(name, {"fail": True})
    watch, now = twin.client("cloudwatch", lambdas.account), time.time()

    def total(metric: str) -> float:
        points = watch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=now - 300,
            EndTime=now + 300,
            Period=600,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    assert (total("Invocations"), total("Errors"), total("Throttles")) == (2, 1, 0)
    assert total("Duration") > 0


def test_output_without_a_line_end_is_not_lost(run: Callable[..., Any]) -> None:
    result = run("import sys\ndef handler(e, c):\n    sys.stdout.write('open end')\n    sys.stdout.flush()\n")
    assert "\nopen end\n" in result.log
