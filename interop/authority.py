"""jotd as an authority, as Authlib, PyJWT and joserfc see it: its metadata, its clients, its keys and its refusals."""

import joserfc.jwk
import jwt
import requests
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import get_well_known_url
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator

from serving import PATIENCE

ORDERS, INVOICES = "https://orders.example", "https://invoices.example"
SCOPE = "orders:read orders:write"
LIFETIME = 600
SECRET_METHODS = ["client_secret_basic", "client_secret_post"]


class Session(OAuth2Session):
    """Authlib's session, which keeps the last response, because Authlib's errors do not tell the status."""

    def request(self, *arguments, **options):
        self.response = super().request(*arguments, **options)
        return self.response


class AccessTokens(JWTBearerTokenValidator):
    """Authlib's resource server, which fetches the JWK Set anew for each token."""

    def __init__(self, authority, audience):
        super().__init__(authority.issuer, audience)
        self.authority = authority

    def get_jwks(self):
        return self.authority.joserfc_keys()

    def accept(self, token, *scopes):
        claims = self.authenticate_token(token)
        self.validate_token(claims, scopes, None)
        return dict(claims)


class Authority:
    """The server under test as its metadata describe it, and its clients."""

    def __init__(self, jotd):
        self.jotd, self.issuer = jotd, jotd.url
        self.metadata = self.document("oauth-authorization-server").json()
        self.token_url = self.metadata["token_endpoint"]
        self.introspection_url = self.metadata["introspection_endpoint"]
        self.revocation_url = self.metadata["revocation_endpoint"]
        self.jwks_url = self.metadata["jwks_uri"]
        options = ("--audience", ORDERS, "--audience", INVOICES, "--scope", SCOPE, "--ttl", f"{LIFETIME}s")
        self.shop = jotd.add_client("shop", *options)
        self.neighbour = jotd.add_client("neighbour", *options)
        # An API that asks about the tokens that it gets, and a client of it.
        self.api = jotd.add_client("api", "--id", "orders-api", "--audience", INVOICES)
        self.courier = jotd.add_client("courier", "--audience", "orders-api", "--scope", "orders:read")
        self.auditor = jotd.add_client(
            "auditor", "--audience", INVOICES, "--scope", "jotd:introspect jotd:revoke"
        )
        self.administrator = self.bearer("jotd:*")

    def document(self, suffix):
        return requests.get(get_well_known_url(self.issuer, external=True, suffix=suffix), timeout=PATIENCE)

    def session(self, client, method="client_secret_basic", authentication=None):
        session = Session(
            client["id"], client.get("secret"), token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method, default_timeout=PATIENCE,
        )
        if authentication is not None:
            session.register_client_auth_method((method, authentication))
        return session

    def bearer(self, scope):
        token = {"access_token": self.jotd.token(scope), "token_type": "Bearer"}
        return Session(token=token, default_timeout=PATIENCE)

    def add_keyed_client(self, name, *keys, alg):
        """A client that signs with these keys, which are joserfc's."""
        public = [key.as_dict(private=False) | {"kid": key.thumbprint(), "alg": alg, "use": "sig"} for key in keys]
        jwks = self.jotd.file("client.jwks", {"keys": public})
        return self.jotd.add_client(name, "--audience", ORDERS, "--scope", SCOPE, "--jwks", jwks)

    def signing_session(self, client, key, alg, **options):
        session = self.session(client, "private_key_jwt", PrivateKeyJWT(alg=alg, **options))
        session.client_secret = key
        return session

    def grant(self, session, **parameters):
        return session.fetch_token(self.token_url, grant_type="client_credentials", **parameters)

    def token(self, session, **parameters):
        return self.grant(session, **parameters)["access_token"]

    def introspect(self, session, token, **parameters):
        response = session.introspect_token(self.introspection_url, token, **parameters)
        response.raise_for_status()
        return response.json()

    def active(self, session, token):
        return self.introspect(session, token)["active"]

    def revoke(self, session, token, **parameters):
        """The status and the body."""
        response = session.revoke_token(self.revocation_url, token, **parameters)
        return response.status_code, response.text

    def published(self):
        """The key identifiers of the JWK Set."""
        return {key["kid"] for key in requests.get(self.jwks_url, timeout=PATIENCE).json()["keys"]}

    def joserfc_keys(self):
        return joserfc.jwk.KeySet.import_key_set(requests.get(self.jwks_url, timeout=PATIENCE).json())

    def pyjwt_keys(self, **options):
        return jwt.PyJWKClient(self.jwks_url, timeout=PATIENCE, **options)

    def verified(self, token, alg="ES256", audience=ORDERS, keys=None):
        """The claims according to PyJWT, which requires what RFC 9068 does."""
        key = (keys or self.pyjwt_keys()).get_signing_key_from_jwt(token)
        required = {"require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]}
        return jwt.decode(token, key, algorithms=[alg], issuer=self.issuer, audience=audience, options=required)


def refusal(session, action):
    """Status and error of what was refused; Authlib raises some errors and gives others back as responses."""
    try:
        action()
    except OAuthError as error:
        return session.response.status_code, error.error
    return session.response.status_code, session.response.text and session.response.json().get("error")
