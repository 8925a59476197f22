"""Holds the simulated cluster against the Kubernetes project's own Python client.

    python tests/clients/kubernetes_client.py <path of the simulate_cluster example>

Prints one line a check; ends with 1 if any fails.
"""

import http.client
import json
import subprocess
import sys

from kubernetes import client, config
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

STATUS_CHECK = ["curl", "-sS", "-m", "5", "-D-", "http://localhost:10443/status"]
failures = 0


def check(name, holds, seen=None):
    global failures
    print(("ok    " if holds else "FAIL  ") + name + ("" if holds else f": {seen!r}"[:1000]), flush=True)
    failures += not holds


def refusal(call):
    """The Status object with which a call is refused."""
    try:
        answer = call()
    except ApiException as e:
        body = json.loads(e.body) if e.body else {}
        return {**body, "http": e.status, "handshake": e.reason}
    return {"http": 200, "answer": str(answer)}


def exec_in(core, pod, command=STATUS_CHECK, container="nginx-ingress", **options):
    """Runs a command; its stdout, stderr and Status."""
    session = stream(
        core.connect_get_namespaced_pod_exec, pod, "kube-system", command=command, container=container,
        stdin=False, stdout=True, stderr=True, tty=False, _preload_content=False, **options,
    )
    session.run_forever(timeout=20)
    status = json.loads(session.read_channel(3) or "null")
    return session.read_channel(1), session.read_channel(2), status, session.subprotocol


def get_over(forward):
    """GET /status through a forwarded port."""
    connection = http.client.HTTPConnection("localhost", 10443, timeout=20)
    connection.sock = forward.socket(10443)
    connection.request("GET", "/status")
    return connection.getresponse()


def plain_reads(core):
    konicle = core.read_namespaced_config_map("konicle", "default")
    check("get: the config map", konicle.data == {"ready": "true", "private-override": "true"}, konicle.data)

    missing = refusal(lambda: core.read_namespaced_config_map("nothing", "default"))
    check("get: a missing config map is a Status", missing.get("message") == 'configmaps "nothing" not found', missing)
    check("get: its code and reason", (missing["http"], missing.get("reason")) == (404, "NotFound"), missing)

    pods = core.list_namespaced_pod("kube-system").items
    private = [pod for pod in pods if pod.metadata.name.startswith("private")]
    check("list: the private pods", len(private) == 2, [pod.metadata.name for pod in pods])
    ready = [[c.ready for c in pod.status.container_statuses] for pod in private]
    check("list: their containers", ready == [[True] * 4] * 2, ready)
    check("list: their phase", {pod.status.phase for pod in private} == {"Running"})

    names, pages, token = [], 0, None
    while pages == 0 or token:
        page = core.list_namespaced_pod("crowd", limit=3, _continue=token)
        names += [pod.metadata.name for pod in page.items]
        token, pages = page.metadata._continue, pages + 1
    check("list: in pages", (pages, len(names), len(set(names))) == (3, 7, 7), (pages, names))
    bad = refusal(lambda: core.list_namespaced_pod("crowd", limit=3, _continue="forged"))
    check("list: a forged continue is refused", bad["http"] == 400, bad)

    one = core.read_namespaced_pod(private[0].metadata.name, "kube-system")
    check("get: one pod", one.spec.containers[0].name == "nginx-ingress", one.spec.containers)
    return [pod.metadata.name for pod in private]


def execs(core, good, bad):
    out, err, status, protocol = exec_in(core, good)
    check("exec: curl prints head and body", out.startswith("HTTP/1.1 200 OK\r\n") and out.endswith("}\n"), out)
    check("exec: nothing on stderr", err == "", err)
    check("exec: Success at the end", status and status["status"] == "Success", status)
    check("exec: v5 where the client offers it", protocol == "v5.channel.k8s.io", protocol)

    session = stream(
        core.connect_get_namespaced_pod_exec, good, "kube-system", command=["curl", "-m", "nonsense"],
        container="nginx-ingress", stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
    )
    session.close_channel(0)
    session.run_forever(timeout=20)
    check("exec: an exit code comes through", session.returncode == 2, session.returncode)

    out, err, status, _ = exec_in(core, bad)
    check("exec: no curl in the image is InternalError", status and status.get("reason") == "InternalError", status)
    check("exec: and says so", "executable file not found" in (status or {}).get("message", ""), status)

    wrong = refusal(lambda: exec_in(core, good, container="nothing"))
    check("exec: a wrong container is refused", "400" in wrong.get("handshake", ""), wrong)
    none = refusal(lambda: exec_in(core, good, container=""))
    check("exec: so is none of several", "400" in none.get("handshake", ""), none)


def forwards(core, good, bad):
    forward = portforward(core.connect_get_namespaced_pod_portforward, good, "kube-system", ports="10443")
    answer = get_over(forward)
    check("port-forward: 200", answer.status == 200, answer.status)
    check("port-forward: the body", json.loads(answer.read()) == {"status": "OK"})
    check("port-forward: no error", forward.error(10443) is None, forward.error(10443))
    forward.close()

    forward = portforward(core.connect_get_namespaced_pod_portforward, bad, "kube-system", ports="10443")
    try:
        seen = get_over(forward).status
    except (http.client.HTTPException, OSError) as e:
        seen = e
    check("port-forward: a refused port has no answer", isinstance(seen, Exception), seen)
    error = forward.error(10443) or ""
    check("port-forward: and the reason", "connect: connection refused" in error, error)
    forward.close()


def refusals(core, pod):
    listed = refusal(lambda: core.list_namespaced_pod("kube-system"))
    check("forbidden: list is a 403", (listed["http"], listed.get("reason")) == (403, "Forbidden"), listed)
    words = 'cannot list resource "pods" in API group "" in the namespace "kube-system"'
    check("forbidden: in the API server's words", words in listed.get("message", ""), listed)
    check("forbidden: exec", "403" in refusal(lambda: exec_in(core, pod)).get("handshake", ""))
    forward = refusal(lambda: portforward(
        core.connect_get_namespaced_pod_portforward, pod, "kube-system", ports="10443"))
    check("forbidden: port-forward", "403" in forward.get("handshake", ""), forward)
    deleted = refusal(lambda: core.delete_namespaced_pod(pod, "kube-system"))
    check("forbidden: to change anything", deleted["http"] == 403, deleted)
    missing = refusal(lambda: core.read_namespaced_config_map("konicle", "default"))
    check("a cluster without the config map", missing["http"] == 404, missing)


def strangers(kubeconfig, context):
    stranger = client.Configuration()
    config.load_kube_config(kubeconfig, context, client_configuration=stranger)
    stranger.refresh_api_key_hook = None
    stranger.api_key = dict.fromkeys(stranger.api_key, "Bearer stolen")
    answer = refusal(lambda: client.CoreV1Api(client.ApiClient(stranger)).list_namespaced_pod("default"))
    check("another token is a 401", (answer["http"], answer.get("message")) == (401, "Unauthorized"), answer)


def main():
    simulator = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(simulator.stdout.readline())
        kubeconfig, context = told["kubeconfig"], told["context"]
        core = client.CoreV1Api(config.new_client_from_config(kubeconfig, context))
        good, bad = plain_reads(core)
        execs(core, good, bad)
        forwards(core, good, bad)
        restricted = config.new_client_from_config(kubeconfig, told["restricted_context"])
        refusals(client.CoreV1Api(restricted), good)
        strangers(kubeconfig, context)
    finally:
        simulator.stdin.close()
        ended = simulator.wait(timeout=20)
    check("the simulator ends with its input", ended == 0, ended)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
