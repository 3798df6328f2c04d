"""The Python libraries behind one interface, so that the checks are the same for each of them.

A library has a name, the algorithms of jotd that it has, the error it raises when a signature does not hold, and:

    new_key(alg)                 a private key or a secret, in the library's own form
    to_jwk(alg, key, private)    that key as a JWK; for a secret both are the secret
    to_pem(key, private)         that key as PKCS#8 or SubjectPublicKeyInfo, for asymmetric keys
    from_jwk(alg, jwk)           the library's own form of a JWK
    sign(alg, key, claims)       a token
    verify(alg, key, token)      the claims of the token, when it holds with this algorithm and no other
    thumbprint(alg, jwk)         the thumbprint of RFC 7638, or None where the library has no such function
"""

import base64
import hashlib
import json
import os

import cryptography.exceptions
import joserfc.errors
import joserfc.jwk
import joserfc.jws
import joserfc.jwt
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

ISSUER, SUBJECT, AUDIENCE = "https://issuer.example", "42", "api"

# Every algorithm of jotd, with what makes a key for it in cryptography's form, on which PyJWT works too.
NEW_KEY = {
    "HS256": lambda: os.urandom(32),
    "HS384": lambda: os.urandom(48),
    "HS512": lambda: os.urandom(64),
    **dict.fromkeys(
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "ML-DSA-44": mldsa.MLDSA44PrivateKey.generate,
    "ML-DSA-65": mldsa.MLDSA65PrivateKey.generate,
    "ML-DSA-87": mldsa.MLDSA87PrivateKey.generate,
}


def symmetric(alg):
    return alg.startswith("HS")


def to_pem(key, private):
    """PEM of a key in cryptography's form."""
    if private:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


PYJWT_ALGORITHMS = jwt.algorithms.get_default_algorithms()


class PyJwt:
    name = "PyJWT"
    bad_signature = jwt.InvalidSignatureError
    algorithms = [alg for alg in NEW_KEY if alg in PYJWT_ALGORITHMS]

    def new_key(self, alg):
        return NEW_KEY[alg]()

    def to_jwk(self, alg, key, private):
        return PYJWT_ALGORITHMS[alg].to_jwk(key if private or symmetric(alg) else key.public_key(), as_dict=True)

    def to_pem(self, key, private):
        return to_pem(key, private)

    def from_jwk(self, alg, jwk):
        return jwt.PyJWK(jwk, alg).key

    def sign(self, alg, key, claims):
        return jwt.encode(claims, key, algorithm=alg)

    def verify(self, alg, key, token):
        required = {"require": ["iss", "sub", "aud", "iat", "exp"]}
        return jwt.decode(
            token, key, algorithms=[alg], issuer=ISSUER, subject=SUBJECT, audience=AUDIENCE, options=required
        )

    def thumbprint(self, alg, jwk):
        return None


class Joserfc:
    name = "joserfc"
    bad_signature = joserfc.errors.BadSignatureError
    algorithms = [alg for alg in NEW_KEY if alg in joserfc.jws.JWSRegistry.algorithms]
    new_key_by_family = {
        "HS": lambda alg: joserfc.jwk.OctKey.generate_key(int(alg[2:])),
        "RS": lambda alg: joserfc.jwk.RSAKey.generate_key(2048),
        "PS": lambda alg: joserfc.jwk.RSAKey.generate_key(2048),
        "ES": lambda alg: joserfc.jwk.ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]),
        "Ed": lambda alg: joserfc.jwk.OKPKey.generate_key("Ed25519"),
    }

    def new_key(self, alg):
        return self.new_key_by_family[alg[:2]](alg)

    def to_jwk(self, alg, key, private):
        return key.as_dict(private=private or symmetric(alg))

    def to_pem(self, key, private):
        return key.as_pem(private=private).decode()

    def from_jwk(self, alg, jwk):
        return joserfc.jwk.import_key(jwk)

    def sign(self, alg, key, claims):
        return joserfc.jwt.encode({"alg": alg}, claims, key, algorithms=[alg])

    def verify(self, alg, key, token):
        claims = joserfc.jwt.decode(token, key, algorithms=[alg]).claims
        values = {"iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE}
        rules = {name: {"essential": True, "value": value} for name, value in values.items()}
        joserfc.jwt.JWTClaimsRegistry(**rules, iat={"essential": True}, exp={"essential": True}).validate(claims)
        return claims

    def thumbprint(self, alg, jwk):
        return self.from_jwk(alg, jwk).thumbprint()


class MlDsa:
    """What neither JOSE library has: cryptography's ML-DSA, with JWK, JWS and thumbprint as RFC 9964 has them."""

    name = "cryptography"
    bad_signature = cryptography.exceptions.InvalidSignature
    forms = {
        "ML-DSA-44": (mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey),
        "ML-DSA-65": (mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey),
        "ML-DSA-87": (mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey),
    }
    algorithms = list(forms)

    def new_key(self, alg):
        return NEW_KEY[alg]()

    def to_jwk(self, alg, key, private):
        jwk = {"kty": "AKP", "alg": alg, "pub": encode(key.public_key().public_bytes_raw())}
        return jwk | {"priv": encode(key.private_bytes_raw())} if private else jwk

    def to_pem(self, key, private):
        return to_pem(key, private)

    def from_jwk(self, alg, jwk):
        private, public = self.forms[alg]
        if "priv" in jwk:
            return private.from_seed_bytes(decode(jwk["priv"]))
        return public.from_public_bytes(decode(jwk["pub"]))

    def sign(self, alg, key, claims):
        signed = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": alg, "typ": "JWT"}, claims))
        return f"{signed}.{encode(key.sign(signed.encode()))}"

    def verify(self, alg, key, token):
        signed, signature = token.rsplit(".", 1)
        header, claims = (json.loads(decode(part)) for part in signed.split("."))
        if header["alg"] != alg:
            raise ValueError(f"the header's alg is {header['alg']}")
        key.verify(decode(signature), signed.encode())
        return claims

    def thumbprint(self, alg, jwk):
        members = {name: jwk[name] for name in ("alg", "kty", "pub")}
        return encode(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


LIBRARIES = [PyJwt(), Joserfc(), MlDsa()]
