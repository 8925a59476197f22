"""Kubernetes' published schemas, strict: a field that they don't have is an error. Custom resources by schemas of our own:
the fields that we use, as their operators' API references have them."""

import functools
import re

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import yaml

# preStop.sleep is on by default since this one.
OLDEST = (1, 30)

# It reads them again for each object.
kubernetes_validate.utils.schema_contents = functools.lru_cache(None)(kubernetes_validate.utils.schema_contents)


def versions():
    known = {tuple(map(int, version.split(".")[:2])) for version in kubernetes_validate.utils.all_versions()}
    return [f"{major}.{minor}.0" for major, minor in sorted(known) if (major, minor) >= OLDEST]


def _object(required=(), **properties):
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(required),
    }


def _list(items):
    return {"type": "array", "items": items, "minItems": 1}


_text = {"type": "string", "minLength": 1}
_words = {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}
_duration = {"type": "string", "pattern": "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", "minLength": 2}
_metadata = _object(("name", "namespace"), name=_text, namespace=_text, labels=_words)


def _custom(spec):
    return _object(("apiVersion", "kind", "metadata", "spec"), apiVersion=_text, kind=_text, metadata=_metadata, spec=spec)


CUSTOM = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _custom(
        _object(
            ("selector", "endpoints"),
            selector=_object(("matchLabels",), matchLabels=_words),
            endpoints=_list(
                _object(
                    ("port",),
                    port=_text,
                    path={"type": "string", "pattern": "^/"},
                    interval=_duration,
                    scrapeTimeout=_duration,
                    scheme={"enum": ["http", "https", "HTTP", "HTTPS"]},
                )
            ),
        )
    ),
    ("external-secrets.io/v1", "ExternalSecret"): _custom(
        _object(
            ("secretStoreRef", "target", "dataFrom"),
            refreshInterval=_duration,
            secretStoreRef=_object(("kind", "name"), kind={"enum": ["SecretStore", "ClusterSecretStore"]}, name=_text),
            target=_object(
                ("name",), name=_text, creationPolicy={"enum": ["Owner", "Orphan", "Merge", "None"]}
            ),
            dataFrom=_list(_object(("extract",), extract=_object(("key",), key=_text, version=_text, property=_text))),
        )
    ),
}


class _Loader(yaml.SafeLoader):
    """Of two values under one key YAML's readers take either: an error."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def documents(text):
    """All objects of a file."""
    return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]


def name_of(document):
    metadata = document.get("metadata") or {}
    space = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{document.get('kind')} {space}{metadata.get('name')}"


def problems(document, namespaced=True):
    """What schemas have against an object. A source file's object may get its namespace from its kustomization only."""
    kind = (document.get("apiVersion"), document.get("kind"))
    if kind in CUSTOM:
        if not namespaced:
            document = {**document, "metadata": {"namespace": "given-later", **document["metadata"]}}
        errors = jsonschema.Draft202012Validator(CUSTOM[kind]).iter_errors(document)
        return [f"{name_of(document)}: {'.'.join(map(str, e.path))}: {e.message}" for e in errors]
    found = []
    for version in versions():
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(map(str, error.path))
            found.append(f"{name_of(document)}: {where}: {error.message[:300]} (Kubernetes {version})")
        except kubernetes_validate.SchemaNotFoundError:
            found.append(f"{name_of(document)}: Kubernetes {version} has no {kind[0]} {kind[1]}")
    found += [f"{name_of(document)}: {where}: {text!r} is no quantity" for where, text in _quantities(document)
              if not re.fullmatch(r"[0-9]+(\.[0-9]+)?(m|[kMGTPE]|[KMGTPE]i)?", str(text))]
    return found[:3]


def _quantities(node, where=""):
    """Schemas take any text for one."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("requests", "limits") and isinstance(value, dict):
                yield from ((f"{where}{key}.{name}", text) for name, text in value.items())
            else:
                yield from _quantities(value, f"{where}{key}.")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _quantities(value, f"{where}{index}.")
