"""deploy/Containerfile's stages, by hand where their base can't be had, by buildah where it is `scratch`."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy/Containerfile"


def instructions():
    """Each stage's, by its name; the last is "": (word, rest)."""
    text = re.sub(r"(?m)^\s*#.*\n", "", FILE.read_text())
    stages, name = {}, None
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            name = rest.partition(" AS ")[2].strip()
            stages[name] = [("FROM", rest)]
        elif word and name is not None:
            stages[name].append((word, rest.strip()))
    return stages


class Buildah:
    """Debian's, in a place of its own, without an engine."""

    def __init__(self, work):
        self.base = ["buildah", "--root", work / "storage", "--runroot", work / "run", "--storage-driver", "vfs"]
        self.environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, *arguments):
        done = subprocess.run([*self.base, *arguments], capture_output=True, text=True, env=self.environment, cwd=ROOT)
        if done.returncode != 0:
            raise RuntimeError(f"buildah {arguments[0]}: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()

    def works(self):
        try:
            self("from", "scratch")
            return True
        except (OSError, RuntimeError) as error:
            print(f"     by hand: {error}")
            return False

    def unpacked(self, image, folder):
        subprocess.run(["cp", "-a", self("mount", self("from", "--pull-never", image)), folder], check=True)


def context(work, buildah):
    """What .dockerignore lets into a build."""
    folder = work / "context"
    if buildah:
        (work / "Containerfile").write_text("FROM scratch\nCOPY . /\n")
        buildah("bud", "--format", "docker", "-f", work / "Containerfile", "-t", "context", ".")
        buildah.unpacked("context", folder)
        return folder
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, to = ROOT / line[1:], folder / line[1:]
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, to) if source.is_dir() else shutil.copy2(source, to)
    return folder


def compiled(work, given):
    """The stages `skeleton` and `build`, with this machine's compiler and target folder: leaves what the last stage copies."""
    image = work / "image"
    for stage in ("skeleton", "build"):
        source = work / "src"
        for word, rest in instructions()[stage]:
            if word == "COPY" and rest == ". .":
                shutil.copytree(given, source, dirs_exist_ok=True)
            elif word == "COPY" and rest != "--from=skeleton /src .":
                raise RuntimeError(f"what is this: COPY {rest}")
            elif word == "RUN":
                # Where this machine has what an image has at its root.
                command = re.sub(r"(?<=\s)/image(?=\s|$)", str(image), rest)
                command = re.sub(r"(?<=\s)target(?=/)", os.environ["CARGO_TARGET_DIR"], command)
                print(f"     {stage}: {command[:100]}", flush=True)
                subprocess.run(["sh", "-ec", command], cwd=source, check=True)
        if stage == "skeleton":
            left = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
            ours = {path for path in left if not re.fullmatch(r".*Cargo\.(toml|lock)|(.*/)?(src|benches)/[a-z_]+\.rs", path)}
            if ours or sum((source / path).stat().st_size for path in left if path.endswith(".rs")) > 100:
                raise RuntimeError(f"the dependencies' layer is built again whenever these change: {ours}")
    return image


def last(work, image, buildah):
    """The last stage: its root, and its configuration."""
    if buildah:
        buildah("bud", "--format", "docker", "--build-context", f"build={image.parent}", "--build-arg", "REVISION=0123abcd",
                "--build-arg", "SOURCE=https://example.com/se-responder",
                "-f", FILE, "-t", "se-responder", ".")
        buildah.unpacked("se-responder", work / "root")
        return work / "root", json.loads(buildah("inspect", "--type", "image", "se-responder"))["Docker"]["config"]
    subprocess.run(["cp", "-a", image, work / "root"], check=True)
    said = {}
    for word, rest in instructions()[""]:
        said.setdefault(word, []).append(rest)
    pairs = {word: re.findall(r'([A-Za-z_.]+)="?([^"\s]*[^"]*?)"?(?=\s+[A-Za-z_.]+=|$)', " ".join(said.get(word, [])))
             for word in ("ENV", "LABEL")}
    return work / "root", {
        "User": said["USER"][0], "WorkingDir": said["WORKDIR"][0],
        "Entrypoint": json.loads(said["ENTRYPOINT"][0]), "Cmd": json.loads(said["CMD"][0]),
        "Env": [f"{name}={value}" for name, value in pairs["ENV"]],
        "Labels": {name: given(value) for name, value in pairs["LABEL"]},
        "Healthcheck": {"Test": ["CMD", *json.loads(said["HEALTHCHECK"][0].partition("CMD ")[2])]},
    }


def given(label):
    for argument, value in (("VERSION", version()), ("REVISION", "0123abcd"), ("SOURCE", "https://example.com/se-responder")):
        label = label.replace(f"${{{argument}}}", value)
    return label


def version():
    return re.search(r'(?m)^version = "(.+)"$', (ROOT / "Cargo.toml").read_text()).group(1)
