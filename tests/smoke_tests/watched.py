"""What an environment in memory can be watched by: its logs, metrics and traces, and SageMaker's SDK."""

import json
import threading
from typing import Any

from smoke_tests.sdk import DirectAnswer, ModelPackage, TrainingJob

FUNCTION_LOG, WORKFLOW_LOG = "/aws/cloudformation/inference/PredictLogs", "/aws/vendedlogs/states/training"
JOB_LOGS = ("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs")


def part(identity: str, name: str, began: float, ended: float, origin: str = "") -> dict[str, Any]:
    """A segment or subsegment of a trace."""
    document = {"id": identity, "name": name, "start_time": began, "end_time": ended}
    return document | ({"origin": origin} if origin else {})


class Watched:
    """Answers CloudWatch and X-Ray; tests take things away from it that a deployment may fail to emit."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {FUNCTION_LOG: [], WORKFLOW_LOG: []}
        self.metrics: dict[str, float] = {"train:loss": 0.1, "train:accuracy": 0.99}
        self.traces: dict[str, list[dict[str, Any]]] = {}
        self.silent: set[str] = set()  # log groups, names of metrics, origins of segments, names of calls
        self._counting = threading.Lock()

    def request(self, request_id: str, root: str, metric: str, endpoint: str) -> None:
        """One request that reached the function."""
        self.write(FUNCTION_LOG, {"line": "smoke", "request_id": request_id})
        with self._counting:  # requests come from several callers at once
            self.metrics[metric] = self.metrics.get(metric, 0) + 1
        about = {"namespace": "aws", "aws": {"endpoint_name": endpoint}}
        calls = (
            [part("c", "SageMaker Runtime", 3, 4) | about] if "SageMaker Runtime" not in self.silent else []
        )
        whole = [
            part("g", "api", 1, 6, "AWS::ApiGateway::Stage")
            | {"subsegments": [part("i", "Lambda", 1.5, 5.5)]},
            part("s", "f", 2, 5, "AWS::Lambda") | {"parent_id": "i"},
            part("f", "f", 2, 5, "AWS::Lambda::Function") | {"parent_id": "s", "subsegments": calls},
        ]
        self.traces[root] = [one for one in whole if one["origin"] not in self.silent]

    def write(self, group: str, line: dict[str, Any]) -> None:
        if group not in self.silent:
            self.lines.setdefault(group, []).append(json.dumps(line))

    # --- CloudWatch Logs
    def DescribeLogStreams(self, given: Any) -> dict[str, Any]:
        name = given["logStreamNamePrefix"] + "algo-1"
        return {"logStreams": [] if given["logGroupName"] in self.silent else [{"logStreamName": name}]}

    def GetLogEvents(self, _: Any) -> dict[str, Any]:
        return {"events": [{"message": "train_loss=0.1"}, {"message": "done"}]}

    def FilterLogEvents(self, given: Any) -> dict[str, Any]:
        word = given["filterPattern"].strip('"')
        lines = self.lines.get(given["logGroupName"], [])
        return {"events": [{"message": line} for line in lines if word in line]}

    # --- CloudWatch
    def GetMetricData(self, given: Any) -> dict[str, Any]:
        results = []
        for query in given["MetricDataQueries"]:
            name = query["MetricStat"]["Metric"]["MetricName"]
            known = name in self.metrics and name not in self.silent
            results.append({"Id": query["Id"], "Values": [self.metrics[name]] if known else []})
        return {"MetricDataResults": results}

    # --- X-Ray
    def BatchGetTraces(self, given: Any) -> dict[str, Any]:
        found = [(root, self.traces[root]) for root in given["TraceIds"] if root in self.traces]
        traces = [
            {"Id": root, "Segments": [{"Id": one["id"], "Document": json.dumps(one)} for one in segments]}
            for root, segments in found
        ]
        return {"Traces": traces, "UnprocessedTraceIds": []}


class FakeSdk:
    """SageMaker's SDK without its seconds of import; `test_sdk.py` has the real one."""

    def __init__(self, session: Any) -> None:
        self._world = session

    def load(self) -> None:
        pass

    def training_job(self, name: str) -> TrainingJob:
        return TrainingJob(name, "Completed", self._world.instance_type, 60.0, {})

    def model_package(self, arn: str) -> ModelPackage:
        return ModelPackage(arn, self._world.group_of_package, "Completed", "Approved")

    def ask(self, endpoint: str, pixels: bytes) -> DirectAnswer:
        assert len(pixels) == 16 * 16, "the model's own input size"
        label = self._world.direct_label or self._world.answered[0]
        return DirectAnswer(label, 0.91, next(iter(self._world.packages)))
