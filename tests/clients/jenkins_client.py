"""Holds the simulated Jenkins against a client that others wrote: the PyPI package api4jenkins.

    python tests/clients/jenkins_client.py <the built example simulate_jenkins>

One line a check; exits non-zero when one fails, or when the client is missing.
"""

import json
import subprocess
import sys
import time

from api4jenkins import Jenkins
from api4jenkins.exceptions import AuthenticationError, ItemNotFoundError

JOB = "Containers-Registry/ServiceEndpointStatus"
ZONE = "registry-prod-us-south-az"
failures = 0


def check(what, holds, seen=None):
    global failures
    failures += not holds
    print(f"{'ok  ' if holds else 'FAIL'} {what}" + ("" if holds else f": {seen!r}"), flush=True)


def until(ask, seconds=30):
    """Asks until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.05)
    raise TimeoutError(f"nothing within {seconds} s")


def refused(error, ask):
    try:
        ask()
    except error:
        return True
    return False


def left(item):
    """The item's build, once it has left the queue."""
    return item.get_build() if item._class.endswith("$LeftItem") else None


def checks(at):
    jenkins = Jenkins(at["url"], auth=(at["user"], at["token"]))
    check("it tells its version", jenkins.version[0].isdigit(), jenkins.version)
    job = jenkins.get_job(JOB)
    check("the job is found through its folder", job.url == at["job_url"], job.url)
    check("it is buildable", job.buildable is True)
    check("its parameter is declared", [p["name"] for p in job.get_parameters()] == ["CLUSTER"], job.get_parameters())

    item = job.build(CLUSTER=f"{ZONE}1", delay="0sec")
    check("a build is queued", jenkins.queue.get(item.id) is not None, item.id)
    check("it says why it waits", "executor" in (item.why or ""), item.why)
    check("the others before it are in the queue", len(list(jenkins.queue)) == 4, len(list(jenkins.queue)))
    again = job.build(CLUSTER=f"{ZONE}1", delay="0sec")
    check("an equal one joins it", again.id == item.id, (item.id, again.id))
    check("the item knows its parameter", item.get_parameters()[0].value == f"{ZONE}1", item.get_parameters())
    build = until(lambda: left(item))
    check("the item becomes a build", build.url == f"{at['job_url']}1/", build.url)
    check("the build knows its queue item", build.queue_id == item.id, build.queue_id)
    check("its parameter is CLUSTER", [(p.name, p.value) for p in build.get_parameters()] == [("CLUSTER", f"{ZONE}1")])
    check("both causes are told", len(build.get_causes()) == 2, build.get_causes())
    progressive = list(build.progressive_output())
    check("its console grows until it ends", progressive[-1] == "Finished: SUCCESS", progressive[-1:])
    check("the console is the same as a whole", list(build.console_text()) == progressive)
    boxes = [line.strip().strip('",') for line, before in zip(progressive[1:], progressive) if before == "["]
    check("it shows a box a zone", boxes == [f"{ZONE}{n}-1" for n in (1, 2, 3)], boxes)
    until(lambda: not build.building)
    check("it succeeds", build.result == "SUCCESS", build.result)

    build = until(lambda item=job.build(CLUSTER=f"{ZONE}2", delay="0sec"): left(item))
    check("a long build runs", build.building is True and build.result is None)
    build.stop()
    until(lambda: not build.building)
    check("it can be stopped", build.result == "ABORTED", build.result)

    item = job.build(CLUSTER=f"{ZONE}3", delay="0sec")
    item.cancel()
    cancelled = item.api_json()["cancelled"]
    check("a waiting one can be cancelled", cancelled is True and jenkins.queue.get(item.id) is None, cancelled)
    check("builds are listed, newest first", [b.number for b in job] == [2, 1], [b.number for b in job])

    quiet = job.build(CLUSTER=f"{ZONE}1")
    check("without a delay there is a quiet period", "quiet period" in quiet.why, quiet.why)
    quiet.cancel()

    def wrong_token():
        Jenkins(at["url"], auth=(at["user"], "wrong")).get_job(JOB)

    check("a wrong token is refused", refused(AuthenticationError, wrong_token))
    check("nobody is let in without one", refused(PermissionError, lambda: Jenkins(at["url"]).get_job(JOB)))
    check("what is not there is not found", refused(ItemNotFoundError, lambda: jenkins.build_job("nothing")))


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            checks(json.loads(simulator.stdout.readline()))
        finally:
            simulator.stdin.close()
    check("the simulator ends with its standard input", simulator.returncode == 0, simulator.returncode)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
