"""Prints `ok` or `FAIL` for each thing that is checked: tests/image/run."""

import http.server
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import stages
from container import Container

LONGEST = 60
BINARY = "usr/local/bin/se-responder"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
SECRET = "0123456789abcdef0123456789abcdef"
failed = 0


def say(name, problems):
    global failed
    problems = [problem for problem in problems if problem]
    for problem in problems:
        print(f"     {problem}")
    failed += bool(problems)
    print(f"{'FAIL' if problems else 'ok  '} {name}", flush=True)


def content(files, binary):
    """Whatever is no part of: the binary, what it loads, certificates, a folder to write to."""
    loads = subprocess.run(["ldd", binary], capture_output=True, text=True).stdout
    wanted = {BINARY, BUNDLE} | {path.lstrip("/") for path in re.findall(r"/[^ ]+(?= \()", loads)}
    yield from (f"{path} has no business there" for path in sorted(set(files) - wanted))
    yield from (f"{path} is missing" for path in sorted(wanted - set(files)))


def modes(root):
    for path in [root, *root.rglob("*")]:
        known = path.lstat()
        inside = str(path.relative_to(root))
        if known.st_mode & (stat.S_ISUID | stat.S_ISGID):
            yield f"{inside} is set-uid or set-gid"
        if inside == "var/lib/se-responder":
            if (known.st_uid, known.st_gid, known.st_mode & 0o777) != (65532, 65532, 0o700):
                yield f"{inside}: {known.st_uid}:{known.st_gid}, mode {known.st_mode & 0o777:o}"
        elif known.st_uid != 0 or known.st_mode & 0o022 and not path.is_symlink():
            yield f"{inside}: of {known.st_uid}, mode {known.st_mode & 0o777:o}"


def configuration(config):
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    wanted = {
        "user": (config["User"], "65532:65532"),
        "entrypoint": (config["Entrypoint"], ["/" + BINARY]),
        "command": (config["Cmd"], ["serve"]),
        "health check": ((config.get("Healthcheck") or {}).get("Test"), ["CMD", "/" + BINARY, "healthcheck"]),
        "LISTEN_ADDR": ("LISTEN_ADDR=0.0.0.0:8080" in config["Env"], True),
        "label version": (labels.get("version"), stages.version()),
        "label revision": (labels.get("revision"), "0123abcd"),
        "label source": (labels.get("source"), "https://example.com/se-responder"),
        "label licenses": (labels.get("licenses"), "Apache-2.0"),
    }
    yield from (f"{name} is {found}, not {right}" for name, (found, right) in wanted.items() if found != right)
    yield from (f"no label {name}" for name in ("title", "description") if not labels.get(name))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def status(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def settings(port, **more):
    """Nobody is there at any of these addresses but at those that `more` gives."""
    nowhere = "http://127.0.0.1:9"
    return {
        "LISTEN_ADDR": f"127.0.0.1:{port}", "PAGERDUTY_API_URL": nowhere, "PAGERDUTY_API_TOKEN": SECRET,
        "PAGERDUTY_FROM": "a@example.com", "PAGERDUTY_WEBHOOK_SECRETS": SECRET,
        "JENKINS_JOB_URL": f"{nowhere}/job/x/", "JENKINS_USER": "a", "JENKINS_API_TOKEN": SECRET,
        "KUBECONFIG": "/nowhere", **more,
    }


def serves(container, work, name, **more):
    """It comes up, says that it is well, and stops in time."""
    port = free_port()
    environment = settings(port, **more)
    with open(work / f"{name}.log", "w+") as log:
        process = container.start(environment=environment, log=log)
        try:
            until = time.monotonic() + LONGEST
            while status(f"http://127.0.0.1:{port}/readyz") != 200:
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    return [f"it is not ready (exit {process.poll()}): {log.read()[-1500:]}"]
                time.sleep(0.05)
            problems = [] if status(f"http://127.0.0.1:{port}/healthz") == 200 else ["/healthz is not 200"]
            code, said = container.run("healthcheck", environment=environment)
            problems += [f"healthcheck ended with {code}: {said}"] if code != 0 else []
            process.terminate()
            try:
                code = process.wait(15)
                problems += [f"it ended with {code} at SIGTERM"] if code != 0 else []
            except subprocess.TimeoutExpired:
                problems.append("it did not end at SIGTERM")
            code, said = container.run("healthcheck", environment=environment)
            return problems + (["healthcheck is content with nobody"] if code != 1 else [])
        finally:
            process.kill()
            process.wait()


class Upstream:
    """A TLS server whose certificate is of a CA of ours; it remembers who came through."""

    def __init__(self, work):
        self.ca, self.came, key = work / "ca.pem", [], work / "key.pem"
        openssl = lambda *arguments: subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl(*new, "-x509", "-days", "2", "-subj", "/CN=ours", "-keyout", work / "ca.key", "-out", self.ca)
        openssl(*new, "-subj", "/CN=localhost", "-keyout", key, "-out", work / "request.pem")
        (work / "extensions").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", work / "request.pem", "-CA", self.ca, "-CAkey", work / "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", work / "extensions", "-out", work / "leaf.pem")
        upstream = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                upstream.came.append(self.path)
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """A client that does not trust us."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(work / "leaf.pem", key)
        self.server = Server(("127.0.0.1", 0), Answer)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        # By its name: /etc/hosts is read, or DNS.
        self.url = f"https://localhost:{self.server.server_address[1]}"


def trusts(root, config, work):
    """Whom it trusts are those of the bundle."""
    upstream = Upstream(work)
    for name, ours in (("with our CA in its bundle", True), ("without", False)):
        changed = work / f"root-{ours}"
        subprocess.run(["cp", "-a", root, changed], check=True)
        if ours:
            with open(changed / BUNDLE, "a") as bundle:
                bundle.write(upstream.ca.read_text())
        container = Container(changed, config, work / f"tls-{ours}")
        upstream.came.clear()
        _, said = container.run("doctor", environment=settings(free_port(), PAGERDUTY_API_URL=upstream.url))
        came = [f"PagerDuty saw {upstream.came}"] if bool(upstream.came) != ours else []
        reason = [] if ours or "certificate" in said else ["the certificate is not named as the reason"]
        say(f"TLS roots are those of {BUNDLE}: {name}", came + reason + ([said[:1500]] if came + reason else []))


def postgres(work):
    """A private server: its address, and how to end it. None where its programs are not here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        return None, lambda: None
    data, port = work / "postgres", free_port()
    data.mkdir()
    os.chown(data, 65534, 65534)
    work.chmod(0o711)
    as_nobody = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    subprocess.run([found[-1] / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync"],
                   check=True, capture_output=True, **as_nobody)
    server = subprocess.Popen([found[-1] / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", ""],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_nobody)
    asks = [found[-1] / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    until = time.monotonic() + LONGEST
    while subprocess.run(asks).returncode != 0 and server.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    return f"postgres://postgres@127.0.0.1:{port}/postgres", lambda: (server.terminate(), server.wait())


def main():
    work = Path(sys.argv[1])
    work.chmod(0o755)
    buildah = stages.Buildah(work)
    buildah = buildah if buildah.works() else None
    if len(sys.argv) > 2:
        image = work / "image"
        subprocess.run([stages.ROOT / "deploy/image-root", sys.argv[2], image], check=True)
    else:
        image = stages.compiled(work, stages.context(work, buildah))
        say("the stages that compile leave an image's root", [])
    root, config = stages.last(work, image, buildah)
    how = "buildah" if buildah else "hand"

    files = [str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()]
    size = sum((root / path).stat().st_size for path in files)
    summary = f"{len(files)} files, {size / 2**20:.1f} MiB"
    say(f"the image, by {how}, has what it needs and nothing else ({summary})", content(files, image / BINARY))
    if failed:
        return
    for change in (["bin/sh"], None):
        noticed = list(content(files + change if change else files[1:], image / BINARY))
        say(f"content: notices {'a shell' if change else 'a missing file'}", [] if noticed else ["it does not"])
    say("nothing in it can be written to but its own folder", modes(root))
    say("its configuration is what it is to be", configuration(config))
    noticed = list(configuration({**config, "User": "0", "Labels": {}, "Healthcheck": {"Test": ["NONE"]}}))
    say("configuration: notices root, no health check, no labels", [] if len(noticed) == 8 else noticed or ["it does not"])

    state = work / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 65532, 65532)
    read_only = Container(root, config, work / "read-only")
    code, said = read_only.run("--version")
    say("the binary runs in it", [] if code == 0 and stages.version() in said else [f"exit {code}: {said}"])
    with_state = Container(root, config, work / "with-state", {"/var/lib/se-responder": state})
    file = "sqlite:///var/lib/se-responder/se-responder.db"
    say("serve on SQLite: well, healthcheck says so, ends at SIGTERM", serves(with_state, work, "sqlite", DATABASE_URL=file))
    made = sorted(path.name for path in state.iterdir())
    say("… its database is on the volume", [] if "se-responder.db" in made else [f"there is {made}"])
    code, said = read_only.run("serve", environment=settings(free_port(), DATABASE_URL=file))
    refused = code == 1 and "ead-only" in said
    say("… without a volume it can't be made, for the root is read-only", [] if refused else [f"exit {code}: {said[-600:]}"])
    url, stop = postgres(work)
    if url is None:
        print("     LEFT OUT: PostgreSQL's programs are not here: serve on PostgreSQL was not tried")
    else:
        try:
            ends = serves(read_only, work, "postgres", DATABASE_URL=url)
            say("serve on PostgreSQL, with nothing to write to: well, healthcheck says so, ends at SIGTERM", ends)
        finally:
            stop()
    trusts(root, config, work)
    shutil.rmtree(work / "storage", ignore_errors=True)


main()
sys.exit(failed > 0)
