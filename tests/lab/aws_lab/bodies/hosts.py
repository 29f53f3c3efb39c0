"""Hosts: each with a file system (a copy-on-write view of this machine's), processes, a name, users and an sshd of its own."""

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .run import run

INIT = Path(__file__).with_name("host.sh")


class Hosts:
    def __init__(self, lab, networks):
        self.networks = networks
        self.folder = Path(os.environ.get("TMPDIR", "/tmp")) / lab
        self.console = self.folder / "console"
        self.running = {}
        self.mounted = False

    def make_folder(self):
        self.folder.mkdir()
        # An overlay cannot lie on an overlay; such a machine keeps what hosts write in memory.
        if run("stat", "--file-system", "--format=%T", str(self.folder)).strip() in (
            "overlayfs",
            "UNKNOWN (0x794c7630)",
        ):
            run("mount", "-t", "tmpfs", "-o", "mode=755", "cloudtik-lab", str(self.folder))
            self.mounted = True
        self.console.mkdir()

    def start(self, name, subnet, cidr, address, key):
        """Returns as soon as the host's processes start; files of a host that was stopped are still there."""
        folder = self.folder / name
        if not folder.exists():
            for part in ("upper", "work", "root"):
                (folder / part).mkdir(parents=True)
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{name}", "-f", str(folder / "hostkey"))
            (folder / "authorized_keys").write_text(key.strip() + "\n")
        namespace = self.networks.plug(name, subnet, cidr, address)
        host_name = "ip-" + address.replace(".", "-")
        log = open(folder / "log", "ab")
        words = [
            "ip",
            "netns",
            "exec",
            namespace,
            "unshare",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child",
        ]
        self.running[name] = subprocess.Popen(
            [*words, "bash", str(INIT), host_name, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.print_keys(name, (folder / "hostkey.pub").read_text())

    def print_keys(self, name, keys):
        """What cloud-init writes to the console when it has made the host's keys."""
        text = f"-----BEGIN SSH HOST KEY KEYS-----\n{keys}-----END SSH HOST KEY KEYS-----\n"
        beside = self.console / f".{name}"
        beside.write_text(f"[    5.1] cloud-init: Generating public/private ed25519 key pair.\n{text}ci-info: done\n")
        beside.rename(self.console / name)

    def stop(self, name):
        process = self.running.pop(name)
        # The first process of a host takes all others with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.networks.unplug(name)

    def forget(self, name):
        (self.console / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def remove(self):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.stop, list(self.running)))
        if self.mounted:
            run("umount", "--lazy", str(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)
