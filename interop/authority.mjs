// jotd as an authority, as oauth4webapi and jose see it: its metadata, its clients, its keys and its refusals.

import * as jose from 'jose'
import * as oauth from 'oauth4webapi'

export const ORDERS = 'https://orders.example'
export const INVOICES = 'https://invoices.example'
export const SCOPE = 'orders:read orders:write'
export const LIFETIME = 600
// The server is on the loopback interface, without TLS.
export const INSECURE = { [oauth.allowInsecureRequests]: true }

/** The server under test, its metadata, and its clients with what authenticates them. */
export const authority = {
  async open(jotd) {
    this.jotd = jotd
    this.as = await this.discover('oauth2')
    const options = ['--audience', ORDERS, '--audience', INVOICES, '--scope', SCOPE, '--ttl', `${LIFETIME}s`]
    this.shop = this.addClient('shop', ...options)
    this.neighbour = this.addClient('neighbour', ...options)
    // An API that asks about the tokens that it gets, and a client of it.
    this.api = this.addClient('api', '--id', 'orders-api', '--audience', INVOICES)
    this.courier = this.addClient('courier', '--audience', 'orders-api', '--scope', 'orders:read')
    this.auditor = this.addClient('auditor', '--audience', INVOICES, '--scope', 'jotd:introspect jotd:revoke')
  },

  async discover(algorithm) {
    const issuer = new URL(this.jotd.url)
    const response = await oauth.discoveryRequest(issuer, { algorithm, ...INSECURE })
    return oauth.processDiscoveryResponse(issuer, response)
  },

  addClient(name, ...options) {
    const { id, secret } = this.jotd.addClient(name, ...options)
    return { client: { client_id: id }, secret, authentication: secret && oauth.ClientSecretBasic(secret) }
  },

  addKeyedClient(name, ...keys) {
    const file = this.jotd.file('client.jwks', { keys })
    return this.addClient(name, '--audience', ORDERS, '--scope', SCOPE, '--jwks', file)
  },

  async grant({ client, authentication }, parameters = {}) {
    const { as } = this
    const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, INSECURE)
    return oauth.processClientCredentialsResponse(as, client, response)
  },

  async token(peer, parameters) {
    return (await this.grant(peer, parameters)).access_token
  },

  async introspect({ client, authentication }, token) {
    const response = await oauth.introspectionRequest(this.as, client, authentication, token, INSECURE)
    return oauth.processIntrospectionResponse(this.as, client, response)
  },

  async isActive(peer, token) {
    return (await this.introspect(peer, token)).active
  },

  async revoke({ client, authentication }, token) {
    const response = await oauth.revocationRequest(this.as, client, authentication, token, INSECURE)
    return oauth.processRevocationResponse(response)
  },

  /** A resource server of oauth4webapi; it keeps the JWK Set with the metadata, so a copy of them starts afresh. */
  accept(token, audience = ORDERS) {
    const request = new Request(audience, { headers: { authorization: `Bearer ${token}` } })
    return oauth.validateJwtAccessToken({ ...this.as }, request, audience, INSECURE)
  },

  remoteKeys(options) {
    return jose.createRemoteJWKSet(new URL(this.as.jwks_uri), options)
  },

  /** The claims according to jose, which requires what RFC 9068 does. */
  async verified(token, { alg = 'ES256', audience = ORDERS, keys = this.remoteKeys() } = {}) {
    const requiredClaims = ['exp', 'sub', 'client_id', 'iat', 'jti']
    const options = { typ: 'at+jwt', algorithms: [alg], issuer: this.as.issuer, audience, requiredClaims }
    return (await jose.jwtVerify(token, keys, options)).payload
  },
}

/** The status and the error of what is refused, and the challenge if that is what oauth4webapi makes of it. */
export async function refusal(promise) {
  try {
    await promise
    return 'no error'
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError) return [error.status, error.error]
    if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error
    const body = await error.response.json()
    return [error.status, body.error, error.cause.map(({ scheme }) => scheme)]
  }
}

/** A key of oauth4webapi, with its public JWK. */
export async function newKey(alg) {
  const { privateKey, publicKey } = await oauth.generateKeyPair(alg, { extractable: true })
  const jwk = await jose.exportJWK(publicKey)
  return { privateKey, publicJwk: { ...jwk, alg, use: 'sig', kid: await jose.calculateJwkThumbprint(jwk) } }
}
