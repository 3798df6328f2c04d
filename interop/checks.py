"""What the checks in this folder share: how they are counted, and tokens with something changed."""

import json
import sys

from libraries import decode, encode


class Report:
    """Counts checks, and prints those that failed."""

    def __init__(self):
        self.passed = self.failed = 0

    def equal(self, name, expected, found):
        if expected == found:
            self.passed += 1
        else:
            expected, found = differing(expected, found), differing(found, expected)
            self.fail(name, f"expected {shown(expected)}, found {shown(found)}")

    def raises(self, name, error, action, *arguments):
        """Only the error that is meant counts: anything else may hide that the signature was never looked at."""
        try:
            found = action(*arguments)
        except error:
            self.passed += 1
        except Exception as other:
            self.fail(name, f"expected {error.__name__}, found {shown(other)}")
        else:
            self.fail(name, f"expected {error.__name__}, found {shown(found)}")

    def run(self, name, checks, *arguments):
        """Checks that cannot even go on are one failure, and do not keep others from running."""
        try:
            checks(self, name, *arguments)
        except Exception as error:
            self.fail(name, f"stopped by {shown(error)}")

    def fail(self, name, what):
        self.failed += 1
        print(f"FAILED {name}: {what}", flush=True)

    def end(self):
        """Gives the totals, and ends the program."""
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(self.failed > 0 or self.passed == 0)


def differing(value, other):
    """Of two objects the members that differ, because keys are long."""
    if not (isinstance(value, dict) and isinstance(other, dict)):
        return value
    return {name: member for name, member in value.items() if name not in other or member != other[name]}


def shown(value):
    """One line of bounded length."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"


def changed_signature(token):
    """One character in the middle of the signature, because the last one may hold bits that do not count."""
    signed, signature = token.rsplit(".", 1)
    middle = len(signature) // 2
    other = "B" if signature[middle] == "A" else "A"
    return f"{signed}.{signature[:middle]}{other}{signature[middle + 1:]}"


def changed_claims(token):
    header, payload, signature = token.split(".")
    claims = json.loads(decode(payload)) | {"sub": "43"}
    return f"{header}.{encode(json.dumps(claims).encode())}.{signature}"
