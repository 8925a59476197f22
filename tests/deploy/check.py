"""Prints `ok` or `FAIL` for each thing that is checked: tests/deploy/run."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import faults
import installation
import kubectl
import rights
import schemas
import sources

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy/kubernetes"
COMPONENTS = ("ingress", "external-secrets", "exec-probe")
failed = 0


def say(name, problems):
    global failed
    problems = list(problems)
    for problem in problems[:20]:
        print(f"     {problem}")
    failed += bool(problems)
    print(f"{'FAIL' if problems else 'ok  '} {name}")


def built(program, folder, text):
    """A rendering of a kustomization of our own, as somebody else may have one."""
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(text)
    return kubectl.render(program, folder)


def kustomization(work, resources, components=(), more=""):
    up = os.path.relpath(DEPLOY, work)
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "resources:"]
    lines += [f"  - {up}/{resource}" for resource in resources]
    lines += ["components:"] * bool(components) + [f"  - {up}/components/{component}" for component in components]
    return "\n".join(lines) + "\n" + more


NO_MONITOR = """patches:
  - patch: |-
      $patch: delete
      apiVersion: monitoring.coreos.com/v1
      kind: ServiceMonitor
      metadata:
        name: se-responder
        namespace: se-responder
"""


def renderings(program, work):
    """Each thing that is applied, by name: its objects and its database. What can't be rendered is said."""
    found, errors = {}, []

    def keep(name, database, rendered):
        text, error = rendered
        if error:
            errors.append(f"{name}: {error}")
        else:
            found[name] = (schemas.documents(text), database)

    for database in ("sqlite", "postgres"):
        keep(f"overlays/{database}", database, kubectl.render(program, DEPLOY / "overlays" / database))
        folder = work / f"{database}-all"
        keep(f"overlays/{database} with every component", database,
             built(program, folder, kustomization(folder, [f"overlays/{database}"], COMPONENTS)))
    keep("site", "sqlite", kubectl.render(program, DEPLOY / "site"))
    # As its reader copies and changes it.
    folder = work / "site"
    shutil.copytree(DEPLOY / "site", folder)
    up = os.path.relpath(DEPLOY, folder)
    text = (folder / "kustomization.yaml").read_text().replace("../overlays/sqlite", f"{up}/overlays/postgres")
    text = text.replace("- ../components/", f"- {up}/components/").replace("# - " + up, "- " + up)
    (folder / "kustomization.yaml").write_text(text)
    keep("site, on PostgreSQL, with every component", "postgres", kubectl.render(program, folder))
    folder = work / "no-monitor"
    text, error = built(program, folder, kustomization(folder, ["overlays/sqlite"], (), NO_MONITOR))
    say("the ServiceMonitor can be left out", [error] if error else ["it is there"] * ("kind: ServiceMonitor" in text))
    say(f"overlays, components and site are rendered: {len(found)} installations", errors)
    return found


def hold_installations(found):
    versions = f"{schemas.versions()[0]} to {schemas.versions()[-1]}"
    shaped = (f"{name}: {problem}" for name, (documents, _) in found.items() for d in documents for problem in schemas.problems(d))
    say(f"all of it is what Kubernetes' schemas describe, {versions}", shaped)
    for rule in installation.ALL:
        broken = ((name, problem) for name, (documents, database) in found.items()
                  for problem in rule(installation.Rendered(documents, database)))
        say(f"each installation: {rule.__name__.replace('_', ' ')}", (f"{name}: {problem}" for name, problem in broken))


def unnoticed(cases, documents, notices):
    """Faults that nothing is said of."""
    return [f"unnoticed: {fault}" for fault, change in cases.items() if not list(notices(faults.planted(documents, change)))]


def hold_faults(found):
    everything = found["overlays/postgres with every component"][0]
    shapes = unnoticed(faults.SHAPES, everything, lambda changed: [p for d in changed for p in schemas.problems(d)])
    say(f"schemas notice {len(faults.SHAPES)} faults", shapes)
    for rule in installation.ALL:
        cases = faults.RULES.get(rule.__name__, {})
        on_file = faults.RULES.get(f"{rule.__name__}, sqlite", {})
        missed = unnoticed(cases, everything, lambda changed: rule(installation.Rendered(changed, "postgres")))
        missed += unnoticed(on_file, found["overlays/sqlite"][0], lambda changed: rule(installation.Rendered(changed, "sqlite")))
        say(f"{rule.__name__.replace('_', ' ')}: {len(cases) + len(on_file)} faults are noticed", missed if cases else ["none is known"])


def hold_rights(program, work):
    text, error = kubectl.render(program, DEPLOY / "registry-cluster")
    folder = work / "exec"
    with_exec, more_error = built(program, folder, kustomization(folder, ["registry-cluster"], ["exec-probe"]))
    say("registry-cluster is rendered, and with exec-probe", [e for e in (error, more_error) if e])
    if not text or not with_exec:
        return
    documents, more = schemas.documents(text), schemas.documents(with_exec)
    say("registry-cluster is what Kubernetes' schemas describe", (p for d in more for p in schemas.problems(d)))
    say("registry-cluster binds its Roles to our account alone", rights.is_bound(documents))
    say(f"registry-cluster: {len(faults.BINDINGS)} faults are noticed", unnoticed(faults.BINDINGS, documents, rights.is_bound))
    plain = schemas.documents((DEPLOY / "registry-cluster/rbac.yaml").read_text())
    say("what is applied grants what rbac.yaml grants",
        rights.differences(rights.granted(plain), rights.granted(documents), "registry-cluster"))
    say("exec-probe grants pods/exec in kube-system, and nothing else",
        rights.differences(rights.granted(more), rights.granted(documents) | rights.EXEC, "exec-probe"))
    healthcheck = schemas.documents((DEPLOY / "healthcheck-cluster/rbac.yaml").read_text())
    say("healthcheck-cluster binds its Role to our account alone", rights.is_bound(healthcheck))
    hold_asked(more, healthcheck)


def hold_asked(registry, healthcheck):
    log = os.environ.get("RIGHTS_LOG")
    if not log:
        print("     RIGHTS_LOG is not set: what stories ask is held by scripts/test, what a check asks by `cargo test -p clusters granted`")
        return
    # None: no story has asked a cluster, and then nothing of what is granted was asked.
    log = Path(log)
    by_registry, by_healthcheck = rights.asked(log.read_text() if log.exists() else "")
    say("clusters grant what the stories asked, and no more",
        [*rights.differences(by_registry, rights.granted(registry), "a registry cluster"),
         *rights.differences(by_healthcheck, rights.granted(healthcheck), "the healthcheck cluster")])
    differ = lambda changed: rights.differences(by_registry, rights.granted(changed), "a registry cluster")
    say(f"what the stories asked: {len(faults.RIGHTS)} faults are noticed", unnoticed(faults.RIGHTS, registry, differ))


def hold_settings(documents, binary, work):
    """The service reads what the pod would give it; its files are those of the volumes, with secrets of ours in them."""
    rendered, files = installation.Rendered(documents, "sqlite"), work / "files"
    maps = {d["metadata"]["name"]: d.get("data", {}) for d in rendered.of("ConfigMap")}
    environment = {}
    for name, value in rendered.settings().items():
        if value.startswith("/"):
            path = files / value.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            _, volume = rendered.mounts()[value.rpartition("/")[0]]
            text = maps[volume["configMap"]["name"]][path.name] if "configMap" in volume else "name:0123456789abcdef\n"
            path.write_text(text)
            value = str(path)
        environment[name] = value

    def check(environment):
        done = subprocess.run([binary, "check"], env=environment, cwd=work, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    code, said = check(environment)
    say("the service takes the settings of site", [] if code == 0 and "warn " not in said else [f"exit {code}", said])
    code, said = check({**environment, "PAGERDUTY_FROM": "", "REGIONS_FILE": "/nowhere"})
    refused = code == 2 and "PAGERDUTY_FROM" in said and "REGIONS_FILE" in said
    say("the service notices a missing setting and a missing file", [] if refused else [f"exit {code}", said])


def main():
    target = Path(sys.argv[1])
    say("every file is named by a kustomization, and every name is a file", sources.references(DEPLOY))
    say("every file's objects are what Kubernetes' schemas describe", sources.objects(DEPLOY))
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        broken = work / "broken"
        shutil.copytree(DEPLOY, broken)
        (broken / "base/service.yaml").rename(broken / "base/services.yaml")
        noticed = sources.references(broken)
        say("files: a renamed one is noticed, at both ends", [] if len(noticed) == 2 else noticed or ["it is not"])
        program, known = kubectl.find(target / "deploy-kubectl")
        if program is None:
            print(f"\n==> LEFT OUT: nothing was rendered, and so most was not checked. No kubectl of 1.21 or later: {known}\n")
            return
        print(f"     rendered by kubectl {'.'.join(map(str, known))}")
        found = renderings(program, work)
        hold_installations(found)
        if not failed:
            hold_faults(found)
        hold_rights(program, work)
        if "site" in found:
            hold_settings(found["site"][0], target / "debug/se-responder", work)


main()
sys.exit(failed > 0)
