"""Multi-model endpoints: models come from a prefix when they are asked for, and make room for each other."""

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV
from tests.twin.sagemaker.conftest import BUCKET, Place, archive, push

SERVER = """
import json, os, pathlib, re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

assert os.environ["SAGEMAKER_MULTI_MODEL"] == "true"
MODELS, ROOM = {}, 2


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(200, {})

    def do_DELETE(self):
        self.reply(200 if MODELS.pop(self.path.split("/")[2], None) else 404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/models":
            name, target = self.path.split("/")[2], self.headers["X-Amzn-SageMaker-Target-Model"]
            return self.reply(200, {"model": MODELS[name], "target": target, "loaded": len(MODELS)})
        asked = json.loads(body)
        if len(MODELS) >= ROOM:
            return self.reply(507, {})
        MODELS[asked["model_name"]] = (pathlib.Path(asked["url"]) / "answer.txt").read_text()
        self.reply(200, {})

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
DOCKERFILE = """
FROM public.ecr.aws/docker/library/python:3.13-slim
WORKDIR /opt/program
COPY serve.py ./
ENTRYPOINT ["python", "serve.py"]
"""


@pytest.fixture(scope="module")
def endpoint(place: Place, tmp_path_factory: pytest.TempPathFactory) -> str:
    context = tmp_path_factory.mktemp("many")
    (context / "serve.py").write_text(SERVER)
    (context / "Dockerfile").write_text(DOCKERFILE)
    image = push(place.twin, DEV, context, "many")
    for name in ("a", "b", "c"):
        place.put(f"many/{name}/model.tar.gz", archive({"answer.txt": name}))
    place.sagemaker.create_model(
        ModelName="many",
        ExecutionRoleArn=place.role,
        PrimaryContainer={"Image": image, "Mode": "MultiModel", "ModelDataUrl": f"s3://{BUCKET}/many/"},
    )
    variant = {"VariantName": "AllTraffic", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    place.sagemaker.create_endpoint_config(
        EndpointConfigName="many", ProductionVariants=[{**variant, "ModelName": "many"}]
    )
    place.sagemaker.create_endpoint(EndpointName="many", EndpointConfigName="many")
    assert place.settled("many")["EndpointStatus"] == "InService"
    return "many"


def test_models_are_loaded_when_asked_for_and_the_oldest_makes_room(place: Place, endpoint: str) -> None:
    for name in ("a", "b", "a", "c", "b", "a"):
        answer = place.ask(endpoint, TargetModel=f"{name}/model.tar.gz")
        assert (answer["model"], answer["target"]) == (name, f"{name}/model.tar.gz")
        assert answer["loaded"] <= 2


def test_model_that_is_not_there_is_named(place: Place, endpoint: str) -> None:
    with pytest.raises(ClientError, match=r"Failed to download model data for target model d/model.tar.gz"):
        place.ask(endpoint, TargetModel="d/model.tar.gz")


def test_target_model_is_for_multi_model_endpoints_and_they_need_one(place: Place, endpoint: str) -> None:
    with pytest.raises(ClientError, match="needs a TargetModel"):
        place.ask(endpoint)
    plain = place.serve("one-model", "first")
    with pytest.raises(ClientError, match="takes no TargetModel"):
        place.ask(plain, TargetModel="a/model.tar.gz")


def test_models_must_lie_under_a_prefix_that_the_role_may_list(place: Place) -> None:
    container = {"Image": place.image, "Mode": "MultiModel"}
    with pytest.raises(ClientError, match="must be an S3 prefix that ends with a slash"):
        place.sagemaker.create_model(
            ModelName="many-wrong",
            ExecutionRoleArn=place.role,
            PrimaryContainer={**container, "ModelDataUrl": f"s3://{BUCKET}/many"},
        )
    with pytest.raises(ClientError, match="Could not access model data"):
        place.sagemaker.create_model(
            ModelName="many-elsewhere",
            ExecutionRoleArn=place.role,
            PrimaryContainer={**container, "ModelDataUrl": "s3://there-is-no-such-bucket/many/"},
        )
