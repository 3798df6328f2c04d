"""Tokens and keys of jotd against those of Python's JOSE libraries: python interop.py PATH_TO_JOTD"""

import importlib.metadata
import json
import sys
import tempfile
import time
import warnings

import joserfc.errors
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from checks import Report, changed_claims, changed_signature
from libraries import AUDIENCE, ISSUER, LIBRARIES, NEW_KEY, SUBJECT, MlDsa, PyJwt, symmetric, to_pem
from serving import Jotd

ACCEPTED, REJECTED = 0, 1


class Keys(Jotd):
    """What the command line does with keys and tokens."""

    def new_key(self, alg):
        return json.loads(self.output("jwk", "new", "--alg", alg))

    def public(self, alg, file):
        """What a verifier gets: of a secret the secret itself, which has no public part."""
        return json.loads(file.read_text() if symmetric(alg) else self.output("jwk", "public", file))

    def sign(self, file, *options):
        claims = ("--iss", ISSUER, "--sub", SUBJECT, "--aud", AUDIENCE, "--ttl", "15m")
        return self.output("sign", "--jwk", file, *options, *claims).strip()

    def verify(self, token, file, *options):
        """The exit code, whether the token is accepted, and its claims or else why not."""
        done = self.run("verify", "--jwk", file, "--iss", ISSUER, "--aud", AUDIENCE, *options, stdin=token)
        if done.returncode not in (ACCEPTED, REJECTED):
            return done.returncode, done.stderr
        result = json.loads(done.stdout)
        return done.returncode, result["accepted"], result.get("claims", result.get("code"))


def key_members(jwk):
    """A JWK without what says how it is to be used; alg is part of the key for the type AKP alone."""
    usage = {"kid", "use", "key_ops"} | ({"alg"} if jwk["kty"] != "AKP" else set())
    return {name: value for name, value in jwk.items() if name not in usage}


def native_jwk(alg, key, private):
    """The JWK of a key in cryptography's form."""
    if alg in MlDsa.algorithms:
        return MlDsa().to_jwk(alg, key, private)
    return PyJwt().to_jwk("EdDSA" if alg == "Ed25519" else alg, key, private)


def check_signed_by_jotd(report, name, library, alg, key, token):
    """A token of jotd, and a key of the library that must verify it."""
    claims = library.verify(alg, key, token)
    lifetime = claims.pop("exp") - claims.pop("iat")
    report.equal(f"{name}, claims", {"iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE}, claims)
    report.equal(f"{name}, lifetime", 15 * 60, lifetime)
    for what, change in [("signature", changed_signature), ("claims", changed_claims)]:
        report.raises(f"{name}, changed {what}", library.bad_signature, library.verify, alg, key, change(token))


def check_signed_by_library(report, name, jotd, library, alg, key, files):
    """A key of the library, and the files in which jotd gets it, each with the options that go with it."""
    now = int(time.time())
    claims = {
        "iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE, "other"], "iat": now, "exp": now + 900, "name": "Zoë ✓",
        "nested": {"list": [1, -2.5, None, True], "empty": {}},
    }
    token = library.sign(alg, key, claims)
    for file, *options in files:
        where = f"{name}, {file.name}"
        report.equal(where, (ACCEPTED, True, claims), jotd.verify(token, file, *options))
        for what, change in [("signature", changed_signature), ("claims", changed_claims)]:
            found = jotd.verify(change(token), file, *options)
            report.equal(f"{where}, changed {what}", (REJECTED, False, "bad_signature"), found)


def check_key_of_jotd(report, name, jotd, library, alg):
    private = jotd.file("private.jwk", jotd.new_key(alg))
    public = jotd.file("public.jwk", jotd.public(alg, private))
    public_key = library.from_jwk(alg, json.loads(public.read_text()))
    check_signed_by_jotd(report, f"{name}, signed by jotd", library, alg, public_key, jotd.sign(private))

    private_key = library.from_jwk(alg, json.loads(private.read_text()))
    check_signed_by_library(report, f"{name}, signed by library", jotd, library, alg, private_key, [(public,)])

    expected = library.thumbprint(alg, json.loads(public.read_text()))
    if expected is not None:
        for file in [private, public]:
            found = json.loads(jotd.output("jwk", "thumbprint", file))["thumbprint"]
            report.equal(f"{name}, thumbprint of {file.name}", expected, found)


def check_key_of_library(report, name, jotd, library, alg):
    key = library.new_key(alg)
    private = jotd.file("private.jwk", library.to_jwk(alg, key, private=True))
    public = jotd.file("public.jwk", library.to_jwk(alg, key, private=False))
    named = jotd.file("named.jwk", json.loads(public.read_text()) | {"alg": alg, "use": "sig"})
    # jotd takes the algorithm from the key; one without it is for any algorithm that fits its type.
    private_files, public_files = [(private, "--alg", alg)], [(public,), (named,)]
    if not symmetric(alg):
        private_files.append((jotd.file("private.pem", library.to_pem(key, private=True)), "--alg", alg))
        public_files.append((jotd.file("public.pem", library.to_pem(key, private=False)), "--alg", alg))
    check_signed_by_library(report, f"{name}, signed by library", jotd, library, alg, key, public_files)

    public_key = library.from_jwk(alg, library.to_jwk(alg, key, private=False))
    for file, *options in private_files:
        token = jotd.sign(file, *options)
        check_signed_by_jotd(report, f"{name}, signed by jotd, {file.name}", library, alg, public_key, token)


def check_pem_of_jotd(report, name, jotd, alg):
    jwk = jotd.new_key(alg)
    file = jotd.file("private.jwk", jwk)
    private, public = jotd.output("jwk", "to-pem", file), jotd.output("jwk", "to-pem", "--public", file)
    key, public_key = load_pem_private_key(private.encode(), None), load_pem_public_key(public.encode())
    # cryptography loads older forms than PKCS#8, too.
    report.equal(f"{name}, label", "-----BEGIN PRIVATE KEY-----", private.splitlines()[0])
    report.equal(f"{name}, private numbers", key_members(jwk), key_members(native_jwk(alg, key, private=True)))
    report.equal(f"{name}, public key", key.public_key(), public_key)
    # The encoding of a public key leaves no choice, so even the text must be the same.
    report.equal(f"{name}, public text", to_pem(key, private=False), public)


def check_pem_of_cryptography(report, name, jotd, alg):
    key = NEW_KEY[alg]()
    for what in ["private", "public"]:
        file = jotd.file(f"{what}.pem", to_pem(key, what == "private"))
        found = json.loads(jotd.output("jwk", "from-pem", "--alg", alg, file))
        report.equal(f"{name}, alg of the {what} key", alg, found.get("alg"))
        expected = native_jwk(alg, key, what == "private")
        report.equal(f"{name}, {what} numbers", key_members(expected), key_members(found))


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python interop.py PATH_TO_JOTD")
    # joserfc warns of EdDSA, for which RFC 9864 has a better name. It is used all the same.
    warnings.simplefilter("ignore", joserfc.errors.SecurityWarning)
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        jotd = Keys(sys.argv[1], folder)
        for library in LIBRARIES:
            for alg in library.algorithms:
                report.run(f"{library.name}, {alg}, key of jotd", check_key_of_jotd, jotd, library, alg)
                report.run(f"{library.name}, {alg}, key of library", check_key_of_library, jotd, library, alg)
        for alg in NEW_KEY:
            if not symmetric(alg):
                report.run(f"PEM of jotd, {alg}", check_pem_of_jotd, jotd, alg)
                report.run(f"PEM of cryptography, {alg}", check_pem_of_cryptography, jotd, alg)
    lacking = {library.name: [alg for alg in NEW_KEY if alg not in library.algorithms] for library in LIBRARIES[:2]}
    reasons = [
        f"{name} {importlib.metadata.version(name)} has no {', '.join(algorithms)}"
        for name, algorithms in lacking.items() if algorithms
    ]
    print("left out:", "; ".join(reasons) or "nothing")
    report.end()


if __name__ == "__main__":
    main()
