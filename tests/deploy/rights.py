"""What registry clusters grant, and what simulated ones were asked by the stories."""

import schemas

# Beside Roles: what they need to be used.
KINDS = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "Secret"}
EXEC = {("kube-system", "pods/exec", None, "get"), ("kube-system", "pods/exec", None, "create")}


def granted(documents):
    """(namespace, resource, name, verb) of every Role."""
    rights = set()
    for role in (document for document in documents if document["kind"] == "Role"):
        for rule in role["rules"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [None]):
                    rights |= {(role["metadata"]["namespace"], resource, name, verb) for verb in rule["verbs"]}
    return rights


def is_bound(documents):
    """Only these kinds, each Role bound to our account alone, a token of it, and nothing secret in what is rendered."""
    roles = [document for document in documents if document["kind"] == "Role"]
    bindings = [document for document in documents if document["kind"] == "RoleBinding"]
    for document in documents:
        metadata = document["metadata"]
        if document["kind"] not in KINDS:
            yield f"{schemas.name_of(document)} is of no kind that is needed"
        if document["kind"] in ("ServiceAccount", "Secret") and metadata.get("namespace") != "se-responder":
            yield f"{schemas.name_of(document)} is not in the namespace se-responder"
        if document["kind"] == "Secret":
            account = (metadata.get("annotations") or {}).get("kubernetes.io/service-account.name")
            kind = document.get("type")
            if account != "se-responder" or kind != "kubernetes.io/service-account-token" or document.get("data"):
                yield f"{schemas.name_of(document)}: type {kind}, of {account}"
    wanted = [{"kind": "ServiceAccount", "name": "se-responder", "namespace": "se-responder"}]
    for role in roles:
        namespace, name = role["metadata"]["namespace"], role["metadata"]["name"]
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        ours = [b for b in bindings if b["metadata"]["namespace"] == namespace and b["roleRef"] == reference]
        if len(ours) != 1 or ours[0]["subjects"] != wanted:
            yield f"the Role {name} in {namespace} is not bound to our account alone"
    if len(bindings) != len(roles):
        yield f"{len(bindings)} bindings of {len(roles)} Roles"


def asked(log):
    """The lines of RIGHTS_LOG: `<cluster> <namespace> <resource> <name or -> <verb>`, by kind of cluster."""
    registry, healthcheck = set(), set()
    for line in set(log.splitlines()):
        cluster, namespace, resource, name, verb = line.split(" ")
        rights = healthcheck if cluster == "registry-healthcheck" else registry
        rights.add((namespace, resource, None if name == "-" else name, verb))
    return registry, healthcheck


def differences(asked_for, grants, whose):
    """Both ways."""
    yield from (f"{whose} was asked, and does not grant: {right}" for right in sorted(asked_for - grants, key=str))
    yield from (f"{whose} grants, and was never asked: {right}" for right in sorted(grants - asked_for, key=str))
