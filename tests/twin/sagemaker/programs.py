"""What runs in the jobs and endpoints of the tests: a server, an evaluation, a training script, an image."""

SERVER = """
import json, os, sys, tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import time

def until_there(file):
    while not Path(file).exists():
        time.sleep(0.02)

MODEL = (Path(os.environ["MODEL_DIR"]) / "answer.txt").read_text() if os.environ.get("MODEL_DIR") else "none"
MODEL, _, go = MODEL.partition(" once ")
if go:
    until_there(go)
if MODEL == "broken":
    sys.exit("this model cannot be loaded")
print("serving", sys.argv[1:], "from", os.getcwd(), flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die":
            os._exit(3)
        if body == b"bad":
            return self.reply(400, b"no such thing", "text/plain")
        if body.startswith(b"hold "):  # up to the file; one beside it tells who holds the request
            go = body.removeprefix(b"hold ").decode()
            tempfile.mkstemp(prefix=f"{MODEL}-", dir=Path(go).parent)
            until_there(go)
        answer = {"model": MODEL, "bytes": len(body), "accept": self.headers["Accept"],
                  "kind": self.headers["Content-Type"], "variable": os.environ.get("SETTING"),
                  "pid": os.getpid(), "foreign": "PYTEST_CURRENT_TEST" in os.environ}
        self.reply(200, json.dumps(answer).encode(), "application/vnd.answer+json")

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""

EVALUATE = """
import os, pathlib, sys
source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
print("evaluating", source, flush=True)
if (source / "fail.txt").exists():
    sys.exit("the holdout is empty")
(target / "evaluation.json").write_text((source / "data.txt").read_text().upper() + os.environ["GREETING"])
"""

DOCKERFILE = """
FROM public.ecr.aws/docker/library/python:3.13-slim
WORKDIR /opt/program
COPY serve.py evaluate.py ./
ENV MODEL_DIR=/opt/ml/model
EXPOSE 8080
ENTRYPOINT ["python", "serve.py"]
"""

TRAIN = """
import argparse, json, os, pathlib, signal, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--mode", default="")
chosen = parser.parse_args()
model, data = pathlib.Path(os.environ["SM_MODEL_DIR"]), pathlib.Path(os.environ["SM_CHANNEL_TRAIN"])
if chosen.mode == "fail":
    raise ValueError("the learning rate is absurd")
if chosen.mode == "report":
    (model.parent / "output" / "failure").write_text("no labels in shard 3")
    sys.exit(7)
if chosen.mode == "wait":  # before the metric that tells the test to go on
    (model / "partial.txt").write_text("partial")
for epoch in range(chosen.epochs):
    print(f"epoch={epoch} train_loss={1 / (epoch + 1):.4f}", flush=True)
if chosen.mode == "wait":
    time.sleep(600)
configuration = pathlib.Path(os.environ["SM_INPUT_CONFIG_DIR"])
(model / "model.json").write_text(json.dumps({
    "data": sorted(p.relative_to(data).as_posix() for p in data.rglob("*") if p.is_file()),
    "hyperparameters": json.loads((configuration / "hyperparameters.json").read_text()),
    "resources": json.loads((configuration / "resourceconfig.json").read_text()),
    "channels": json.loads((configuration / "inputdataconfig.json").read_text()),
    "rate": chosen.learning_rate, "hps": json.loads(os.environ["SM_HPS"]),
    "job": os.environ["TRAINING_JOB_NAME"], "directory": os.getcwd(), "environment": sorted(os.environ),
    "setting": os.environ.get("SETTING"),
}))
(pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "curve.csv").write_text("1,2")
"""

HOSTS = """
import argparse, json, os, pathlib, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--fail-on", default="")
chosen = parser.parse_args()
host, hosts = os.environ["SM_CURRENT_HOST"], json.loads(os.environ["SM_HOSTS"])
if chosen.fail_on:
    if host == chosen.fail_on:
        sys.exit("no memory left on " + host)
    time.sleep(600)
model, data = pathlib.Path(os.environ["SM_MODEL_DIR"]), pathlib.Path(os.environ["SM_CHANNEL_TRAIN"])
configuration = pathlib.Path(os.environ["SM_INPUT_CONFIG_DIR"])
(model / "model.txt").write_text(host)
(model / host).mkdir()
(model / host / "seen.json").write_text(json.dumps({
    "hosts": hosts, "resources": json.loads((configuration / "resourceconfig.json").read_text()),
    "data": sorted(p.name for p in data.rglob("*") if p.is_file()), "place": str(model),
    "master": [os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]],
}))
print(f"{host}: train_loss=0.25", flush=True)
"""

REDUCE = """
import os, torch.distributed as dist, torch
dist.init_process_group("gloo")
total = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(total)
if dist.get_rank() == 0:
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "total.txt"), "w") as file:
        file.write(f"{total.item()} {dist.get_world_size()}")
dist.destroy_process_group()
"""

LONG = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["CHECKPOINTS"])
def leave(*_):
    (folder / "notice.txt").write_text("terminated")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
state = folder / "epoch.txt"
first = int(state.read_text()) if state.exists() else 0
print(f"begins at {first}", flush=True)
for epoch in range(first, 40):
    time.sleep(0.05)
    part = state.with_suffix(".part")
    part.write_text(str(epoch + 1))
    part.replace(state)
    print(f"epoch={epoch} train_loss={1 / (epoch + 1):.4f}", flush=True)
    while epoch == 20 and not (folder / "notice.txt").exists():  # goes on only after an interruption
        time.sleep(0.05)
(pathlib.Path(os.environ["SM_MODEL_DIR"]) / "model.txt").write_text(str(first))
"""

# A valley: the objective is least at x=0.3, and every epoch comes closer to what its x can reach.
VALLEY = """
import argparse, os, pathlib, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("-x", type=float)
parser.add_argument("--kind", default="good")
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--pause", type=float, default=0)
chosen = parser.parse_args()
if chosen.kind == "broken":
    sys.exit("this kind cannot be trained")
for epoch in range(1, chosen.epochs + 1):
    if chosen.kind != "silent":
        print(f"epoch={epoch} score={-((chosen.x - 0.3) ** 2) - 0.01 / epoch:.6f}", flush=True)
    time.sleep(600 if chosen.x > 0.9 and epoch == 3 else chosen.pause)  # waits for its end, up there
(pathlib.Path(os.environ["SM_MODEL_DIR"]) / "x.txt").write_text(str(chosen.x))
"""
