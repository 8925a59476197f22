"""Holds the simulated PagerDuty against PagerDuty's own Python client.

Usage: python tests/clients/pagerduty_client.py <path of the simulate_pagerduty example>

Prints one line a check. The first one that fails ends it with exit code 1.
"""

import json
import ssl
import subprocess
import sys

import pagerduty


def check(what: str, holds: bool, seen: object = None) -> None:
    if not holds:
        sys.exit(f"FAILED: {what}; seen: {seen!r}")
    print(f"ok: {what}")


def refused(what: str, status: int, part: str, call) -> None:
    """`call` is answered by this status, with this part in the error's words."""
    try:
        seen = call()
    except pagerduty.HttpError as error:
        answer = error.response
        check(what, answer.status_code == status and part in answer.text, f"{answer.status_code} {answer.text}")
    else:
        check(what, False, seen)


def checks(at: dict) -> None:
    verify = ssl.create_default_context(cafile=at["ca"])

    def client(token: str = at["token"], sender: str | None = at["from"]) -> pagerduty.RestApiV2Client:
        made = pagerduty.RestApiV2Client(token, default_from=sender, base_url=at["https_url"], verify=verify)
        # The client would otherwise wait for minutes where the simulator does not answer.
        made.max_network_attempts = 1
        return made

    account = client()
    alert, service = at["alert"], at["service"]

    open_ones = {"statuses[]": ["triggered", "acknowledged"], "date_range": "all"}
    listed = [i["id"] for i in account.iter_all("incidents", params=open_ones)]
    check("all open incidents are listed over three pages", listed == at["open"], len(listed))
    total = account.get_total("incidents", params=open_ones)
    check("their number is told", total == len(at["open"]), total)
    by_25 = [i["id"] for i in account.iter_all("incidents", params=open_ones, page_size=25)]
    check("smaller pages show the same", by_25 == at["open"], len(by_25))

    incident = account.rget(f"incidents/{alert}")
    check("an incident is read", incident["title"] == "All SE endpoints down in prod-us-south", incident)
    resolved = account.rget(f"incidents/{at['resolved']}")
    check("a resolved one is resolved", resolved["status"] == "resolved", resolved)
    refused("an unknown incident is a 404", 404, "Not Found", lambda: account.rget("incidents/QNOSUCH"))

    found = account.find("services", service["name"])
    check("a service is found by its name", found is not None and found["id"] == service["id"], found)
    check("by its whole name only", account.find("services", "Cloud Service") is None)
    check("a service is read", account.rget(f"services/{service['id']}")["name"] == service["name"])
    user = account.find("users", at["from"], attribute="email")
    check("a user is found by the e-mail address", user is not None and user["type"] == "user", user)

    page = {
        "type": "incident",
        "title": "Service Endpoint rejects connections in prod-us-south",
        "service": {"id": service["id"], "type": "service_reference"},
        "urgency": "high",
        "incident_key": f"se-responder/{alert}",
        "body": {"type": "incident_body", "details": "Magic Boxes: …"},
    }
    created = account.rpost("incidents", json=page)
    check("an incident is opened", created["incident_key"] == page["incident_key"], created)
    check("it is assigned", len(created["assignments"]) == 1, created["assignments"])
    taken = "Open incident with matching dedup key already exists on this service"
    refused("its key is taken then", 400, taken, lambda: account.rpost("incidents", json=page))
    by_key = account.list_all("incidents", params={"incident_key": page["incident_key"], "date_range": "all"})
    check("it is found by its key", [i["id"] for i in by_key] == [created["id"]], by_key)

    notes = f"incidents/{alert}/notes"
    note = account.rpost(notes, json={"content": "first\nrun 1"})
    check("a note is written", note["content"] == "first\nrun 1" and note["user"]["id"] == user["id"], note)
    account.rput(f"{notes}/{note['id']}", json={"content": "second\nrun 1"})
    contents = [(n["id"], n["content"]) for n in account.rget(notes)]
    check("it is edited in place", contents == [(note["id"], "second\nrun 1")], contents)
    account.rdelete(f"{notes}/{note['id']}")
    check("and deleted", account.rget(notes) == [], account.rget(notes))

    nobody = client(sender=None)
    refused("a write without From is refused", 400, "2016", lambda: nobody.rpost(notes, json={"content": "x"}))
    stranger = client(sender="stranger@example.com")
    refused("so is one from a stranger", 400, "1008", lambda: stranger.rpost(notes, json={"content": "x"}))
    refused("a wrong token is refused", 401, "Unauthorized", lambda: client(token="other").rget(f"incidents/{alert}"))
    check("nothing was written by those", account.rget(notes) == [])

    done = account.rput(f"incidents/{created['id']}", json={"type": "incident_reference", "status": "resolved"})
    check("an incident is resolved", done["status"] == "resolved" and done["assignments"] == [], done)
    again = account.rpost("incidents", json=page)
    check("its key is free then", again["id"] != created["id"], again)

    events = pagerduty.EventsApiV2Client(at["routing_key"], base_url=at["https_url"], verify=verify)
    key = events.trigger("down", "se-responder", dedup_key="by-event", severity="critical")
    check("an event is taken", key == "by-event", key)
    by_event = account.list_all("incidents", params={"incident_key": key, "date_range": "all"})
    check("it becomes an incident", [i["title"] for i in by_event] == ["down"], by_event)
    alerts = account.list_all(f"incidents/{by_event[0]['id']}/alerts")
    check("whose alert has the key", [a["alert_key"] for a in alerts] == [key], alerts)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    simulator = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = simulator.stdout.readline()
        if not line:
            sys.exit(f"FAILED: {sys.argv[1]} printed nothing and ended with {simulator.wait()}")
        checks(json.loads(line))
        simulator.stdin.close()
        check("the simulator ends with its input", simulator.wait(timeout=10) == 0, simulator.returncode)
    finally:
        if simulator.poll() is None:
            simulator.kill()


if __name__ == "__main__":
    main()
