"""What schemas can't know: what a rendered installation must be. Each rule yields what is wrong, in words."""

import re
from pathlib import Path

from schemas import name_of

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "se-responder"
# Made by hand or by external-secrets: never part of what is rendered.
SECRETS = {"se-responder", "se-responder-kubeconfig"}
CLUSTER_WIDE = {"Namespace"}
ROUTE = "/webhooks/pagerduty"
# In NetworkPolicies, by name: what may come in from where, what may go out to which ports.
INGRESS = {
    "se-responder": [("monitoring", "prometheus", ["http/TCP"])],
    "se-responder-ingress": [("ingress-nginx", "ingress-nginx", ["http/TCP"])],
    "se-responder-postgres": [],
}
EGRESS = {
    "se-responder": [["53/UDP", "53/TCP"], ["443/TCP", "6443/TCP", "20000-32767/TCP"]],
    "se-responder-ingress": [],
    "se-responder-postgres": [["5432/TCP"]],
}


class Rendered:
    """The objects of one rendering. `database` is "sqlite" or "postgres"."""

    def __init__(self, documents, database):
        self.documents, self.database = documents, database

    def of(self, kind):
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind):
        found = self.of(kind)
        return found[0] if len(found) == 1 else {}

    def deployment(self):
        return self.one("Deployment").get("spec", {})

    def pod(self):
        return self.deployment().get("template", {}).get("spec", {})

    def pod_labels(self):
        return self.deployment().get("template", {}).get("metadata", {}).get("labels", {})

    def container(self):
        containers = self.pod().get("containers", [])
        return containers[0] if len(containers) == 1 else {}

    def settings(self):
        maps = {document["metadata"]["name"]: document.get("data", {}) for document in self.of("ConfigMap")}
        merged = {}
        for source in self.container().get("envFrom", []):
            merged.update(maps.get(source.get("configMapRef", {}).get("name"), {}))
        merged.update({entry["name"]: entry.get("value", "") for entry in self.container().get("env", [])})
        return merged

    def mounts(self):
        """Where each volume is mounted: path -> volume."""
        volumes = {volume["name"]: volume for volume in self.pod().get("volumes", [])}
        mounts = self.container().get("volumeMounts", [])
        return {mount["mountPath"]: (mount, volumes.get(mount["name"])) for mount in mounts}


def _seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def has_each_once(r):
    """One of each kind that every installation has."""
    for kind in ("Namespace", "ServiceAccount", "Deployment", "Service", "PodDisruptionBudget", "ServiceMonitor"):
        if len(r.of(kind)) != 1:
            yield f"{len(r.of(kind))} of kind {kind}"
    names = [name_of(document) for document in r.documents]
    yield from (f"{name} stands there twice" for name in set(names) if names.count(name) > 1)


def is_in_its_namespace(r):
    for document in r.documents:
        if document["kind"] not in CLUSTER_WIDE and document["metadata"].get("namespace") != NAMESPACE:
            yield f"{name_of(document)} is not in the namespace {NAMESPACE}"


def is_restricted(r):
    """The Pod Security Standard `restricted`, which the namespace enforces."""
    labels = r.one("Namespace").get("metadata", {}).get("labels", {})
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace does not enforce `restricted`"
    pod = r.pod()
    for field in ("hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"):
        if pod.get(field):
            yield f"{field} is set"
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim", "downwardAPI", "csi"}:
            yield f"volume {volume['name']} is of kind {kinds}"
    security = pod.get("securityContext", {})
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile"
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser") or not security.get("runAsGroup"):
        yield "it may run as root"
    for container in pod.get("containers", []):
        own = container.get("securityContext", {})
        for field, wanted in (
            ("allowPrivilegeEscalation", False),
            ("readOnlyRootFilesystem", True),
            ("runAsNonRoot", True),
        ):
            if own.get(field) is not wanted:
                yield f"{container['name']}: {field} is not {wanted}"
        if own.get("privileged") or own.get("runAsUser") == 0 or own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container['name']}: privileged, root, or capabilities"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"{container['name']}: a port of the host"


def asks_nothing_of_its_own_cluster(r):
    if r.one("ServiceAccount").get("automountServiceAccountToken") is not False:
        yield "the ServiceAccount's token is mounted"
    if r.pod().get("automountServiceAccountToken") is not False:
        yield "the pod mounts a token"
    if r.pod().get("serviceAccountName") != r.one("ServiceAccount").get("metadata", {}).get("name"):
        yield "the pod's ServiceAccount is not ours"
    for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
        yield from (f"{name_of(document)} grants something here" for document in r.of(kind))


def holds_no_secret(r):
    yield from (f"{name_of(document)} is rendered" for document in r.of("Secret"))
    for name, value in r.settings().items():
        if re.search(r"TOKEN|SECRET|ROUTING_KEY|PASSWORD", name) and not name.endswith("_FILE"):
            yield f"{name} is a secret in a ConfigMap"
        if re.search(r"://[^/]*:[^/]*@", value):
            yield f"{name} has a password in it"


def has_a_version(r):
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "Cargo.toml").read_text()).group(1)
    for container in r.pod().get("containers", []):
        if not re.fullmatch(rf"([a-z0-9./-]+/)?se-responder:{re.escape(version)}", container.get("image", "")):
            yield f"the image {container.get('image')} is not of version {version}"


def refers_to_what_is_there(r):
    """Maps, secrets, volumes, ports, accounts."""
    maps = {document["metadata"]["name"] for document in r.of("ConfigMap")}
    claims = {document["metadata"]["name"] for document in r.of("PersistentVolumeClaim")}
    container = r.container()
    for source in container.get("envFrom", []):
        if source.get("configMapRef", {}).get("name") not in maps:
            yield f"envFrom: there is no {source}"
    used = set()
    for mount in container.get("volumeMounts", []):
        used.add(mount["name"])
        if r.mounts()[mount["mountPath"]][1] is None:
            yield f"there is no volume {mount['name']}"
    for volume in r.pod().get("volumes", []):
        if volume["name"] not in used:
            yield f"volume {volume['name']} is mounted nowhere"
        if "configMap" in volume and volume["configMap"].get("name") not in maps:
            yield f"there is no ConfigMap {volume['configMap']}"
        if "secret" in volume and volume["secret"].get("secretName") not in SECRETS:
            yield f"nobody makes the Secret {volume['secret']}"
        if "persistentVolumeClaim" in volume and volume["persistentVolumeClaim"].get("claimName") not in claims:
            yield f"there is no claim {volume['persistentVolumeClaim']}"
    made = [document["spec"]["target"]["name"] for document in r.of("ExternalSecret")]
    if made and set(made) != SECRETS:
        yield f"external-secrets makes {made}"
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    services = {document["metadata"]["name"]: document["spec"] for document in r.of("Service")}
    for service in services.values():
        for port in service["ports"]:
            if port["targetPort"] not in ports:
                yield f"the Service's targetPort {port['targetPort']} is no port of the pod"
    named = {port["name"] for service in services.values() for port in service["ports"]}
    for monitor in r.of("ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if endpoint.get("port") not in named:
                yield f"the ServiceMonitor's port {endpoint.get('port')} is none of the Service"
    for ingress in r.of("Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            if backend["name"] not in services or backend["port"].get("name") not in named:
                yield f"the Ingress' backend {backend} is not there"
    for policy in r.of("NetworkPolicy"):
        for port in (port for rule in policy["spec"].get("ingress", []) for port in rule.get("ports", [])):
            if port["port"] not in ports:
                yield f"{name_of(policy)} lets in {port['port']}, which is no port of the pod"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if container.get(probe, {}).get("httpGet", {}).get("port") not in ports:
            yield f"{probe} asks no port of the pod"


def selects_its_pods(r):
    labels = r.pod_labels()
    selectors = [("Deployment", r.deployment().get("selector", {}).get("matchLabels"))]
    selectors += [(name_of(d), d["spec"].get("selector")) for d in r.of("Service")]
    selectors += [(name_of(d), d["spec"]["selector"].get("matchLabels")) for d in r.of("PodDisruptionBudget")]
    selectors += [(name_of(d), d["spec"]["podSelector"].get("matchLabels")) for d in r.of("NetworkPolicy")]
    spread = r.pod().get("topologySpreadConstraints", [])
    selectors += [(s["topologyKey"], s.get("labelSelector", {}).get("matchLabels")) for s in spread]
    for name, selector in selectors:
        if not selector or not selector.items() <= labels.items():
            yield f"{name} selects {selector}, the pods have {labels}"
    service_labels = r.one("Service").get("metadata", {}).get("labels", {})
    for monitor in r.of("ServiceMonitor"):
        if not monitor["spec"]["selector"]["matchLabels"].items() <= service_labels.items():
            yield "the ServiceMonitor does not select the Service"


def settings_are_settings(r):
    """Each is one of docs/settings.md, each path is mounted, and the address is the pod's port."""
    known = set(re.findall(r"(?m)^\| `([A-Z_]+)`", (ROOT / "docs/settings.md").read_text()))
    several = re.findall(r"(?m)^\| (`[A-Z_`, ]+) \|", (ROOT / "docs/settings.md").read_text())
    known |= {name for names in several for name in re.findall(r"[A-Z_]+", names)}
    settings, maps = r.settings(), {d["metadata"]["name"]: d.get("data", {}) for d in r.of("ConfigMap")}
    for name, value in settings.items():
        if name.removesuffix("_FILE") not in known and name not in known:
            yield f"{name} is no setting"
        if not value.startswith("/"):
            continue
        folder, _, file = value.rpartition("/")
        mount, volume = r.mounts().get(folder, (None, None))
        if volume is None:
            yield f"{name}: {folder} is not mounted"
        elif "configMap" in volume and file not in maps.get(volume["configMap"]["name"], {}):
            yield f"{name}: {file} is not in the ConfigMap"
        elif "secret" in volume and volume["secret"]["secretName"] == "se-responder" and file + "_FILE" != name:
            yield f"{name}: a key of the Secret is named as its setting, not {file}"
    ports = [port["containerPort"] for port in r.container().get("ports", [])]
    if settings.get("LISTEN_ADDR") not in [f"0.0.0.0:{port}" for port in ports]:
        yield f"LISTEN_ADDR={settings.get('LISTEN_ADDR')} is not where the pod is asked"


def secrets_can_be_read(r):
    """Root's files, read by another user: by the group."""
    if r.pod().get("securityContext", {}).get("fsGroup") != r.pod().get("securityContext", {}).get("runAsGroup"):
        yield "mounted files are not of the user's group"
    for volume in r.pod().get("volumes", []):
        if "secret" in volume and volume["secret"].get("defaultMode") != 0o440:
            yield f"{volume['name']}: mode {volume['secret'].get('defaultMode')}"


def stops_and_starts_in_time(r):
    container, settings = r.container(), r.settings()
    wait = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    needs = wait + _seconds(settings.get("SHUTDOWN_GRACE", "8s"))
    if r.pod().get("terminationGracePeriodSeconds", 30) < needs + 5:
        yield f"it is killed before the {needs:g} s that it needs to stop are over, and some more"
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        if container.get(probe, {}).get("httpGet", {}).get("path") != path:
            yield f"{probe} does not ask {path}"
    startup = container.get("startupProbe", {})
    longest = startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3)
    if not 300 <= longest < r.deployment().get("progressDeadlineSeconds", 600):
        yield f"a start may take {longest} s: a migration takes minutes, and then the rollout has failed"


def has_its_resources(r):
    resources = r.container().get("resources", {})
    for part in ("requests", "limits"):
        if set(resources.get(part, {})) != {"cpu", "memory"}:
            yield f"{part} for {sorted(resources.get(part, {}))}"


def fits_its_database(r):
    deployment, settings, pdb = r.deployment(), r.settings(), r.one("PodDisruptionBudget").get("spec", {})
    replicas, strategy = deployment.get("replicas"), deployment.get("strategy", {})
    claims = [v["persistentVolumeClaim"]["claimName"] for v in r.pod().get("volumes", []) if "persistentVolumeClaim" in v]
    if r.database == "sqlite":
        if replicas != 1 or strategy != {"type": "Recreate"}:
            yield f"{replicas} replicas, {strategy}: two at once would fight for the file"
        file = settings.get("DATABASE_URL", "").removeprefix("sqlite://")
        _, volume = r.mounts().get(file.rpartition("/")[0], (None, None))
        if not volume or volume.get("persistentVolumeClaim", {}).get("claimName") not in claims:
            yield f"the database {file} is on no claim"
        elif r.container().get("workingDir") != file.rpartition("/")[0]:
            yield "SQLite has nowhere to put what doesn't fit into memory"
        modes = [mode for claim in r.of("PersistentVolumeClaim") for mode in claim["spec"]["accessModes"]]
        if modes not in (["ReadWriteOnce"], ["ReadWriteOncePod"]):
            yield f"the claim's modes are {modes}"
        if pdb.get("maxUnavailable") != 1 or "minAvailable" in pdb:
            yield "its only pod could never leave a node"
        return
    rolling = strategy.get("rollingUpdate", {})
    if replicas != 3 or strategy.get("type") != "RollingUpdate" or rolling.get("maxUnavailable") != 0:
        yield f"{replicas} replicas, {strategy}"
    if not rolling.get("maxSurge"):
        yield "no replica may be more, and none less: an update never ends"
    if claims or r.of("PersistentVolumeClaim"):
        yield "a claim of one node for several replicas"
    if "DATABASE_URL" in settings or "DATABASE_URL_FILE" not in settings:
        yield "DATABASE_URL has a password: it is a file"
    if not 0 < pdb.get("minAvailable", 0) < (replicas or 0) or "maxUnavailable" in pdb:
        yield f"the PodDisruptionBudget is {pdb}"
    spread = {s["topologyKey"]: s for s in r.pod().get("topologySpreadConstraints", [])}
    if set(spread) != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
        yield f"spread over {sorted(spread)}"
    elif spread["kubernetes.io/hostname"].get("nodeTaintsPolicy") != "Honor":
        yield "a dead node would keep a pod from being placed"
    if not r.container().get("lifecycle", {}).get("preStop"):
        yield "it stops before anybody knows that it does"


def _ports(rule):
    return [
        f"{p['port']}{'-' + str(p['endPort']) if 'endPort' in p else ''}/{p.get('protocol', 'TCP')}"
        for p in rule.get("ports", [])
    ]


def lets_through_what_is_needed(r):
    """Exactly the traffic that is written above: an open rule, another port, or a missing one is wrong."""
    policies = {document["metadata"]["name"]: document["spec"] for document in r.of("NetworkPolicy")}
    if set(policies.get("se-responder", {}).get("policyTypes", [])) != {"Ingress", "Egress"}:
        yield "the pods' traffic is not closed"
    wanted = {"se-responder"} | ({"se-responder-postgres"} if r.database == "postgres" else set())
    wanted |= {"se-responder-ingress"} if r.of("Ingress") else set()
    if set(policies) != wanted:
        yield f"policies {sorted(policies)}, wanted {sorted(wanted)}"
    for name, spec in policies.items():
        incoming = [
            (
                peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name"),
                peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name"),
                _ports(rule),
            )
            for rule in spec.get("ingress", [])
            for peer in rule.get("from", [{}])
        ]
        if incoming != INGRESS.get(name):
            yield f"{name} lets in {incoming}"
        outgoing = [_ports(rule) for rule in spec.get("egress", [])]
        if outgoing != EGRESS.get(name):
            yield f"{name} lets out {outgoing}"
        for rule in spec.get("egress", []):
            names = "53/UDP" in _ports(rule)
            if names and any(int(peer["ipBlock"]["cidr"].rpartition("/")[2]) < 32 for peer in rule["to"] if "ipBlock" in peer):
                yield f"{name} asks more than DNS servers for names"
            blocks = [peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer]
            if not rule.get("to"):
                yield f"{name} lets out to everybody"
            for block in blocks:
                if block["cidr"] == "0.0.0.0/0" and "169.254.0.0/16" not in block.get("except", []):
                    yield f"{name} lets out to the cloud's credentials"


def opens_the_webhook_only(r):
    for ingress in r.of("Ingress"):
        spec = ingress["spec"]
        paths = [(path["path"], path["pathType"]) for rule in spec["rules"] for path in rule["http"]["paths"]]
        if paths != [(ROUTE, "Exact")] or "defaultBackend" in spec:
            yield f"{name_of(ingress)} opens {paths}"
        hosts = {rule.get("host") for rule in spec["rules"]}
        if None in hosts or hosts != {host for tls in spec.get("tls", []) for host in tls.get("hosts", [])}:
            yield f"{name_of(ingress)}: {hosts} without TLS"


ALL = [
    has_each_once,
    is_in_its_namespace,
    is_restricted,
    asks_nothing_of_its_own_cluster,
    holds_no_secret,
    has_a_version,
    refers_to_what_is_there,
    selects_its_pods,
    settings_are_settings,
    secrets_can_be_read,
    stops_and_starts_in_time,
    has_its_resources,
    fits_its_database,
    lets_through_what_is_needed,
    opens_the_webhook_only,
]
