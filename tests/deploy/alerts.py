"""Holds deploy/prometheus/ and deploy/grafana/ against the manual, promtool and Grafana's SDK; tests/deploy/rules runs it.

docs/metrics.md, by which metrics and label values are told here, is held against the code by a unit test.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

WORK = Path(sys.argv[1])
RULES = Path("deploy/prometheus/rules.yaml")
TESTS = Path("deploy/prometheus/rules.test.yaml")
ROUTES = Path("deploy/prometheus/alertmanager.example.yaml")
# Who hears of which severity.
RECEIVERS = {"critical": "now", "warning": "day", "deadman": "heartbeat"}
BOARD = Path("deploy/grafana/dashboard.json")
MANUAL = "https://docs.example.com/se-responder/"
# Labels that Prometheus adds, and those of its own metric of alerts.
ADDED = {"job", "instance", "le", "alertname", "alertstate", "severity"}
ROWS = ["Is it working", "Alerts", "Upstreams", "Inside"]

failed = False


def check(name: str, wrong: list[str]) -> None:
    """Says how a check ended."""
    global failed
    for line in wrong:
        print(f"  {line}")
    print(f"FAIL {name}" if wrong else f"ok   {name}")
    failed = failed or bool(wrong)


def metrics() -> dict[str, dict[str, set[str]]]:
    """Every metric of the manual, its labels and their words; no words: not a fixed list."""
    found = {}
    for line in Path("docs/metrics.md").read_text().splitlines():
        if not line.startswith("| `se_responder_"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        name, shape, labels = cells[1].strip("`"), cells[2], {}
        for part in cells[3].split(";"):
            words = re.findall(r"`([^`]+)`", part)
            if words:
                labels[words[0]] = set(words[1:])
        found[name] = labels
        if shape == "histogram":
            found |= {f"{name}_{suffix}": labels for suffix in ("bucket", "sum", "count")}
    assert len(found) > 20, "docs/metrics.md has no table of metrics"
    return found


def misnamed(expr: str, known: dict, recorded: set[str]) -> list[str]:
    """What an expression names that is not there."""
    wrong, labels = [], set(ADDED)
    for name, matchers in re.findall(r"(?<![\w:])(se_responder_\w+|job\w*:[\w:]+|ALERTS)\s*(\{[^}]*\})?", expr):
        if name != "ALERTS" and name not in recorded and name not in known:
            wrong.append(f"{name} is no metric")
            continue
        of = known.get(name, {})
        # What is recorded is named by its labels, job first.
        labels |= set(of) | (set(name.split(":")[0].split("_")) if name in recorded else set())
        for label, how, value in re.findall(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"", matchers or ""):
            if label not in of and label not in ADDED and name not in recorded:
                wrong.append(f"{name} has no label {label}")
            for word in value.split("|") if "~" in how else [value]:
                if of.get(label) and word not in of[label]:
                    wrong.append(f"{name} has no {label}={word}")
    for group in re.findall(r"\bby\s*\(([^)]*)\)", expr):
        wrong += [f"by {label}: no metric there has it" for label in re.findall(r"\w+", group) if label not in labels]
    return wrong


def anchors(page: str) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", Path("docs", page).read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def promtool(*arguments: str) -> tuple[bool, str]:
    """Runs it: whether all is well, and what it says."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def expectations(tests: dict) -> list[tuple[str, bool]]:
    """For which alert a time is named at which it fires, or does not."""
    found = []
    for test in tests["tests"]:
        for one in test.get("promql_expr_test", []):
            by_name = re.search(r'alertname=(~?)"([^"]+)"', one["expr"])
            fires = {re.search(r'alertname="(\w+)"', sample["labels"])[1] for sample in one["exp_samples"] if "alertname" in sample["labels"]}
            found += [(name, True) for name in fires]
            if by_name and not one["exp_samples"]:
                found += [(name, False) for name in alerts if re.fullmatch(by_name[2], name)]
    return found


rules = yaml.safe_load(RULES.read_text())
all_rules = [rule for group in rules["groups"] for rule in group["rules"]]
alerts = {rule["alert"]: rule for rule in all_rules if "alert" in rule}
recorded = {rule["record"] for rule in all_rules if "record" in rule}
tests = yaml.safe_load(TESTS.read_text())
board = json.loads(BOARD.read_text())
known = metrics()

wrong = []
for name, rule in alerts.items():
    notes = rule.get("annotations", {})
    if rule.get("labels", {}).get("severity") not in RECEIVERS:
        wrong.append(f"{name}: severity is none of {sorted(RECEIVERS)}")
    wrong += [f"{name}: no {note}" for note in ("summary", "description", "runbook_url") if not notes.get(note)]
check(f"{len(alerts)} alerts have a severity, a summary, a description and a runbook_url", wrong)

wrong = []
for name, rule in alerts.items():
    url = rule["annotations"].get("runbook_url", "")
    if url != f"{MANUAL}alerts.md#{name.lower()}":
        wrong.append(f"{name}: {url}")
there = {anchor for anchor in anchors("alerts.md") if anchor.startswith("seresponder")}
wrong += [f"docs/alerts.md has no heading {name}" for name in alerts if name.lower() not in there]
wrong += [f"docs/alerts.md speaks of {anchor}, which is no alert" for anchor in there - {name.lower() for name in alerts}]
check("each runbook_url leads to the alert's own heading in docs/alerts.md, and each heading is an alert's", wrong)

pages = [*Path("docs").rglob("*.md"), *Path(".").glob("*.md"), ROUTES]
named = [(page, word) for page in pages for word in re.findall(r"\bSeResponder[A-Z]\w*", page.read_text())]
check(f"{len(named)} times the manual or the example of routes names an alert, and each is one", [f"{page}: {word}" for page, word in named if word not in alerts])

wrong = [f"{rule.get('alert') or rule['record']}: {what}" for rule in all_rules for what in misnamed(rule["expr"], known, recorded)]
for test in tests["tests"]:
    series = [one["series"] for one in test["input_series"]] + [one["expr"] for one in test["promql_expr_test"]]
    wrong += [f"{test['name']}: {what}" for text in series for what in misnamed(text, known, recorded)]
check("metrics, labels and their values in rules and their tests are those of docs/metrics.md", wrong)

said = expectations(tests)
wrong = [f"{name}: no time at which it {'fires' if fires else 'does not'}" for name in alerts for fires in (True, False) if (name, fires) not in said]
check("each rule is tested to fire and not to", wrong)

panels = [panel for panel in board["panels"] if panel["type"] != "row"]
exprs = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]

if shutil.which("promtool"):
    well, text = promtool("check", "rules", "--lint=all", str(RULES))
    check("promtool check rules", [] if well else [text])
    well, text = promtool("test", "rules", str(TESTS))
    check("promtool test rules", [] if well else [text])

    # Each rule that never fires, and each that always does, has to be noticed.
    for word, expr, got in (("never", "vector(0) > 1", r"got: nil"), ("always", "vector(1)", r"exp: nil")):
        broken = yaml.safe_load(RULES.read_text())
        for group in broken["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    rule["expr"], _ = expr, rule.pop("for", None)
        (WORK / "rules.yaml").write_text(yaml.safe_dump(broken))
        shutil.copy(TESTS, WORK / "rules.test.yaml")
        well, text = promtool("test", "rules", str(WORK / "rules.test.yaml"))
        noticed = set()
        for expr, _, verdict in re.findall(r'expr: "(.*)", time: (\S+),\s*\n\s*(exp: .*\n\s*got: .*)', text):
            names = re.search(r'alertname=~?\\"([^"\\]+)\\"', expr)
            if names and re.search(got, verdict):
                noticed |= {name for name in alerts if re.fullmatch(names[1], name)}
        check(f"the tests notice each alert that {word} fires", [f"not {name}" for name in sorted(set(alerts) - noticed)])

    shown = {"groups": [{"name": "dashboard", "rules": []}]}
    for at, (_, expr) in enumerate(exprs):
        for variable, value in (("$__rate_interval", "5m"), ("$__interval", "1m"), ("$job", "job")):
            expr = expr.replace(variable, value)
        shown["groups"][0]["rules"].append({"record": f"dashboard:{at}", "expr": expr})
    (WORK / "dashboard.yaml").write_text(yaml.safe_dump(shown))
    well, text = promtool("check", "rules", str(WORK / "dashboard.yaml"))
    check(f"promtool reads the dashboard's {len(exprs)} expressions", [] if well else [text])

if shutil.which("amtool"):
    done = subprocess.run(["amtool", "check-config", str(ROUTES)], capture_output=True, text=True, check=False)
    wrong = [] if done.returncode == 0 else [done.stdout + done.stderr]
    for severity, receiver in RECEIVERS.items():
        done = subprocess.run(["amtool", "config", "routes", "test", f"--config.file={ROUTES}", f"severity={severity}"], capture_output=True, text=True, check=False)
        if done.stdout.strip() != receiver:
            wrong.append(f"{severity} goes to {done.stdout.strip()}, not to {receiver}")
    check("amtool reads the example of routes, and each severity goes to its receiver", wrong)

wrong = [f"{title}: {what}" for title, expr in exprs for what in misnamed(expr, known, recorded)]
check("metrics, labels and their values in the dashboard are those of docs/metrics.md, or recorded", wrong)

wrong = []
ids = [panel["id"] for panel in board["panels"]]
wrong += [f"two panels have the id {one}" for one in set(ids) if ids.count(one) > 1]
places = {}
for panel in board["panels"]:
    at = panel["gridPos"]
    if at["x"] + at["w"] > 24:
        wrong.append(f"{panel['title']}: wider than the grid")
    for place in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
        if place in places:
            wrong.append(f"{panel['title']} lies on {places[place]}")
            break
        places[place] = panel["title"]
for panel in panels:
    refs = [target["refId"] for target in panel["targets"]]
    uids = {target["datasource"]["uid"] for target in panel["targets"]} | {panel["datasource"]["uid"]}
    if len(refs) != len(set(refs)):
        wrong.append(f"{panel['title']}: two targets of one refId")
    if uids != {"${datasource}"}:
        wrong.append(f"{panel['title']}: not of the data source that is chosen: {uids}")
    if not panel.get("description") or not panel["fieldConfig"]["defaults"].get("unit"):
        wrong.append(f"{panel['title']}: no description, or no unit")
titles = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
if titles != ROWS:
    wrong.append(f"rows are {titles}, not {ROWS}")
if [one["name"] for one in board["templating"]["list"]] != ["datasource", "job"]:
    wrong.append("variables are not datasource and job")
check(f"{len(panels)} panels in {len(titles)} rows: none lies on another, each has its description, unit and data source", wrong)


def lost(given: object, kept: object, at: str) -> list[str]:
    """What one has and the other has not, or otherwise."""
    if isinstance(given, dict) and isinstance(kept, dict):
        parts = [lost(value, kept[key], f"{at}.{key}") if key in kept else [f"{at}.{key}: unknown"] for key, value in given.items()]
        return sum(parts, [])
    if isinstance(given, list) and isinstance(kept, list):
        parts = [lost(one, other, f"{at}[{i}]") for i, (one, other) in enumerate(zip(given, kept))]
        return sum(parts, [] if len(given) == len(kept) else [f"{at}: {len(kept)} of {len(given)}"])
    return [] if given == kept else [f"{at}: {given!r} became {kept!r}"]


plugins.register_default_plugins()
read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(board)))
# Grafana writes these itself; its SDK does not know them.
unknown_there = r"\.annotations\.list\[0\]\.builtIn: unknown|\.templating\.list\[1\]\.definition: unknown|.*\.custom\.spanNulls: unknown"
check("Grafana's SDK knows each field of the dashboard", [what for what in lost(board, read, "") if not re.fullmatch(unknown_there, what)])
sys.exit(failed)
