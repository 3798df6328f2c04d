"""The README's access tokens, as one types them: python walkthrough.py PATH_TO_JOTD FOLDER_WITH_NODE_MODULES"""

import contextlib
import itertools
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from checks import Report
from serving import PATIENCE, Server, until

README = Path(__file__).parents[1] / "README.md"
PROGRAMS = ["bash", "curl", "jq", "node"]

# Seconds. For a kid that they do not know, PyJWT and jose fetch the keys again, but not within 30 s of the last time.
MAX_AGE, LEEWAY, LIFETIME = 33, 1, 3600
AUDIENCE, SCOPE = "https://api.example", "orders:read orders:write"
# What the two programs print for a token.
ACCEPTED = [re.compile(rf"{program} (?P<kid>[\w-]{{43}}) {SCOPE}") for program in ("python", "node")]


def blocks(start, end):
    """The fenced blocks of a part of the README that are not what something prints, with their languages."""
    part = README.read_text(encoding="utf-8").partition(f"\n{start}\n")[2].partition(f"\n{end}\n")[0]
    found = re.findall(r"^```(\w+)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if language != "text"]


class Shell:
    """One bash, which keeps its functions and variables, in a folder where the README's paths lead to the binary."""

    def __init__(self, jotd, modules):
        self.jotd, self.folder, self.count = jotd, jotd.folder, 0
        release = self.folder / "target/release"
        release.mkdir(parents=True)
        (release / "jotd").symlink_to(jotd.path)
        (self.folder / "node_modules").symlink_to(modules)

    def __enter__(self):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # Whatever the shell starts holds an end of this pipe, and stays in its group of processes.
        self.running, inherited = os.pipe()
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=self.folder, env=self.jotd.environment | {"PATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, encoding="utf-8",
            pass_fds=[inherited], start_new_session=True,
        )
        os.close(inherited)
        self.type("trap : TERM")
        return self

    def __exit__(self, *error):
        # The group keeps its id until the shell has been waited for.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.running)

    def type(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def local(self, text):
        return text.replace("127.0.0.1:8000", self.jotd.address).replace("sleep 10", "sleep 1")

    def run(self, text):
        """Where the block prints to, once it has ended; what it started in the background goes on printing there."""
        self.count += 1
        block = self.folder / f"block-{self.count}"
        paths = script, out, err, status = [block.with_suffix(suffix) for suffix in (".sh", ".out", ".err", ".status")]
        for path in paths:
            path.write_text(self.local(text) if path == script else "", encoding="utf-8")
        self.type(f"source {script} </dev/null >{out} 2>{err}; echo $? >{status}")

        def ended():
            if self.process.poll() is not None:
                raise RuntimeError(f"the shell ended with exit code {self.process.returncode}")
            return status.read_text().endswith("\n")

        until(f"the end of {text!r}", ended)
        return int(status.read_text()), out, err

    def printed(self, report, name, text):
        """What a block printed that went well."""
        status, out, err = self.run(text)
        report.equal(f"{name}, exit code and errors", (0, ""), (status, err.read_text()))
        return out.read_text()

    def interrupt(self):
        """Ends what is in the background, as `fg` and Ctrl-C do; a shell without a terminal has that ignore SIGINT."""
        os.killpg(self.process.pid, signal.SIGTERM)

    def end(self):
        """Whether all that was ever started here has ended, some time after the shell was told to."""
        self.process.stdin.close()
        readable, _, _ = select.select([self.running], [], [], PATIENCE)
        return bool(readable) and os.read(self.running, 1) == b""


def check_client(report, name, shell, block):
    report.equal(f"{name}, output", "", shell.printed(report, name, block))
    secret = shell.printed(report, f"{name}, secret", 'echo "$CLIENT_SECRET"').strip()
    report.equal(f"{name}, secret", True, secret not in ("", "null"))
    clients = [json.loads(line)["id"] for line in shell.jotd.output("clients", "list").splitlines()]
    report.equal(f"{name}, added", ["billing"], clients)


def check_inspection(report, name, shell, block):
    """The first token, whose kid is what the programs show at first."""
    header, claims = map(json.loads, shell.printed(report, name, block).splitlines())
    report.equal(f"{name}, header", {"typ": "at+jwt", "alg": "ES256", "kid": header["kid"]}, header)
    own = {member: claims[member] for member in ("exp", "iat", "jti")}
    whose = {"iss": shell.jotd.url, "sub": "billing", "client_id": "billing"}
    report.equal(f"{name}, claims", own | whose | {"aud": AUDIENCE, "scope": SCOPE}, claims)
    report.equal(f"{name}, lifetime", LIFETIME, claims["exp"] - claims["iat"])
    report.equal(f"{name}, jti", True, re.fullmatch("[0-9a-f]{32}", claims["jti"]) is not None)
    return header["kid"]


class Loop:
    """The two programs in the background: Python prints where the block does, and Node to its standard error."""

    def __init__(self, shell, block):
        self.status, *self.paths = shell.run(block)

    def lines(self):
        """Whole ones alone, of both programs."""
        return [path.read_text().rpartition("\n")[0].splitlines() for path in self.paths]

    def kids(self):
        """Of the tokens that each program accepted."""
        accepted = [map(form.fullmatch, lines) for form, lines in zip(ACCEPTED, self.lines())]
        return [[match["kid"] for match in matches if match] for matches in accepted]

    def errors(self):
        """All that is printed besides."""
        return [line for form, lines in zip(ACCEPTED, self.lines()) for line in lines if not form.fullmatch(line)]

    def wait(self, what, attempt):
        """There is nothing to wait for when a program has failed."""
        until(what, lambda: self.errors() or attempt(self.kids()))


def check_rotation(report, name, shell, loop, block, first):
    report.equal(f"{name}, exit code of the loop", 0, loop.status)
    loop.wait("both programs print", all)
    report.equal(f"{name}, errors at first", [], loop.errors())
    report.equal(f"{name}, first key", [{first}, {first}], [set(kids) for kids in loop.kids()])

    timetable = [json.loads(line) for line in shell.printed(report, name, block).splitlines()]
    begin, second = timetable[0]["at"], timetable[0]["key"]
    active = begin + MAX_AGE + LEEWAY
    steps = [
        (begin, "publish", second), (active, "activate", second),
        (active, "verify_only", first), (active + LIFETIME + LEEWAY, "retire", first),
    ]
    expected = [{"at": at, "step": step, "key": key, "algorithm": "ES256"} for at, step, key in steps]
    report.equal(f"{name}, timetable", expected, timetable)
    report.equal(f"{name}, another key", True, second != first)

    # More than one line, because what ends a program may come after its first.
    loop.wait("both programs meet the new key", lambda printed: all(kids.count(second) >= 3 for kids in printed))
    report.equal(f"{name}, errors", [], loop.errors())
    for program, kids in zip(("Python", "Node"), loop.kids()):
        report.equal(f"{name}, keys in {program}", [first, second], [kid for kid, _ in itertools.groupby(kids)])
        # One each second, or half of that where the machine is slow.
        report.equal(f"{name}, {program} goes on printing", True, len(kids) >= (MAX_AGE + LEEWAY) / 2)


def check_end(report, name, shell, loop):
    shell.interrupt()
    report.equal(f"{name}, output", "", shell.printed(report, name, "wait"))
    # Both were sent the same tokens, and may have been ended while they looked at the last one.
    python, node = loop.kids()
    report.equal(f"{name}, tokens that one program was silent about", True, abs(len(python) - len(node)) <= 1)


def check_revocation(report, name, shell, block):
    before, after = shell.printed(report, name, block).splitlines()
    before = json.loads(before)
    shown = {"active": True, "token_type": "Bearer", "iss": shell.jotd.url, "sub": "billing"}
    report.equal(f"{name}, before", shown, {member: before.get(member) for member in shown})
    report.equal(f"{name}, after", '{"active": false}', after)

    accepted = shell.printed(report, f"{name}, verify.py", 'echo "$ACCESS_TOKEN" | python3 verify.py')
    report.equal(f"{name}, verify.py", True, accepted.startswith("python "))

    report.equal(f"{name}, exit code of the server", 0, shell.jotd.stop())
    shell.jotd.start()
    report.equal(f"{name}, after a restart", '{"active": false}\n', shell.printed(report, name, "introspect"))


def check_administration(report, name, shell, block):
    (client,) = json.loads(shell.printed(report, name, block))["items"]
    expected = {"id": "billing", "name": "billing", "scopes": SCOPE.split(), "audiences": [AUDIENCE]}
    report.equal(f"{name}, clients", expected, {member: client.get(member) for member in expected})


def walk(report, shell, found, administration):
    add, inspect, python, js, loop, rotate, revoke = [text for _, text in found]
    (shell.folder / "verify.py").write_text(shell.local(python), encoding="utf-8")
    (shell.folder / "verify.mjs").write_text(shell.local(js), encoding="utf-8")
    report.run("client", check_client, shell, add)
    # Without a token there is nothing to go on with.
    first = check_inspection(report, "inspection", shell, inspect)
    loop = Loop(shell, loop)
    report.run("rotation", check_rotation, shell, loop, rotate, first)
    report.run("end of the loop", check_end, shell, loop)
    report.run("revocation", check_revocation, shell, revoke)
    report.run("administration", check_administration, shell, administration)
    report.equal("everything has ended", True, shell.end())


def run_all(report, name, path, modules):
    found, administration = blocks("## Access tokens", "### Endpoints"), blocks("## Administration", "## Operating it")
    languages = [language for language, _ in found]
    report.equal(f"{name}, blocks", ["sh", "sh", "python", "js", "sh", "sh", "sh"], languages)
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        print(f"left out: what the README has one type, because there is no {' and no '.join(missing)}")
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "JOTD_ISSUER": f"http://{address}", "JOTD_JWKS_MAX_AGE": f"{MAX_AGE}s",
        "JOTD_CLOCK_LEEWAY": f"{LEEWAY}s", "JOTD_MAX_TOKEN_LIFETIME": f"{LIFETIME}s",
    }
    with tempfile.TemporaryDirectory() as folder:
        server = Server(path, folder, **settings)
        server.address = address
        with server, Shell(server, modules) as shell:
            walk(report, shell, found, next(text for language, text in administration if language == "sh"))


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: python walkthrough.py PATH_TO_JOTD FOLDER_WITH_NODE_MODULES")
    path, modules = Path(sys.argv[1]).resolve(), Path(sys.argv[2], "node_modules").resolve()
    report = Report()
    report.run("README", run_all, path, modules)
    report.end()


if __name__ == "__main__":
    main()
