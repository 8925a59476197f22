"""Faults, each planted in a rendering that is good: a rule that notices none is no rule."""

import copy


def _find(documents, kind, name=None):
    return next(d for d in documents if d["kind"] == kind and name in (None, d["metadata"]["name"]))


def _pod(documents):
    return _find(documents, "Deployment")["spec"]["template"]["spec"]


def _container(documents):
    return _pod(documents)["containers"][0]


def _settings(documents):
    return next(d for d in documents if d["metadata"]["name"].startswith("se-responder-settings"))["data"]


def _drop(documents, kind):
    documents[:] = [document for document in documents if document["kind"] != kind]


def _egress(documents, rule):
    return _find(documents, "NetworkPolicy", "se-responder")["spec"]["egress"][rule]


def _rolling(documents):
    return _find(documents, "Deployment")["spec"]["strategy"]["rollingUpdate"]


def _volume(documents, name):
    return next(volume for volume in _pod(documents)["volumes"] if volume["name"] == name)


# Of schemas.
SHAPES = {
    "a field that is none": lambda d: _container(d).update(readOnlyRootFilesystem=True),
    "a field of another type": lambda d: _find(d, "Deployment")["spec"].update(replicas="three"),
    "a required field that is missing": lambda d: _find(d, "Deployment")["spec"].pop("selector"),
    "a word that is none": lambda d: _pod(d).update(restartPolicy=7),
    "a quantity that is none": lambda d: _container(d)["resources"]["limits"].update(memory="256MiB"),
    "an API version that is gone": lambda d: _find(d, "PodDisruptionBudget").update(apiVersion="policy/v1beta1"),
    "a ServiceMonitor's field that is none": lambda d: _find(d, "ServiceMonitor")["spec"]["endpoints"][0].update(targetport=1),
    "an ExternalSecret without its store": lambda d: _find(d, "ExternalSecret")["spec"].pop("secretStoreRef"),
}

# Of rules: by the rule that is to notice. All of them stand in a rendering with every component; "sqlite" in the other one.
RULES = {
    "has_each_once": {
        "no Service": lambda d: _drop(d, "Service"),
        "an object twice": lambda d: d.append(copy.deepcopy(_find(d, "NetworkPolicy"))),
    },
    "is_in_its_namespace": {
        "another namespace": lambda d: _find(d, "Service")["metadata"].update(namespace="default"),
    },
    "is_restricted": {
        "a privileged container": lambda d: _container(d)["securityContext"].update(privileged=True),
        "root": lambda d: _pod(d)["securityContext"].update(runAsUser=0),
        "runAsNonRoot false": lambda d: _container(d)["securityContext"].update(runAsNonRoot=False),
        "a root that can be written to": lambda d: _container(d)["securityContext"].pop("readOnlyRootFilesystem"),
        "capabilities": lambda d: _container(d)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "more privileges later": lambda d: _container(d)["securityContext"].pop("allowPrivilegeEscalation"),
        "no seccomp profile": lambda d: _pod(d)["securityContext"].pop("seccompProfile"),
        "the host's network": lambda d: _pod(d).update(hostNetwork=True),
        "a folder of the host": lambda d: _pod(d)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
        "a second container that is not": lambda d: _pod(d)["containers"].append({"name": "x", "image": "x:1"}),
        "a namespace that lets all in": lambda d: _find(d, "Namespace")["metadata"].pop("labels"),
    },
    "asks_nothing_of_its_own_cluster": {
        "a token in the pod": lambda d: _pod(d).pop("automountServiceAccountToken"),
        "another account": lambda d: _pod(d).update(serviceAccountName="default"),
        "a right": lambda d: d.append({"kind": "Role", "metadata": {"name": "x"}}),
    },
    "holds_no_secret": {
        "a Secret": lambda d: d.append({"kind": "Secret", "metadata": {"name": "se-responder"}}),
        "a token in a ConfigMap": lambda d: _settings(d).update(JENKINS_API_TOKEN="11deadbeef"),
        "a password in an address": lambda d: _settings(d).update(DATABASE_URL="postgres://a:b@c/d"),
    },
    "has_a_version": {
        "latest": lambda d: _container(d).update(image="registry.example.com/se-responder:latest"),
        "another version": lambda d: _container(d).update(image="se-responder:0.0.9"),
    },
    "refers_to_what_is_there": {
        "a ConfigMap without its hash": lambda d: _container(d)["envFrom"][0]["configMapRef"].update(name="se-responder-settings"),
        "a Secret of another name": lambda d: _volume(d, "secrets")["secret"].update(secretName="secrets"),
        "a volume that is not there": lambda d: _pod(d)["volumes"].pop(),
        "a volume that nobody mounts": lambda d: _container(d)["volumeMounts"].pop(),
        "a port of another name": lambda d: _container(d)["ports"][0].update(name="web"),
        "a probe of another port": lambda d: _container(d)["readinessProbe"]["httpGet"].update(port=8081),
        "a backend of another name": lambda d: _find(d, "Service")["metadata"].update(name="responder"),
        "a monitor of another port": lambda d: _find(d, "ServiceMonitor")["spec"]["endpoints"][0].update(port="metrics"),
        "external-secrets for one of two": lambda d: _find(d, "ExternalSecret")["spec"]["target"].update(name="other"),
    },
    "selects_its_pods": {
        "a Service of other pods": lambda d: _find(d, "Service")["spec"]["selector"].update({"app.kubernetes.io/name": "x"}),
        "a Service of all pods": lambda d: _find(d, "Service")["spec"].update(selector={}),
        "a policy for all pods": lambda d: _find(d, "NetworkPolicy")["spec"].update(podSelector={"matchLabels": {}}),
        "a budget of other pods": lambda d: _find(d, "PodDisruptionBudget")["spec"]["selector"].update(matchLabels={"a": "b"}),
        "a spread of other pods": lambda d: _pod(d)["topologySpreadConstraints"][0]["labelSelector"].update(matchLabels={"a": "b"}),
        "a monitor of other Services": lambda d: _find(d, "ServiceMonitor")["spec"]["selector"].update(matchLabels={"a": "b"}),
    },
    "settings_are_settings": {
        "a slip": lambda d: _settings(d).update(PAGERDUTTY_FROM="a@example.com"),
        "a path that is not mounted": lambda d: _settings(d).update(REGIONS_FILE="/etc/regions/regions.toml"),
        "a file that is not there": lambda d: _settings(d).update(REGIONS_FILE="/etc/se-responder/regions/region.toml"),
        "a key of another name": lambda d: _settings(d).update(JENKINS_API_TOKEN_FILE="/etc/se-responder/secrets/jenkins"),
        "loopback": lambda d: _settings(d).update(LISTEN_ADDR="127.0.0.1:8080"),
        "another port": lambda d: _settings(d).update(LISTEN_ADDR="0.0.0.0:9090"),
    },
    "secrets_can_be_read": {
        "another group": lambda d: _pod(d)["securityContext"].pop("fsGroup"),
        "for the owner alone": lambda d: _volume(d, "secrets")["secret"].update(defaultMode=0o400),
        "for everybody": lambda d: _volume(d, "clusters")["secret"].update(defaultMode=0o444),
    },
    "stops_and_starts_in_time": {
        "killed too soon": lambda d: _pod(d).update(terminationGracePeriodSeconds=10),
        "a longer grace": lambda d: _settings(d).update(SHUTDOWN_GRACE="1m"),
        "restarted without a database": lambda d: _container(d)["livenessProbe"]["httpGet"].update(path="/readyz"),
        "no time to migrate": lambda d: _container(d)["startupProbe"].update(failureThreshold=30),
        "a rollout that fails before": lambda d: _find(d, "Deployment")["spec"].pop("progressDeadlineSeconds"),
    },
    "has_its_resources": {
        "no limit": lambda d: _container(d)["resources"].pop("limits"),
        "no request for memory": lambda d: _container(d)["resources"]["requests"].pop("memory"),
    },
    "fits_its_database": {
        "two replicas": lambda d: _find(d, "Deployment")["spec"].update(replicas=2),
        "one less while updating": lambda d: _rolling(d).update(maxUnavailable=1),
        "an update that never ends": lambda d: _rolling(d).update(maxSurge=0),
        "a budget that holds every node": lambda d: _find(d, "PodDisruptionBudget")["spec"].update(minAvailable=3),
        "no spread": lambda d: _pod(d).pop("topologySpreadConstraints"),
        "dead nodes that count": lambda d: _pod(d)["topologySpreadConstraints"][0].pop("nodeTaintsPolicy"),
        "the database's password as a setting": lambda d: _settings(d).update(DATABASE_URL="postgres://a@b/c"),
        "stops unannounced": lambda d: _container(d).pop("lifecycle"),
    },
    "fits_its_database, sqlite": {
        "two replicas on a file": lambda d: _find(d, "Deployment")["spec"].update(replicas=2),
        "two at once while updating": lambda d: _find(d, "Deployment")["spec"].update(strategy={"type": "RollingUpdate"}),
        "a database on no volume": lambda d: _settings(d).update(DATABASE_URL="sqlite:///tmp/se-responder.db"),
        "a volume that several share": lambda d: _find(d, "PersistentVolumeClaim")["spec"].update(accessModes=["ReadWriteMany"]),
        "a pod that holds its node": lambda d: _find(d, "PodDisruptionBudget")["spec"].update(maxUnavailable=0),
        "nowhere to write": lambda d: _container(d).pop("workingDir"),
    },
    "lets_through_what_is_needed": {
        "open to all": lambda d: _find(d, "NetworkPolicy", "se-responder")["spec"]["ingress"].append({}),
        "another port out": lambda d: _egress(d, 1)["ports"].append({"port": 22}),
        "all ports out": lambda d: _egress(d, 1).pop("ports"),
        "names from anywhere": lambda d: _egress(d, 0)["to"].append({"ipBlock": {"cidr": "10.0.0.0/8"}}),
        "no names": lambda d: _find(d, "NetworkPolicy", "se-responder")["spec"]["egress"].pop(0),
        "the cloud's credentials": lambda d: _egress(d, 1)["to"][0]["ipBlock"].pop("except"),
        "egress not closed": lambda d: _find(d, "NetworkPolicy", "se-responder")["spec"].update(policyTypes=["Ingress"]),
        "no way to the database": lambda d: d.remove(_find(d, "NetworkPolicy", "se-responder-postgres")),
        "no way in for PagerDuty": lambda d: d.remove(_find(d, "NetworkPolicy", "se-responder-ingress")),
    },
    "opens_the_webhook_only": {
        "everything public": lambda d: _path(d).update(path="/", pathType="Prefix"),
        "what begins like it too": lambda d: _path(d).update(pathType="Prefix"),
        "a default for other hosts": lambda d: _find(d, "Ingress")["spec"].update(defaultBackend={}),
        "no TLS": lambda d: _find(d, "Ingress")["spec"].pop("tls"),
        "a host without a certificate": lambda d: _find(d, "Ingress")["spec"]["rules"][0].update(host="other.example.com"),
    },
}

# Of what registry clusters grant.
RIGHTS = {
    "a missing verb": lambda d: _find(d, "Role")["rules"][0].update(verbs=[]),
    "one verb too many": lambda d: _find(d, "Role")["rules"][1]["verbs"].append("delete"),
    "any config map": lambda d: _find(d, "Role")["rules"][0].pop("resourceNames"),
}
BINDINGS = {
    "a right everywhere": lambda d: d.append({"kind": "ClusterRole", "metadata": {"name": "x"}}),
    "another account": lambda d: _find(d, "RoleBinding")["subjects"][0].update(name="default"),
    "a second one": lambda d: _find(d, "RoleBinding")["subjects"].append({"kind": "Group", "name": "system:authenticated"}),
    "a Role that nobody has": lambda d: d.remove(_find(d, "RoleBinding")),
    "a token of another account": lambda d: _find(d, "Secret")["metadata"].pop("annotations"),
    "a token in the file": lambda d: _find(d, "Secret").update(data={"token": "eA=="}),
}


def _path(documents):
    return _find(documents, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]


def planted(documents, fault):
    """A copy with a fault."""
    changed = copy.deepcopy(documents)
    fault(changed)
    return changed
