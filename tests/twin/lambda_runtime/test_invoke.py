"""What a caller and a handler see of one invocation."""

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.twin


def test_handler_gets_the_event_and_its_answer_comes_back(run: Callable[..., Any]) -> None:
    result = run("def handler(event, context): return {'got': event, 'text': 'ä'}", {"a": [1, None, "ü"]})
    assert (result.payload, result.error) == ({"got": {"a": [1, None, "ü"]}, "text": "ä"}, None)


def test_raised_exception_is_reported_by_its_class_name(run: Callable[..., Any]) -> None:
    source = (
        "class ManifestError(Exception): pass\ndef handler(e, c):\n    raise ManifestError('bad image')\n"
    )
    result = run(source)
    assert result.error == "Unhandled"
    assert result.payload["errorType"] == "ManifestError"
    assert result.payload["errorMessage"] == "bad image"
    assert "index.py" in result.payload["stackTrace"][0]
    assert "line 3" in result.payload["stackTrace"][0]
    assert result.payload["requestId"] in result.log
    assert "[ERROR] ManifestError: bad image\nTraceback (most recent call last):" in result.log


@pytest.mark.parametrize(
    ("files", "settings", "kind", "text"),
    [
        ({"index.py": "import nosuch_module"}, {}, "Runtime.ImportModuleError", "No module named 'nosuch"),
        ({"other.py": ""}, {}, "Runtime.ImportModuleError", "Unable to import module 'index'"),
        ({"index.py": "x = 1"}, {}, "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
        ({"index.py": "def handler(:"}, {}, "Runtime.UserCodeSyntaxError", "Syntax error in module 'index'"),
        ({"index.py": ""}, {"Handler": "index"}, "Runtime.MalformedHandlerName", "Bad handler 'index'"),
        ({"index.py": "raise KeyError('at import')"}, {}, "KeyError", "'at import'"),
        ({"index.py": "def handler(e, c): return {1, 2}"}, {}, "Runtime.MarshalError", "set is not JSON"),
        ({"index.py": "import os\ndef handler(e, c): os._exit(3)"}, {}, "Runtime.ExitError", "exit status 3"),
    ],
)
def test_faults_carry_the_names_that_lambda_gives_them(
    run: Callable[..., Any], files: dict[str, str], settings: dict[str, str], kind: str, text: str
) -> None:
    result = run(files, **settings)
    assert result.error == "Unhandled"
    assert result.payload["errorType"] == kind
    assert text in result.payload["errorMessage"]


def test_function_that_exceeds_its_timeout_is_ended_and_works_again(lambdas: Any) -> None:
    source = (
        "import time\ndef handler(e, c):\n    print('begun', flush=True)\n    time.sleep(e.get('s', 0))\n"
    )
    name = lambdas.make(source, Timeout=1)
    result = lambdas.invoke(name, {"s": 60})
    duration = re.search(r"\tDuration: ([0-9.]+) ms", result.log)
    assert duration and 1000 <= float(duration[1]) < 5000  # without the start, as Lambda reports it
    assert result.payload["errorType"] == "Sandbox.Timedout"
    assert result.payload["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert "begun" in result.log
    assert "Task timed out after 1.00 seconds" in result.log
    assert lambdas.invoke(name, {}).error is None


def test_process_sees_what_lambda_offers_and_nothing_of_the_machine(lambdas: Any, twin: Any) -> None:
    source = "import os, sys\ndef handler(e, c): return [dict(os.environ), sys.path, os.getcwd()]"
    settings = {"Environment": {"Variables": {"MY_SETTING": "1", "LANG": "C"}}, "MemorySize": 256}
    name = lambdas.make(source, **settings)
    variables, paths, cwd = lambdas.invoke(name).payload
    assert variables["MY_SETTING"] == "1"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert variables["AWS_REGION"] == "us-east-1"
    assert variables["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert variables["AWS_ENDPOINT_URL"] == twin.endpoint
    assert variables["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert variables["LAMBDA_TASK_ROOT"] == cwd
    known = ("AWS_", "_HANDLER", "_X_AMZN", "LAMBDA_", "MY_SETTING", "LANG", "LC_", "TZ", "PATH", "TMPDIR")
    assert [name for name in variables if not name.startswith(known)] == []
    assert not any("ministack" in path or path.endswith("/main") for path in paths)


def test_boto3_is_offered_and_other_packages_are_not(run: Callable[..., Any]) -> None:
    source = "import importlib.util as u\ndef handler(e, c): return {m: bool(u.find_spec(m)) for m in e}"
    modules = ["boto3", "botocore", "urllib3", "ministack", "numpy", "pydantic", "twin"]
    found = run(source, modules).payload
    assert [name for name in modules if found[name]] == ["boto3", "botocore", "urllib3"]


def test_function_acts_with_its_execution_role_and_no_more(lambdas: Any) -> None:
    source = """
import boto3
def handler(event, context):
    who = boto3.client("sts").get_caller_identity()["Arn"]
    try:
        boto3.client("s3").list_buckets()
    except Exception as error:
        return [who, str(error)]
    return [who, "allowed"]
"""
    role = lambdas.role()
    name = lambdas.make(source, Role=role, Timeout=20)
    who, answer = lambdas.invoke(name).payload
    assert who.endswith(f":assumed-role/{role.rpartition('/')[2]}/{name}")
    assert "AccessDenied" in answer
    allowed = lambdas.role({"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"})
    assert lambdas.invoke(lambdas.make(source, Role=allowed, Timeout=20)).payload[1] == "allowed"


def test_role_that_lambda_may_not_assume_is_refused_on_creation(lambdas: Any) -> None:
    role = lambdas.role(service="ec2.amazonaws.com")
    with pytest.raises(lambdas.client.exceptions.InvalidParameterValueException, match="cannot be assumed"):
        lambdas.make("def handler(e, c): pass", Role=role)


def test_context_tells_the_handler_where_it_runs(lambdas: Any) -> None:
    source = """
def handler(event, context):
    return [context.function_name, context.function_version, context.memory_limit_in_mb,
            context.invoked_function_arn, context.get_remaining_time_in_millis(), context.aws_request_id]
"""
    name = lambdas.make(source, Timeout=30)
    told = lambdas.invoke(name).payload
    assert told[:3] == [name, "$LATEST", "128"]
    assert told[3] == f"arn:aws:lambda:us-east-1:{lambdas.account}:function:{name}"
    assert 25_000 < told[4] <= 30_000
    assert len(told[5]) == 36


def test_new_code_and_new_settings_are_used_by_the_next_invocation(lambdas: Any) -> None:
    name = lambdas.make("import os\ndef handler(e, c): return ['old', os.environ.get('K')]")
    assert lambdas.invoke(name).payload == ["old", None]
    changed = lambdas.archive(
        {"index.py": "import os\ndef handler(e, c): return ['new', os.environ.get('K')]"}
    )
    lambdas.client.update_function_code(FunctionName=name, ZipFile=changed)
    lambdas.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"K": "v"}})
    assert lambdas.invoke(name).payload == ["new", "v"]


def test_invocations_at_the_same_time_run_in_environments_of_their_own(lambdas: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    name = lambdas.make(
        "import os, time\ndef handler(e, c):\n    time.sleep(2)\n    return os.getpid()", Timeout=20
    )
    with ThreadPoolExecutor(3) as threads:
        pids = {result.payload for result in threads.map(lambda _: lambdas.invoke(name), range(3))}
    assert len(pids) == 3
    assert lambdas.invoke(name).payload in pids


def test_a_rush_starts_no_more_environments_at_once_than_the_machine_has_cores_for(lambdas: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    source = """
import os, time
began = time.time()
time.sleep(.5)
ready = time.time()
def handler(e, c):
    return [os.getpid(), began, ready]
"""
    name = lambdas.make(source, Timeout=30)
    with ThreadPoolExecutor(12) as threads:
        told = [result.payload for result in threads.map(lambda _: lambdas.invoke(name), range(12))]
    environments = {pid: (began, ready) for pid, began, ready in told}
    most = max(2, os.cpu_count() or 2)
    for began, _ in environments.values():
        assert sum(first <= began < last for first, last in environments.values()) <= most
    assert len(environments) < 12, "those that became free answered what waited"


def test_payload_beyond_lambdas_limits_is_refused(lambdas: Any) -> None:
    name = lambdas.make("def handler(e, c): return 'x' * e['n']")
    assert lambdas.invoke(name, {"n": 7_000_000}).payload["errorType"] == "Function.ResponseSizeTooLarge"
    with pytest.raises(lambdas.client.exceptions.RequestTooLargeException):
        lambdas.invoke(name, {"n": 1, "fill": "x" * 7_000_000})


def test_reserved_concurrency_throttles_and_is_counted(lambdas: Any, twin: Any) -> None:
    name = lambdas.make("def handler(e, c): pass")
    lambdas.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(lambdas.client.exceptions.TooManyRequestsException):
        lambdas.invoke(name)
    metrics = twin.client("cloudwatch", lambdas.account).list_metrics(Namespace="AWS/Lambda")["Metrics"]
    names = {m["MetricName"] for m in metrics if {"Name": "FunctionName", "Value": name} in m["Dimensions"]}
    assert names == {"Throttles"}


def test_environment_has_a_temporary_folder_of_its_own_that_goes_with_it(lambdas: Any, twin: Any) -> None:
    source = "import tempfile, time\ndef handler(e, c):\n    time.sleep(e.get('s', 0))\n"
    source += "    return tempfile.gettempdir()\n"
    name = lambdas.make(source, Timeout=1)
    folder = Path(lambdas.invoke(name).payload)
    assert folder.parent == twin.home / "lambda" / "tmp"
    assert folder.is_dir()
    lambdas.invoke(name, {"s": 9})
    assert not folder.exists()


def test_decimals_of_dynamodb_items_are_answered_as_numbers(run: Callable[..., Any]) -> None:
    source = "from decimal import Decimal\ndef handler(e, c): return [Decimal('3'), Decimal('0.5')]"
    assert run(source).payload == [3, 0.5]


def test_warm_invocation_of_a_silent_handler_takes_milliseconds(lambdas: Any) -> None:
    name = lambdas.make("def handler(e, c): return e")
    lambdas.invoke(name)
    plain: list[float] = []
    warm: list[float] = []
    for _ in range(20):
        began = time.monotonic()
        lambdas.client.get_function_configuration(FunctionName=name)
        called = time.monotonic()
        lambdas.client.invoke(FunctionName=name, Payload=json.dumps({}))["Payload"].read()
        plain.append(called - began)
        warm.append(time.monotonic() - called)
    # Beside calls that run nothing, made in turn with them: a busy machine makes both slow.
    assert sorted(warm)[5] < 10 * sorted(plain)[15]
