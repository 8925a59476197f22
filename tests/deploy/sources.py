"""The files themselves, without rendering: each is one that schemas accept, and is named by a kustomization."""

import schemas

# Not objects of a cluster.
KUSTOMIZE = ("Kustomization", "Component")
# Applied as it is: it belongs to another cluster, and has no other file beside it.
ALONE = {"healthcheck-cluster/rbac.yaml"}


def kustomizations(root):
    """The kustomization of each folder."""
    found = {}
    for path in sorted(root.rglob("kustomization.yaml")):
        (document,) = schemas.documents(path.read_text())
        found[path.parent] = document
    return found


def _named(folder, document):
    """What a kustomization names: (path, whether as a whole object)."""
    for entry in document.get("resources", []) + document.get("components", []):
        yield folder / entry, True
    for patch in document.get("patches", []):
        if "path" in patch:
            yield folder / patch["path"], False
    for generator in document.get("configMapGenerator", []):
        for entry in generator.get("envs", []) + generator.get("files", []):
            yield folder / entry.partition("=")[2] if "=" in entry else folder / entry, False


def references(root):
    """Everything that is named is there, and every file is named."""
    found, named = [], set()
    for folder, document in kustomizations(root).items():
        if document.get("kind") not in KUSTOMIZE:
            found.append(f"{folder.relative_to(root)}: kind {document.get('kind')!r}")
        for path, _ in _named(folder, document):
            named.add(path.resolve())
            there = (path / "kustomization.yaml").is_file() if path.is_dir() else path.is_file()
            if not there:
                found.append(f"{folder.relative_to(root)}/kustomization.yaml names {path}, which is not there")
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and path.name != "kustomization.yaml" and name not in ALONE and path.resolve() not in named:
            found.append(f"{name} is in no kustomization")
    return found


def objects(root):
    """Each object of each file that is a resource, against schemas."""
    found, seen = [], 0
    files = {root / name for name in ALONE}
    for folder, document in kustomizations(root).items():
        files |= {path.resolve() for path, whole in _named(folder, document) if whole and path.is_file()}
    for path in sorted(files):
        for document in schemas.documents(path.read_text()):
            seen += 1
            found += [f"{path.name}: {problem}" for problem in schemas.problems(document, namespaced=False)]
    if seen < 15:
        found.append(f"objects are not found: {seen}")
    return found
