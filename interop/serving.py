"""The binary under test: its command line, and a server of it on the loopback interface."""

import json
import os
import subprocess
import time
from pathlib import Path

# Longer than anything that is waited for on purpose.
PATIENCE = 60

# A rotation that takes seconds: what verifiers may cache, what clocks may differ, and how long tokens may last.
SETTINGS = {"JOTD_JWKS_MAX_AGE": "2s", "JOTD_CLOCK_LEEWAY": "3s", "JOTD_MAX_TOKEN_LIFETIME": "1h"}


class Jotd:
    """The binary under test, and the folder with the files that it reads."""

    def __init__(self, path, folder, environment=None):
        self.path, self.folder, self.environment = path, Path(folder), environment

    def run(self, *arguments, stdin=""):
        command = [self.path, *map(str, arguments)]
        return subprocess.run(
            command, input=stdin, env=self.environment, capture_output=True, encoding="utf-8", timeout=PATIENCE
        )

    def output(self, *arguments):
        done = self.run(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"exit code {done.returncode} of {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path


class Server(Jotd):
    """A server, and the command line on the same data, with nothing of the tester's environment."""

    def __init__(self, path, folder, **settings):
        home = {"HOME": str(folder), "JOTD_DATA_DIR": f"{folder}/data"}
        super().__init__(path, folder, home | SETTINGS | settings)
        self.process, self.address = None, "127.0.0.1:0"

    def __enter__(self):
        # A proxy of the tester's is for what is elsewhere.
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()

    @property
    def url(self):
        return f"http://{self.address}"

    def start(self):
        """On a free port the first time, and on the same one after that, because it is part of the issuer's name."""
        log = self.folder / "log"
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [self.path, "serve", "--listen", self.address], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            )

        def listening():
            if self.process.poll() is not None:
                raise RuntimeError(f"jotd serve ended with exit code {self.process.returncode}: {log.read_text()}")
            whole_lines = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
            return next((line for line in whole_lines if '"listening on' in line), None)

        self.address = json.loads(until("jotd serve listens", listening))["address"]

    def stop(self):
        """The exit code after SIGTERM."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def add_client(self, name, *options):
        return json.loads(self.output("clients", "add", name, *options))

    def token(self, scope):
        """An access token for jotd itself, made on the command line."""
        return self.output("token", "--scope", scope).strip()


def until(what, attempt):
    """Waits for the first result that counts as true."""
    deadline = time.monotonic() + PATIENCE
    while not (result := attempt()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {PATIENCE} s")
        time.sleep(0.1)
    return result
