"""The OAuth endpoints of jotd against Authlib, PyJWT and joserfc: python oauth.py PATH_TO_JOTD"""

import importlib.metadata
import re
import sys
import tempfile
import time
import warnings

import joserfc.errors
import joserfc.jws
import joserfc.jwt
import jwt
import requests
from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7523 import ClientSecretJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

from authority import INVOICES, LIFETIME, ORDERS, SCOPE, SECRET_METHODS, AccessTokens, Authority, refusal
from checks import Report, changed_claims, changed_signature
from libraries import Joserfc
from serving import PATIENCE, Server, until

# What a client may sign with: every asymmetric algorithm of joserfc.
ASSERTION_ALGORITHMS = [alg for alg in Joserfc.algorithms if not alg.startswith("HS")]


def problem(validate):
    try:
        validate()
    except ValueError as error:
        return str(error)


def check_metadata(report, name, authority, suffix):
    response = authority.document(suffix)
    report.equal(f"{name}, status", 200, response.status_code)
    report.equal(f"{name}, media type", "application/json", response.headers["Content-Type"].partition(";")[0])
    metadata = AuthorizationServerMetadata(response.json())
    # Authlib takes an empty response_types_supported for a missing one, but no response type is what there is.
    report.equal(f"{name}, response types", list, type(metadata.get("response_types_supported")))
    for member in metadata.REGISTRY_KEYS:
        if member != "response_types_supported":
            report.equal(f"{name}, {member}", None, problem(getattr(metadata, f"validate_{member}")))
    report.equal(f"{name}, issuer", authority.issuer, metadata["issuer"])
    report.equal(f"{name}, grant types", ["client_credentials"], metadata.grant_types_supported)
    for member in ["token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri"]:
        report.equal(f"{name}, {member} is the issuer's", True, metadata[member].startswith(f"{authority.issuer}/"))
        report.equal(f"{name}, {member} is the same in both", authority.metadata[member], metadata[member])
    for endpoint in ["token", "introspection", "revocation"]:
        methods = set(metadata[f"{endpoint}_endpoint_auth_methods_supported"])
        report.equal(f"{name}, methods of {endpoint}", set(), {*SECRET_METHODS, "private_key_jwt"} - methods)
        signing = set(metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"])
        report.equal(f"{name}, algorithms of {endpoint}", set(), set(ASSERTION_ALGORITHMS) - signing)


def check_caching(report, name, url):
    response = requests.get(url, timeout=PATIENCE)
    report.equal(f"{name}, Cache-Control", "public, max-age=2", response.headers.get("Cache-Control"))
    again = requests.get(url, headers={"If-None-Match": response.headers["ETag"]}, timeout=PATIENCE)
    report.equal(f"{name}, status for the same ETag", (304, b""), (again.status_code, again.content))
    report.equal(f"{name}, ETag again", response.headers["ETag"], again.headers.get("ETag"))


def check_grant(report, name, authority, session, client):
    """A token as the client asked for it, and what the answer says of it."""
    answer = authority.grant(session)
    headers = session.response.headers
    report.equal(f"{name}, Cache-Control", "no-store", headers.get("Cache-Control"))
    report.equal(f"{name}, Pragma", "no-cache", headers.get("Pragma"))
    report.equal(f"{name}, token_type", "Bearer", answer["token_type"])
    report.equal(f"{name}, scope without one asked for", set(SCOPE.split()), set(answer["scope"].split()))

    token = answer["access_token"]
    header, claims = jwt.get_unverified_header(token), authority.verified(token)
    report.equal(f"{name}, header", {"typ": "at+jwt", "alg": "ES256", "kid": header.get("kid")}, header)
    report.equal(f"{name}, lifetime", answer["expires_in"], claims["exp"] - claims["iat"])
    report.equal(f"{name}, age", True, abs(time.time() - claims["iat"]) < PATIENCE)
    report.equal(f"{name}, jti", True, re.fullmatch("[0-9a-f]{32}", claims["jti"]) is not None)
    own = {member: claims[member] for member in ("iat", "exp", "jti")}
    whose = {"iss": authority.issuer, "sub": client["id"], "client_id": client["id"]}
    report.equal(f"{name}, claims", own | whose | {"aud": ORDERS, "scope": answer["scope"]}, claims)

    other = authority.verified(authority.token(session))
    report.equal(f"{name}, another jti each time", False, claims["jti"] == other["jti"])


def check_parameters(report, name, authority):
    session = authority.session(authority.shop)
    answer = authority.grant(session, scope="orders:read", resource=INVOICES)
    claims = authority.verified(answer["access_token"], audience=INVOICES)
    report.equal(f"{name}, one scope", ("orders:read", "orders:read"), (answer["scope"], claims["scope"]))
    report.equal(f"{name}, one resource", INVOICES, claims["aud"])
    report.equal(f"{name}, lifetime of the client", LIFETIME, answer["expires_in"])
    answer = authority.grant(session, scope=["orders:write", "orders:read"])
    report.equal(f"{name}, list of scopes", set(SCOPE.split()), set(answer["scope"].split()))

    # Authlib's fetch_token sends one value for each name.
    fields = [("grant_type", "client_credentials"), ("resource", ORDERS), ("resource", INVOICES)]
    authentication = session.client_auth("client_secret_basic")
    answer = session.parse_response_token(session.post(authority.token_url, data=fields, auth=authentication))
    claims = authority.verified(answer["access_token"], audience=INVOICES)
    report.equal(f"{name}, two resources", {ORDERS, INVOICES}, set(claims["aud"]))

    for what, error, parameters in [
        ("unknown scope", "invalid_scope", {"scope": "orders:delete"}),
        ("one of two scopes unknown", "invalid_scope", {"scope": "orders:read orders:delete"}),
        ("scope of jotd itself", "invalid_scope", {"scope": "jotd:keys"}),
        ("unknown resource", "invalid_target", {"resource": "https://elsewhere.example"}),
    ]:
        found = refusal(session, lambda: authority.grant(session, **parameters))
        report.equal(f"{name}, {what}", (400, error), found)
    for what, error, parameters in [
        ("password", "unsupported_grant_type", {"username": "zoe", "password": "secret"}),
        ("refresh_token", "unsupported_grant_type", {"refresh_token": "none"}),
    ]:
        found = refusal(session, lambda: session.fetch_token(authority.token_url, grant_type=what, **parameters))
        report.equal(f"{name}, grant type {what}", (400, error), found)


def check_assertion(report, name, authority, alg):
    """private_key_jwt at each endpoint, for which the audience is the endpoint called unless it is set."""
    key, spare = Joserfc().new_key(alg), Joserfc().new_key(alg)
    client = authority.add_keyed_client(f"keyed-{alg}", key, alg=alg)
    report.equal(f"{name}, no secret", None, client.get("secret"))
    session = authority.signing_session(client, key, alg)
    check_grant(report, name, authority, session, client)
    token = authority.token(session)
    report.equal(f"{name}, introspection", True, authority.active(session, token))
    report.equal(f"{name}, revocation", (200, ""), authority.revoke(session, token))
    report.equal(f"{name}, introspection after that", False, authority.active(session, token))
    for what, url in [("issuer", authority.issuer), ("token endpoint", authority.token_url)]:
        session = authority.signing_session(client, key, alg, token_endpoint=url)
        report.equal(f"{name}, {what} as audience", True, authority.active(session, authority.token(session)))

    client = authority.add_keyed_client(f"two-keys-{alg}", key, spare, alg=alg)
    for what, signing in [("first", key), ("second", spare)]:
        session = authority.signing_session(client, signing, alg, headers={"kid": signing.thumbprint()})
        claims = authority.verified(authority.token(session))
        report.equal(f"{name}, {what} of two keys", client["id"], claims["client_id"])


def check_introspection(report, name, authority):
    for method in SECRET_METHODS:
        session = authority.session(authority.shop, method)
        token = authority.token(session)
        found = authority.introspect(session, token, token_type_hint="access_token")
        report.equal(f"{name}, {method}", {"active": True, "token_type": "Bearer"} | authority.verified(token), found)
        report.equal(f"{name}, {method}, Cache-Control", "no-store", session.response.headers.get("Cache-Control"))
    for what, change in [("signature", changed_signature), ("claims", changed_claims)]:
        found = authority.introspect(session, change(token))
        report.equal(f"{name}, changed {what}", {"active": False}, found)
    report.equal(f"{name}, no token at all", {"active": False}, authority.introspect(session, "nonsense"))

    couriers = authority.token(authority.session(authority.courier))
    for what, client, expected in [
        ("API of the audience", authority.api, True),
        ("client with jotd:introspect", authority.auditor, True),
        ("other client", authority.neighbour, False),
    ]:
        session = authority.session(client)
        report.equal(f"{name}, token of a courier, {what}", expected, authority.active(session, couriers))
    for what, scope, status in [("with", "jotd:introspect", 200), ("without", "jotd:keys", 403)]:
        response = authority.bearer(scope).post(authority.introspection_url, data={"token": couriers})
        report.equal(f"{name}, access token {what} jotd:introspect", status, response.status_code)
    challenge = response.headers.get("WWW-Authenticate", "")
    report.equal(f"{name}, challenge", True, challenge.startswith("Bearer ") and "insufficient_scope" in challenge)

    answer = requests.post(f"{authority.issuer}/generateToken", json={"user_data": "text"}, timeout=PATIENCE)
    simple = answer.json()["JWT Token"]
    found = authority.introspect(authority.session(authority.auditor), simple)
    report.equal(f"{name}, simple token", (True, "text"), (found["active"], found.get("payload", {}).get("data")))
    found = authority.introspect(authority.session(authority.shop), simple)
    report.equal(f"{name}, simple token without jotd:introspect", {"active": False}, found)


def check_revocation(report, name, authority):
    shop, auditor = authority.session(authority.shop), authority.session(authority.auditor)
    for method in SECRET_METHODS:
        session = authority.session(authority.shop, method)
        token, other = authority.token(session), authority.token(session)
        report.equal(f"{name}, {method}", (200, ""), authority.revoke(session, token, token_type_hint="access_token"))
        found = authority.introspect(session, token)
        report.equal(f"{name}, {method}, the token", {"active": False}, found)
        report.equal(f"{name}, {method}, another token", True, authority.active(session, other))
        report.equal(f"{name}, {method}, once more", (200, ""), authority.revoke(session, token))
    report.equal(f"{name}, no token at all", (200, ""), authority.revoke(shop, "nonsense"))

    neighbour = authority.session(authority.neighbour)
    found = refusal(neighbour, lambda: neighbour.revoke_token(authority.revocation_url, other))
    report.equal(f"{name}, token of another client", (400, "unauthorized_client"), found)
    report.equal(f"{name}, token of another client, after that", True, authority.active(shop, other))
    report.equal(f"{name}, with jotd:revoke", (200, ""), authority.revoke(auditor, other))
    report.equal(f"{name}, with jotd:revoke, after that", False, authority.active(shop, other))

    token = authority.token(shop)
    response = authority.bearer("jotd:revoke").post(authority.revocation_url, data={"token": token})
    report.equal(f"{name}, with an access token", (200, ""), (response.status_code, response.text))
    report.equal(f"{name}, with an access token, after that", False, authority.active(shop, token))
    token = authority.token(shop)
    authority.jotd.output("revoke", "--token", token)
    until("the command line's revocation takes effect", lambda: not authority.active(shop, token))
    report.equal(f"{name}, on the command line, another token", True, authority.active(shop, authority.token(shop)))


def check_resource_server(report, name, authority):
    """A resource server of Authlib, one of PyJWT and one of joserfc, each with the published keys alone."""
    token = authority.token(authority.session(authority.shop), scope="orders:read")
    claims = authority.verified(token)
    server = AccessTokens(authority, ORDERS)
    report.equal(f"{name}, Authlib", claims, server.accept(token, "orders:read"))
    report.raises(f"{name}, Authlib, lacking scope", InsufficientScopeError, server.accept, token, "orders:write")
    other = AccessTokens(authority, INVOICES)
    report.raises(f"{name}, Authlib, other audience", InvalidTokenError, other.accept, token)
    other = ("ES256", INVOICES)
    report.raises(f"{name}, PyJWT, other audience", jwt.InvalidAudienceError, authority.verified, token, *other)
    decoded = joserfc.jwt.decode(token, authority.joserfc_keys(), algorithms=["ES256"])
    report.equal(f"{name}, joserfc", claims, decoded.claims)
    for what, change in [("signature", changed_signature), ("claims", changed_claims)]:
        changed = change(token)
        report.raises(f"{name}, PyJWT, changed {what}", jwt.InvalidSignatureError, authority.verified, changed)
        report.raises(f"{name}, Authlib, changed {what}", InvalidTokenError, server.accept, changed)


def check_algorithm(report, name, authority, alg):
    """A key of another algorithm, which signs for those clients that ask for it."""
    authority.jotd.output("keys", "new", "--alg", alg)

    def active_key():
        keys = authority.administrator.get(f"{authority.issuer}/v1/keys").json()["items"]
        return next((key for key in keys if key["algorithm"] == alg and key["state"] == "active"), None)

    key = until(f"a key for {alg} is active", active_key)
    client = authority.jotd.add_client(f"shop-{alg}", "--audience", ORDERS, "--scope", SCOPE, "--alg", alg)
    session = authority.session(client)
    token = authority.token(session)
    report.equal(f"{name}, header", {"typ": "at+jwt", "alg": alg, "kid": key["id"]}, jwt.get_unverified_header(token))
    claims = authority.verified(token, alg)
    report.equal(f"{name}, client", client["id"], claims["client_id"])
    decoded = joserfc.jwt.decode(token, authority.joserfc_keys(), algorithms=[alg])
    report.equal(f"{name}, joserfc", claims, decoded.claims)
    report.equal(f"{name}, introspection", True, authority.active(session, token))
    if alg in joserfc.jws.JWSRegistry.recommended:
        report.equal(f"{name}, Authlib", claims, AccessTokens(authority, ORDERS).accept(token))
    for what, change in [("signature", changed_signature), ("claims", changed_claims)]:
        report.raises(f"{name}, changed {what}", jwt.InvalidSignatureError, authority.verified, change(token), alg)
    others = jwt.get_unverified_header(authority.token(authority.session(authority.shop)))
    report.equal(f"{name}, other clients", "ES256", others["alg"])


def check_rotation(report, name, authority):
    """Whoever caches the JWK Set for as long as it allows has every key in time, and keeps the old one."""
    session = authority.session(authority.shop)
    caching = authority.pyjwt_keys(lifespan=2, cooldown_duration=3600)
    old = authority.token(session)
    claims, kid = authority.verified(old, keys=caching), jwt.get_unverified_header(old)["kid"]

    published = authority.published()
    authority.jotd.output("keys", "rotate", "--dry-run")
    report.equal(f"{name}, dry run", published, authority.published())
    authority.jotd.output("keys", "rotate")
    problems = []

    def new_token():
        token = authority.token(session)
        try:
            authority.verified(token, keys=caching)
        except jwt.PyJWTError as error:
            problems.append(str(error))
        return token if jwt.get_unverified_header(token)["kid"] != kid else None

    new = until("the new key signs", new_token)
    report.equal(f"{name}, tokens that could not be verified on the way", [], problems)
    for what, token in [("old", old), ("new", new)]:
        for cached, keys in [("cached", caching), ("fresh", authority.pyjwt_keys())]:
            found = authority.verified(token, keys=keys)
            report.equal(f"{name}, {what} token, {cached} keys", claims["sub"], found["sub"])
        report.equal(f"{name}, {what} token, introspection", True, authority.active(session, token))
        found = AccessTokens(authority, ORDERS).accept(token)
        report.equal(f"{name}, {what} token, Authlib", claims["sub"], found["sub"])
    report.equal(f"{name}, published", published | {jwt.get_unverified_header(new)["kid"]}, authority.published())


def check_refused_secrets(report, name, authority):
    shop = authority.shop
    wrong = [("wrong secret", shop | {"secret": "wrong"}), ("unknown client", shop | {"id": "nobody"})]
    for method in SECRET_METHODS:
        for what, client in wrong:
            session = authority.session(client, method)
            found = refusal(session, lambda: authority.grant(session))
            report.equal(f"{name}, {what}, {method}", (401, "invalid_client"), found)
            challenge = session.response.headers.get("WWW-Authenticate", "")
            report.equal(f"{name}, {what}, {method}, challenge", True, challenge.startswith("Basic "))
    session = authority.session(wrong[0][1])
    found = refusal(session, lambda: session.introspect_token(authority.introspection_url, "nonsense"))
    report.equal(f"{name}, wrong secret, introspection", (401, "invalid_client"), found)
    found = refusal(session, lambda: session.revoke_token(authority.revocation_url, "nonsense"))
    report.equal(f"{name}, wrong secret, revocation", (401, "invalid_client"), found)

    session = authority.session(shop, "none")
    found = refusal(session, lambda: authority.grant(session))
    report.equal(f"{name}, no authentication", (401, "invalid_client"), found)
    session = authority.session(shop, "client_secret_jwt", ClientSecretJWT())
    found = refusal(session, lambda: authority.grant(session))
    report.equal(f"{name}, assertion under the secret", (401, "invalid_client"), found)

    def both(client, method, *request):
        for name in SECRET_METHODS:
            request = client.DEFAULT_AUTH_METHODS[name](client, method, *request)
        return request

    session = authority.session(shop, "both", both)
    found = refusal(session, lambda: authority.grant(session))
    report.equal(f"{name}, two methods at once", (400, "invalid_request"), found)


def check_refused_assertions(report, name, authority):
    key, alg, now = Joserfc().new_key("ES256"), "ES256", int(time.time())
    client = authority.add_keyed_client("keyed", key, alg=alg)
    # Authlib makes no jti if it is given one.
    session = authority.signing_session(client, key, alg, claims={"jti": "once"})
    report.equal(f"{name}, at first", client["id"], authority.verified(authority.token(session))["sub"])
    found = refusal(session, lambda: authority.grant(session))
    report.equal(f"{name}, the same jti again", (401, "invalid_client"), found)
    for what, signing, options in [
        ("key of nobody", Joserfc().new_key(alg), {}),
        ("other audience", key, {"token_endpoint": "https://elsewhere.example"}),
        ("other issuer", key, {"claims": {"iss": "elsewhere"}}),
        ("other subject", key, {"claims": {"sub": authority.shop["id"]}}),
        ("in the past", key, {"claims": {"iat": now - 120, "exp": now - 60}}),
        ("for two hours", key, {"claims": {"exp": now + 7200}}),
        ("jti null", key, {"claims": {"jti": None}}),
    ]:
        session = authority.signing_session(client, signing, alg, **options)
        found = refusal(session, lambda: authority.grant(session))
        report.equal(f"{name}, {what}", (401, "invalid_client"), found)


def check_restart(report, name, authority):
    shop = authority.session(authority.shop)
    kept, revoked = authority.token(shop), authority.token(shop)
    authority.revoke(shop, revoked)
    key = Joserfc().new_key("ES256")
    client = authority.add_keyed_client("keyed-restart", key, alg="ES256")
    signing = authority.signing_session(client, key, "ES256", claims={"jti": "once"})
    authority.grant(signing)
    metadata, published = authority.document("oauth-authorization-server").json(), authority.published()

    report.equal(f"{name}, exit code", 0, authority.jotd.stop())
    authority.jotd.start()
    report.equal(f"{name}, metadata", metadata, authority.document("oauth-authorization-server").json())
    report.equal(f"{name}, keys", published, authority.published())
    report.equal(f"{name}, revoked token", {"active": False}, authority.introspect(shop, revoked))
    report.equal(f"{name}, kept token", True, authority.active(shop, kept))
    report.equal(f"{name}, kept token, PyJWT", authority.shop["id"], authority.verified(kept)["sub"])
    new = jwt.get_unverified_header(authority.token(shop))["kid"]
    report.equal(f"{name}, key that signs", jwt.get_unverified_header(kept)["kid"], new)
    found = refusal(signing, lambda: authority.grant(signing))
    report.equal(f"{name}, assertion used before", (401, "invalid_client"), found)


def run_all(report, jotd):
    authority = Authority(jotd)
    for suffix in ["oauth-authorization-server", "openid-configuration"]:
        report.run(suffix, check_metadata, authority, suffix)
        report.run(f"{suffix}, caching", check_caching, get_well_known_url(authority.issuer, True, suffix))
    report.run("JWK Set, caching", check_caching, authority.jwks_url)
    for method in SECRET_METHODS:
        report.run(method, check_grant, authority, authority.session(authority.shop, method), authority.shop)
    report.run("parameters", check_parameters, authority)
    for alg in ASSERTION_ALGORITHMS:
        report.run(f"private_key_jwt, {alg}", check_assertion, authority, alg)
    report.run("introspection", check_introspection, authority)
    report.run("revocation", check_revocation, authority)
    report.run("resource server", check_resource_server, authority)
    for alg in ["EdDSA", "RS256"]:
        report.run(f"key for {alg}", check_algorithm, authority, alg)
    report.run("rotation", check_rotation, authority)
    # Late, because they add up to what may make jotd suspicious of this address.
    report.run("refused assertions", check_refused_assertions, authority)
    report.run("refused secrets", check_refused_secrets, authority)
    report.run("restart", check_restart, authority)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python oauth.py PATH_TO_JOTD")
    # joserfc warns of EdDSA, for which RFC 9864 has a better name. It is used all the same.
    warnings.simplefilter("ignore", joserfc.errors.SecurityWarning)
    report = Report()
    with tempfile.TemporaryDirectory() as folder, Server(sys.argv[1], folder) as jotd:
        report.run("OAuth", lambda report, name: run_all(report, jotd))
    version = importlib.metadata.version("Authlib")
    print(f"left out: Authlib {version} has no resource server for EdDSA, and takes one resource for each token")
    report.end()


if __name__ == "__main__":
    main()
