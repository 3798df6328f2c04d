"""The simple contract in a few lines of Flask: HS512 by hand, from the standard library.

It does what the contract asks for and nothing more, and does it as fast as such a script reasonably can: the header is
encoded once, and the key is read once.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import time

from flask import Flask, request

app = Flask(__name__)
KEY = os.environ["SIGNING_KEY"].encode()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decode(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)


def sign(key, message):
    return hmac.digest(key, message, hashlib.sha512)


def answer(members, status=200):
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return json.dumps(members), status, headers


def refusal(status, description):
    body, status, headers = answer({"status": status, "description": description}, status)
    return "" if status == 204 else body, status, headers | {"X-Error-Description": description}


HEADER = encode(b'{"typ":"JWT","alg":"HS512"}')


@app.post("/generateToken")
def generate():
    if request.mimetype != "application/json":
        return refusal(202, "Invalid content type")
    members = request.get_json(silent=True)
    if not isinstance(members, dict) or not isinstance(members.get("user_data"), str):
        return refusal(400, "user_data is missing or not a string")
    now = int(time.time())
    payload = {"data": members["user_data"], "date": time.strftime("%Y-%m-%d", time.gmtime(now))}
    claims = {"iat": now, "jti": secrets.token_hex(16), "payload": payload}
    message = HEADER + b"." + encode(json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode())
    return answer({"JWT Token": (message + b"." + encode(sign(KEY, message))).decode()})


@app.route("/verifyToken", methods=["GET", "POST"])
def verify():
    if request.mimetype != "application/json":
        return refusal(202, "Invalid content type")
    members = request.get_json(silent=True)
    if not isinstance(members, dict):
        return refusal(400, "the body is not a JSON object")
    if not members.get("Token"):
        return refusal(203, "Missing token in GET request body")
    if not members.get("Signing_key"):
        return refusal(204, "Missing signing key in GET request body")
    try:
        message, signature = members["Token"].rsplit(".", 1)
        header, claims = (json.loads(decode(part)) for part in message.split("."))
        expected = sign(members["Signing_key"].encode(), message.encode())
        holds = header["alg"] == "HS512" and hmac.compare_digest(expected, decode(signature))
    except (AttributeError, KeyError, TypeError, ValueError):
        return refusal(400, "malformed token")
    return answer({"Header": header, "Claims": claims, "Signature Verification": holds})


@app.get("/healthz")
def health():
    return answer({"status": "ok"})
