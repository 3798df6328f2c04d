"""The OpenAPI description of jotd against what it does, by Schemathesis: python schemas.py PATH_TO_JOTD"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import requests

from checks import Report
from serving import PATIENCE, Server

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
# What may end the key or the token that the requests depend on, if one operation is linked to another.
FINAL = r"^POST /v1/(keys/\{[^/]*\}/(compromise|retire)|revocations)$"
# A name in a filter that is not there, and what Schemathesis says that it does not look at.
WARNINGS = ["unmatched_filter", "missing_deserializer", "unsupported_regex", "unresolvable_reference"]
# Nothing of an operation was looked at beyond its refusals.
REFUSALS = ["missing_auth", "rate_limited"]
# Longer than a run takes on a slow machine.
LIMIT = 120


def administrator(jotd):
    token = jotd.token("jotd:*")
    options = ["--header", f"Authorization: Bearer {token}"]
    header = {"Authorization": f"Bearer {token}"}
    return options, lambda: requests.get(f"{jotd.url}/v1/keys", headers=header, timeout=PATIENCE)


def client(jotd):
    added = jotd.add_client("client", "--audience", "https://orders.example", "--scope", "orders:read orders:write")
    options = ["--auth", f"{added['id']}:{added['secret']}"]
    form, identity = {"grant_type": "client_credentials"}, (added["id"], added["secret"])
    return options, lambda: requests.post(f"{jotd.url}/oauth2/token", form, auth=identity, timeout=PATIENCE)


def nobody(jotd):
    return [], lambda: requests.get(f"{jotd.url}/healthz", timeout=PATIENCE)


# Each with a server of its own: who asks, which is an option and a request that must succeed afterwards, and for what.
RUNS = {
    # The token endpoint knows clients alone.
    "administrator": (administrator, ["--exclude-name-regex", f"{FINAL}|^POST /oauth2/token$"]),
    "administrator, what is final": (administrator, ["--include-name-regex", FINAL]),
    "client": (client, ["--include-path-regex", "^/oauth2/"]),
    # Refusals need no random data.
    "nobody": (nobody, ["--phases", "examples,coverage"]),
}


def check_run(report, name, path, who, operations):
    # Refusing is what is looked at, so there may be any number of refusals.
    with tempfile.TemporaryDirectory() as folder, Server(path, folder, JOTD_MAX_AUTH_FAILURES="0") as jotd:
        (identity, ask), summary = who(jotd), jotd.folder / "summary.json"
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", CONFIGURATION, "--no-color",
            "run", f"{jotd.url}/openapi.json", "--url", jotd.url,
            "--report", "json", "--report-json-path", summary, *operations, *identity,
        ]
        # In the folder, so that whatever it leaves behind goes with it.
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "media_types", "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=LIMIT
        )
        if done.returncode != 0:
            print(f"Schemathesis, {name}:", *f"{done.stdout}{done.stderr}".splitlines(), sep="\n    ", flush=True)
        count(report, name, json.loads(summary.read_text()), WARNINGS + REFUSALS if identity else WARNINGS)
        # The run would say little if its requests had been refused from some time on.
        report.equal(f"{name}, who asked may still ask", 200, ask().status_code)


def count(report, name, summary, warnings):
    """An operation without failures is one that passed."""
    failures = [(operation, failure) for failure in summary["failures"] for operation in failure["operations"]]
    for operation, failure in failures:
        report.fail(f"{name}, {operation}", failure["title"])
    for error in summary["errors"]:
        report.fail(name, f"{error['count']} times {error['title']}")
    tested = summary["operations"]["tested"]
    report.passed += max(0, tested - len({operation for operation, _ in failures}))
    report.equal(f"{name}, operations tested", summary["operations"]["selected"], tested)
    report.equal(f"{name}, complete", True, summary["complete"])
    for warning in warnings:
        report.equal(f"{name}, {warning}", [], summary["warnings"][warning])


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python schemas.py PATH_TO_JOTD")
    report = Report()
    for name, (who, operations) in RUNS.items():
        report.run(name, check_run, str(Path(sys.argv[1]).resolve()), who, operations)
    report.end()


if __name__ == "__main__":
    main()
