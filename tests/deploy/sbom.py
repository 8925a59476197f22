"""Holds a bill of materials against CycloneDX's published schema, and against what is not deployed."""

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

# Of tests, of `demo`, and what deny.toml bans.
NOT_DEPLOYED = {"simulators", "insta", "proptest", "tempfile", "rcgen", "sqlx-mysql", "sqlx-macros", "openssl-sys"}

text = Path(sys.argv[1]).read_text()
wrong = []
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
if error is not None:
    wrong.append(f"not CycloneDX 1.5: {error}")
bom = json.loads(text)
names = {component["name"] for component in bom.get("components", [])}
wrong += [f"{name} is not deployed" for name in sorted(names & NOT_DEPLOYED)]
wrong += [f"{name} is missing" for name in ("runbook", "tokio", "sqlx-sqlite", "sqlx-postgres", "rustls") if name not in names]
wrong += [f"{one['name']} has no licence" for one in bom.get("components", []) if not one.get("licenses")]
refs = {one["bom-ref"] for one in bom.get("components", [])} | {bom["metadata"]["component"]["bom-ref"]}
wrong += [f"{ref} is depended on and not listed" for one in bom["dependencies"] for ref in one.get("dependsOn", []) if ref not in refs]
if "path+file:///" in text.replace("path+file:///se-responder", ""):
    wrong.append("a path of this machine is in it")
for line in wrong:
    print(f"  {line}")
print("FAIL bill of materials" if wrong else f"ok   {len(bom['components'])} components, valid CycloneDX 1.5")
sys.exit(bool(wrong))
