"""A container of the image, without an engine: chrooted, as its user, with a read-only root and nothing else to write to."""

import ctypes
import os
import subprocess
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


class Container:
    """`volumes`: folders of this machine by where they are in it. Mounts end with this process' namespace."""

    def __init__(self, root, config, place, volumes=None, writable=False):
        self.config, self.place = config, place
        place.mkdir()
        mount("--bind", root, place)
        # What a runtime adds. It makes what it mounts on.
        for name in ("proc", "dev"):
            (place / name).mkdir(exist_ok=True)
        for name in ("hosts", "resolv.conf"):
            (place / "etc" / name).touch()
        for inside in (volumes or {}):
            (place / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
        if not writable:
            mount("-o", "remount,bind,ro", place)
        mount("-t", "proc", "proc", place / "proc")
        mount("--rbind", "/dev", place / "dev")
        for name in ("hosts", "resolv.conf"):
            mount("--bind", Path("/etc") / name, place / "etc" / name)
        for inside, outside in (volumes or {}).items():
            mount("--bind", outside, place / inside.lstrip("/"))

    def start(self, *arguments, environment=None, log=None):
        """A process of it, by default the image's own command."""
        user, group = map(int, self.config["User"].split(":"))

        def enter():
            os.chroot(self.place)
            os.chdir(self.config["WorkingDir"])
            os.setgroups([group])
            os.setgid(group)
            os.setuid(user)
            ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

        own = dict(entry.split("=", 1) for entry in self.config["Env"])
        command = [*self.config["Entrypoint"], *(arguments or self.config["Cmd"])]
        out = {"stdout": log, "stderr": subprocess.STDOUT} if log else {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env={**own, **(environment or {})}, preexec_fn=enter, stdin=subprocess.DEVNULL, **out)

    def run(self, *arguments, environment=None):
        process = self.start(*arguments, environment=environment)
        said, errors = process.communicate(timeout=120)
        return process.returncode, said + errors
