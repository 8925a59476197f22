"""Holds the traces of a run against what is promised of them; tests/traces/run runs it.

    python tests/traces/check.py <the service, built with the feature otel>

One line a check; exits non-zero when one fails.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SERVICE = sys.argv[1]
TOKEN = "simulated-operator-token"
failures = 0


def check(what, holds, seen=None):
    """One line a check."""
    global failures
    failures += not holds
    print(f"{'ok  ' if holds else 'FAIL'} {what}" + ("" if holds else f": {seen!r}"), flush=True)


class Collector:
    """Takes what is sent, by OpenTelemetry's protocol."""

    def __init__(self):
        self.sent, self.bodies, self.headers = [], [], []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.headers.append({name.lower(): value for name, value in self.headers.items()} | {":path": self.path})
                collector.bodies.append(body)
                for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                    who = attributes(of.resource)
                    collector.sent += [(who, span) for scope in of.scope_spans for span in scope.spans]
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def attributes(of):
    """Attributes as a dictionary."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in of.attributes}


class Demo:
    """`demo`, as long as the block lasts; then it is ended as an operator would."""

    def __init__(self, scenario, **environment):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        self.process = subprocess.Popen([SERVICE, "demo", "--scenario", scenario], env=kept | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = []

    def __enter__(self):
        for line in self.process.stdout:
            self.said.append(line)
            if "stays up" in line:
                break
        threading.Thread(target=lambda: self.said.extend(self.process.stdout), daemon=True).start()
        found = re.findall(r"http://127[0-9.:]+", "".join(self.said))
        if not found:
            sys.exit("FAIL the demo did not start: " + "".join(self.said))
        self.url = found[-1]
        return self

    def __exit__(self, *_):
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        self.ended_in = time.monotonic() - began

    def runs(self):
        """The runs, by the API."""
        request = urllib.request.Request(f"{self.url}/api/runs", headers={"Authorization": f"Bearer {TOKEN}"})
        return json.load(urllib.request.urlopen(request, timeout=30))["runs"]


collector = Collector()
with Demo("service-endpoint", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_HEADERS="x-tenant=registry", OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test") as demo:
    runs = demo.runs()
run = runs[-1]
spans = [span for _, span in collector.sent]
how = {(h[":path"], h["content-type"], h.get("x-tenant")) for h in collector.headers}
check("they go to /v1/traces, as protobuf, with the headers that OpenTelemetry's setting gives", how == {("/v1/traces", "application/x-protobuf", "registry")}, how)
who = collector.sent[0][0] if collector.sent else {}
check("they say who sends them", who.get("service.name") == "se-responder" and who.get("service.version") and who.get("deployment.environment.name") == "test", who)
trace = bytes.fromhex(run["id"].replace("-", ""))
of_run = [span for span in spans if span.trace_id == trace]
roots = [span for span in of_run if not span.parent_span_id]
check("a run is a trace that has the run's id, with one root", [span.name for span in roots] == ["run"], [(span.name, span.trace_id.hex()) for span in roots])
root = attributes(roots[0]) if roots else {}
check("… which names incident and region", (root.get("run.id"), root.get("incident.id"), root.get("region")) == (run["id"], run["incident"]["id"], run["region"]), root)
by_id = {span.span_id: span for span in of_run}
check("each other span of it has a parent in it", all(span.parent_span_id in by_id for span in of_run if span not in roots))
steps = {attributes(span)["step"] for span in of_run if span.name == "run.step"}
check("its steps are spans", {"confirm_alert", "read_boxes", "check_clusters", "post_note"} <= steps, steps)
asked = [span for span in of_run if span.kind == Span.SPAN_KIND_CLIENT]
systems = {attributes(span).get("system") for span in asked}
check("requests to PagerDuty, Jenkins and clusters are spans", {"pagerduty", "jenkins", "cluster"} <= systems, systems)
parents = {attributes(span)["system"]: attributes(by_id[span.parent_span_id]).get("step") for span in asked if span.parent_span_id in by_id}
check("… within the step that asked", parents.get("cluster", "").startswith("check_clusters") and parents.get("jenkins", "").startswith("read_boxes"), parents)
early = [span for span in asked if attributes(span)["system"] == "jenkins" and by_id.get(span.parent_span_id) in roots]
check("… also what is asked of Jenkins early, before it is known whether it is needed", bool(early), len(early))
check("… with the status of the answer, and no error where there was none", all(attributes(span).get("http.response.status_code") for span in asked) and not any(span.status.code == Status.STATUS_CODE_ERROR for span in asked), [attributes(span) for span in asked])
check("all end after they began, the root last", all(span.end_time_unix_nano >= span.start_time_unix_nano and span.end_time_unix_nano <= roots[0].end_time_unix_nano for span in of_run) if roots else False)
secrets = [word for word in (b"simulated-", b"Bearer", b"Token token", b"http://", b"?key=") if any(word in body for body in collector.bodies)]
check("no address, key or token is in them", not secrets, secrets)
alerts = [attributes(span) for span in spans if span.name == "alert"]
check("work on the alert beside its runs names incident and region", any(a.get("incident.id") == run["incident"]["id"] and a.get("region") == run["region"] for a in alerts), alerts)

# What an upstream's failure looks like.
failing = Collector()
with Demo("lost-answers", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{failing.url}/somewhere") as demo:
    pass
bad = [span for _, span in failing.sent if span.status.code == Status.STATUS_CODE_ERROR]
check("a request without an answer is an error", "pagerduty" in {attributes(span)["system"] for span in bad}, [attributes(span) for span in bad])
check("the endpoint of traces alone is taken as it stands", {h[":path"] for h in failing.headers} == {"/somewhere"}, {h[":path"] for h in failing.headers})

# A collector that takes connections, and answers nothing.
mute = socket.create_server(("127.0.0.1", 0))
with Demo("service-endpoint", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{mute.getsockname()[1]}") as demo:
    done = demo.runs()[-1]["state"]
check("a collector that hangs keeps no run from its end", done == "done", done)
check("… and the process no longer than 15 s", demo.ended_in < 15, demo.ended_in)

# Off.
off = Collector()
for environment in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_EXPORTER_OTLP_ENDPOINT": off.url, "OTEL_SDK_DISABLED": "true"}):
    with Demo("service-endpoint", **environment):
        pass
check("nothing is sent where nobody asked for it", not off.bodies, len(off.bodies))

said = subprocess.run([SERVICE, "check"], env={"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_ENDPOINT": "no address"}, capture_output=True, text=True, check=False)
check("an address that is none is refused by name", said.returncode == 2 and "OTEL_EXPORTER_OTLP_ENDPOINT" in said.stderr, said.stderr)
said = subprocess.run([SERVICE, "--version"], capture_output=True, text=True, check=True).stdout
check("--version names the feature", "features: otel" in said, said)
sys.exit(failures > 0)
