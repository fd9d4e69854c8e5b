"""Runs state machines by the twin's engine in a process of its own, in a world of answers that a test sets.

Started with the twin's interpreter by `workflow_bench.py`, which it obeys line by line (JSON in, JSON out).
Expressions, retries, errors' names, jobs that are waited for and Maps are the engine's; DynamoDB is the
running twin's; the other services answer at the level of the SDK.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
import traceback
import uuid
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from jsonata.jsonata import Jsonata

from twin import glue
from twin.stepfunctions import calls, maps
from twin.stepfunctions.calls import Caller
from twin.stepfunctions.engine import Walk, run_states
from twin.stepfunctions.errors import Interrupted, StateError
from twin.stepfunctions.expressions import Frame
from twin.stepfunctions.history import History, now
from twin.stepfunctions.signals import Signal

ACCOUNT, REGION = "222222222222", "us-east-1"
# Whatever the states wait for, a test waits no longer.
LONGEST_PAUSE_SECONDS = 0.01


def fault(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class Parser:
    """Parses each expression once: the same few hundred are evaluated by every run."""

    def __init__(self, parser: Any) -> None:
        self.parser = parser
        self.known: dict[str, Any] = {}

    def parse(self, expression: str, regex_engine: Any) -> Any:
        if expression not in self.known:
            self.known[expression] = self.parser().parse(expression, regex_engine)
        return self.known[expression]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parser(), name)


class World:
    """What a test has set, and what was asked."""

    def __init__(self, endpoint: str) -> None:
        self.lock = threading.RLock()
        self.lambdas: dict[str, Any] = {}
        self.objects: dict[str, Any] = {}
        self.faults: list[dict[str, Any]] = []
        # By operation: an update of an item that somebody else makes just before it, once.
        self.meanwhile: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, str] = {}
        self.promotion: dict[str, Any] = {}
        self.executions: dict[str, Execution] = {}
        self.asked: list[list[Any]] = []
        self.dynamodb = boto3.client(
            "dynamodb",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}),
        )

    def get(self, _caller: Caller, service: str) -> Client:
        return Client(self, service)

    def clear(self) -> None:
        pass


class Client:
    """One service's client as the engine calls it."""

    def __init__(self, world: World, service: str) -> None:
        self.world, self.service = world, service

    def __getattr__(self, method: str) -> Any:
        def call(**request: Any) -> Any:
            with self.world.lock:
                self.world.asked.append([f"{self.service}:{method}", request])
                for wanted in self.world.faults:
                    fits = wanted.get("match", "") in json.dumps(request, default=str)
                    if wanted["operation"] == f"{self.service}:{method}" and fits and wanted["times"] > 0:
                        wanted["times"] -= 1
                        raise fault(wanted["error"], wanted.get("message", "as the test asked"), method)
                happens = self.world.meanwhile.pop(f"{self.service}:{method}", None)
                if happens:
                    self.world.dynamodb.update_item(**happens)
            if self.service == "dynamodb":
                return getattr(self.world.dynamodb, method)(**request)
            return getattr(self, f"{self.service}_{method}")(**request)

        return call

    def lambda_invoke(self, FunctionName: str, Payload: str) -> Any:
        answer = self.world.lambdas[FunctionName]
        given = json.loads(Payload)
        if isinstance(answer, dict) and "by" in answer:
            answer = answer["answers"].get(json.dumps(given[answer["by"]]), answer["otherwise"])
        if "errorType" in answer:
            return {"Payload": io.BytesIO(json.dumps(answer).encode()), "FunctionError": "Unhandled"}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), "StatusCode": 200}

    def s3_get_object(self, Bucket: str, Key: str) -> Any:
        return {"Body": io.BytesIO(json.dumps(self.world.objects[f"{Bucket}/{Key}"]).encode())}

    def events_put_events(self, Entries: list[Any]) -> Any:
        return {"FailedEntryCount": 0, "Entries": [{"EventId": str(uuid.uuid4())} for _ in Entries]}

    # Jobs end as `outcomes` says by the time they are looked at; `InProgress` stays so.
    def _create(self, kind: str, name: str, request: dict[str, Any], **more: Any) -> None:
        with self.world.lock:
            if name in self.world.jobs:
                raise fault("ResourceInUse", f"{kind} {name} must have a new name", kind)
            status = self.world.outcomes.get(kind, "Completed")
            job = {f"{kind}Name": name, f"{kind}Status": status, **request, **more}
            self.world.jobs[name] = job | ({"FailureReason": f"{kind} crashed"} if status == "Failed" else {})

    def _describe(self, kind: str, name: str) -> Any:
        job = self.world.jobs.get(f"{name}", {})
        if f"{kind}Status" not in job:
            raise fault("ValidationException", "Requested resource not found.", f"Describe{kind}")
        return job

    def _stop(self, kind: str, name: str) -> Any:
        job = self._describe(kind, name)
        if job[f"{kind}Status"] != "InProgress":
            raise fault("ValidationException", "The job has ended", f"Stop{kind}")
        job[f"{kind}Status"] = "Stopped"
        return {}

    def sagemaker_create_training_job(self, **request: Any) -> Any:
        name = request["TrainingJobName"]
        uri = f"{request['OutputDataConfig']['S3OutputPath']}{name}/output/model.tar.gz"
        metrics = [{"MetricName": "validation:accuracy", "Value": 0.97, "Timestamp": 1}]
        more = {"ModelArtifacts": {"S3ModelArtifacts": uri}, "FinalMetricDataList": metrics}
        self._create("TrainingJob", name, request, **more)
        return {"TrainingJobArn": f"arn:job/{name}"}

    def sagemaker_create_hyper_parameter_tuning_job(self, **request: Any) -> Any:
        self._create("HyperParameterTuningJob", request["HyperParameterTuningJobName"], request)
        return {"HyperParameterTuningJobArn": "arn:tuning"}

    def sagemaker_create_processing_job(self, **request: Any) -> Any:
        self._create("ProcessingJob", request["ProcessingJobName"] + "|evaluation", request)
        self.world.jobs[request["ProcessingJobName"] + "|evaluation"]["ProcessingJobName"] = request[
            "ProcessingJobName"
        ]
        return {"ProcessingJobArn": "arn:processing"}

    def sagemaker_describe_training_job(self, TrainingJobName: str) -> Any:
        return self._describe("TrainingJob", TrainingJobName)

    def sagemaker_describe_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> Any:
        return self._describe("HyperParameterTuningJob", HyperParameterTuningJobName)

    def sagemaker_describe_processing_job(self, ProcessingJobName: str) -> Any:
        return self._describe("ProcessingJob", ProcessingJobName + "|evaluation")

    def sagemaker_stop_training_job(self, TrainingJobName: str) -> Any:
        return self._stop("TrainingJob", TrainingJobName)

    def sagemaker_stop_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> Any:
        return self._stop("HyperParameterTuningJob", HyperParameterTuningJobName)

    def sagemaker_stop_processing_job(self, ProcessingJobName: str) -> Any:
        return self._stop("ProcessingJob", ProcessingJobName + "|evaluation")

    def sagemaker_create_model_package(self, **request: Any) -> Any:
        group, token = request["ModelPackageGroupName"], request["ClientToken"]
        return {"ModelPackageArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{group}/{token}"}

    def stepfunctions_start_execution(self, stateMachineArn: str, name: str, input: str) -> Any:
        return {"executionArn": f"{stateMachineArn}|{name}|{input}", "startDate": now()}

    def stepfunctions_stop_execution(self, executionArn: str) -> Any:
        return {}

    def stepfunctions_describe_execution(self, executionArn: str) -> Any:
        if "|" in executionArn:
            return self._promotion(executionArn)
        found = self.world.executions.get(executionArn)
        if found is None:
            raise fault("ExecutionDoesNotExist", "Execution Does Not Exist", "DescribeExecution")
        return {"executionArn": executionArn, "status": found.result["status"]}

    def _promotion(self, arn: str) -> Any:
        asked = json.loads(arn.split("|", 2)[2])
        if self.world.promotion.get("status", "SUCCEEDED") != "SUCCEEDED":
            return {"executionArn": arn, **self.world.promotion}
        endpoint = f"vision-dev-{asked['line']}"
        output = {
            "endpoint_name": endpoint,
            "endpoint_config_name": f"{endpoint}-{asked['deployment_id']}",
            "model_package_arn": asked["model_package_arn"],
            "previous_model_package_arn": None,
            "status": "Promoted",
        }
        return {"executionArn": arn, "status": "SUCCEEDED", "output": json.dumps(output)}


class Execution:
    """One execution of a state machine, on a thread of its own."""

    def __init__(self, machine: str, name: str, data: Any, definition: dict[str, Any]) -> None:
        base = f"arn:aws:states:{REGION}:{ACCOUNT}"
        self.arn = f"{base}:execution:{machine}:{name}"
        self.machine_arn = f"{base}:stateMachine:{machine}"
        self.name, self.data, self.definition = name, data, definition
        self.record: dict[str, Any] = {"executionArn": self.arn, "status": "RUNNING", "events": []}
        self.result: dict[str, Any] = {"status": "RUNNING"}
        self.signal = Signal()
        self.done = threading.Event()

    def run(self) -> None:
        role = f"arn:aws:iam::{ACCOUNT}:role/any"
        context = {
            "Execution": {"Id": self.arn, "Input": self.data, "Name": self.name, "StartTime": now()},
            "StateMachine": {"Id": self.machine_arn, "Name": "any"},
        }
        walk = Walk(
            Caller(role, self.machine_arn, REGION, execution_arn=self.arn),
            History(self.record, {}, self.name),
            self.machine_arn,
        )
        try:
            output = run_states(walk, self.definition, self.data, Frame(context, "JSONata", self.signal))
            result = {"status": "SUCCEEDED", "output": output}
        except StateError as error:
            result = {"status": "FAILED", "error": error.error, "cause": error.cause}
        except Interrupted:
            result = {"status": "ABORTED"}
        except Exception:
            result = {"status": "FAILED", "error": "Engine", "cause": traceback.format_exc()}
        self.result = result
        self.done.set()

    def told(self) -> dict[str, Any]:
        entered = [each.get("stateEnteredEventDetails", {}).get("name") for each in self.record["events"]]
        return {**self.result, "arn": self.arn, "states": [name for name in entered if name]}


class Orders:
    """What the tests may ask of the world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def set(self, world: dict[str, Any]) -> None:
        for name, value in world.items():
            setattr(self.world, name, value)

    def start(self, machine: str, name: str, input: Any, definition: dict[str, Any]) -> Any:
        execution = Execution(machine, name, input, definition)
        self.world.executions[execution.arn] = execution
        glue.run_in_scope(ACCOUNT, REGION, glue.spawn, execution.run)
        return {"arn": execution.arn}

    def wait(self, arn: str) -> Any:
        execution = self.world.executions[arn]
        execution.done.wait(20)
        return execution.told()

    def abort(self, arn: str) -> Any:
        self.world.executions[arn].signal.set()
        return self.wait(arn)

    def until_in(self, arn: str, state: str) -> Any:
        execution = self.world.executions[arn]
        wait_for(lambda: state in execution.told()["states"])
        return execution.told()

    def until_job(self, job: str) -> Any:
        return {"there": wait_for(lambda: job in self.world.jobs)}

    def asked(self) -> Any:
        with self.world.lock:
            asked, self.world.asked = self.world.asked, []
        return asked


def wait_for(condition: Any) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def main() -> None:
    world = World(sys.argv[1])
    orders = Orders(world)
    calls._clients = world  # type: ignore[assignment]
    # The role is none that the twin knows; what it may do is the twin's own tests' business.
    maps.role_may = lambda *_: True  # type: ignore[assignment]
    parser = Parser(Jsonata.get_parser)
    Jsonata.get_parser = staticmethod(lambda: parser)  # type: ignore[assignment]
    sleep = Signal.sleep
    Signal.sleep = lambda self, seconds: sleep(self, min(seconds, LONGEST_PAUSE_SECONDS))
    for line in sys.stdin:
        try:
            order = json.loads(line)
            answer = {"answer": getattr(orders, order.pop("do"))(**order)}
        except Exception:
            answer = {"fault": traceback.format_exc()}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
