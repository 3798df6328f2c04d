// The OAuth endpoints of jotd against the packages oauth4webapi and jose: node oauth.mjs PATH_TO_JOTD

import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import { INSECURE, INVOICES, LIFETIME, ORDERS, SCOPE, authority, newKey, refusal } from './authority.mjs'
import { CHANGES, report } from './checks.mjs'
import { Server, inFolder, until } from './serving.mjs'

// What a client may sign with: every algorithm of oauth4webapi on every Node that it supports.
const ASSERTION_ALGORITHMS = [
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'Ed25519',
]
const SECRET_METHODS = { ClientSecretBasic: oauth.ClientSecretBasic, ClientSecretPost: oauth.ClientSecretPost }
const INVALID_CLIENT = [401, 'invalid_client', ['basic']]

async function checkMetadata(name, algorithm) {
  const metadata = await authority.discover(algorithm)
  report.equal(`${name}, issuer`, authority.jotd.url, metadata.issuer)
  for (const member of ['token_endpoint', 'introspection_endpoint', 'revocation_endpoint', 'jwks_uri']) {
    report.equal(`${name}, ${member}`, authority.as[member], metadata[member])
  }
  report.equal(`${name}, grant types`, ['client_credentials'], metadata.grant_types_supported)
  for (const endpoint of ['token', 'introspection', 'revocation']) {
    const methods = metadata[`${endpoint}_endpoint_auth_methods_supported`]
    for (const method of ['client_secret_basic', 'client_secret_post', 'private_key_jwt']) {
      report.equal(`${name}, ${method} at ${endpoint}`, true, methods.includes(method))
    }
    const algorithms = metadata[`${endpoint}_endpoint_auth_signing_alg_values_supported`]
    const lacking = ASSERTION_ALGORITHMS.filter((alg) => !algorithms.includes(alg))
    report.equal(`${name}, algorithms lacking at ${endpoint}`, [], lacking)
  }
}

/** A token as the client asked for it, and what the answer says of it. */
async function checkGrant(name, peer) {
  const answer = await authority.grant(peer)
  report.equal(`${name}, token_type`, 'bearer', answer.token_type)
  report.equal(`${name}, scope without one asked for`, SCOPE.split(' '), answer.scope.split(' ').sort())
  const header = jose.decodeProtectedHeader(answer.access_token)
  report.equal(`${name}, header`, { typ: 'at+jwt', alg: 'ES256', kid: header.kid }, header)
  const claims = await authority.verified(answer.access_token)
  const { client_id } = peer.client
  const { iat, exp, jti } = claims
  const whose = { iss: authority.as.issuer, sub: client_id, client_id }
  report.equal(`${name}, claims`, { ...whose, aud: ORDERS, scope: answer.scope, iat, exp, jti }, claims)
  report.equal(`${name}, lifetime`, answer.expires_in, exp - iat)
  report.equal(`${name}, resource server`, claims, await authority.accept(answer.access_token))
}

async function checkParameters(name) {
  const { shop } = authority
  const answer = await authority.grant(shop, { scope: 'orders:read', resource: INVOICES })
  report.equal(`${name}, lifetime of the client`, LIFETIME, answer.expires_in)
  report.equal(`${name}, one scope`, 'orders:read', answer.scope)
  report.equal(`${name}, one resource`, INVOICES, (await authority.accept(answer.access_token, INVOICES)).aud)
  const resources = [['resource', ORDERS], ['resource', INVOICES]]
  const { aud } = await authority.accept(await authority.token(shop, new URLSearchParams(resources)))
  report.equal(`${name}, two resources`, [ORDERS, INVOICES].sort(), [...aud].sort())

  for (const [what, error, parameters] of [
    ['unknown scope', 'invalid_scope', { scope: 'orders:delete' }],
    ['scope of jotd itself', 'invalid_scope', { scope: 'jotd:keys' }],
    ['unknown resource', 'invalid_target', { resource: 'https://elsewhere.example' }],
    ['scope twice', 'invalid_request', new URLSearchParams([['scope', 'orders:read'], ['scope', 'orders:read']])],
  ]) {
    report.equal(`${name}, ${what}`, [400, error], await refusal(authority.grant(shop, parameters)))
  }
  const { as } = authority
  const { client, authentication } = shop
  const response = await oauth.genericTokenEndpointRequest(as, client, authentication, 'password', {}, INSECURE)
  const processed = oauth.processGenericTokenEndpointResponse(as, client, response)
  report.equal(`${name}, grant type password`, [400, 'unsupported_grant_type'], await refusal(processed))
}

/** private_key_jwt at each endpoint, for which the audience is the issuer unless it is set. */
async function checkAssertion(name, alg) {
  const [key, spare] = await Promise.all([newKey(alg), newKey(alg)])
  const single = authority.addKeyedClient(`keyed-${alg}`, key.publicJwk)
  const peer = { ...single, authentication: oauth.PrivateKeyJwt(key.privateKey) }
  report.equal(`${name}, no secret`, undefined, single.secret)
  await checkGrant(name, peer)
  const token = await authority.token(peer)
  report.equal(`${name}, introspection`, true, await authority.isActive(peer, token))
  await authority.revoke(peer, token)
  report.equal(`${name}, introspection after revocation`, false, await authority.isActive(peer, token))
  for (const endpoint of ['token_endpoint', 'introspection_endpoint']) {
    const modify = (header, payload) => { payload.aud = authority.as[endpoint] }
    const asked = { ...peer, authentication: oauth.PrivateKeyJwt(key.privateKey, { [oauth.modifyAssertion]: modify }) }
    const active = await authority.isActive(asked, await authority.token(peer))
    report.equal(`${name}, introspection with the ${endpoint} as audience`, true, active)
  }

  const several = authority.addKeyedClient(`two-keys-${alg}`, key.publicJwk, spare.publicJwk)
  for (const [what, { privateKey, publicJwk: { kid } }] of [['first', key], ['second', spare]]) {
    const authentication = oauth.PrivateKeyJwt({ key: privateKey, kid })
    const { client_id } = await authority.accept(await authority.token({ ...several, authentication }))
    report.equal(`${name}, ${what} of two keys`, several.client.client_id, client_id)
  }
}

async function checkIntrospection(name) {
  const { shop } = authority
  let token
  for (const [method, authentication] of Object.entries(SECRET_METHODS)) {
    const peer = { ...shop, authentication: authentication(shop.secret) }
    token = await authority.token(peer)
    const expected = { active: true, token_type: 'Bearer', ...await authority.verified(token) }
    report.equal(`${name}, ${method}`, expected, await authority.introspect(peer, token))
  }
  for (const [what, change] of Object.entries(CHANGES)) {
    const found = await authority.introspect(shop, change(token))
    report.equal(`${name}, changed ${what}`, { active: false }, found)
  }
  report.equal(`${name}, no token at all`, { active: false }, await authority.introspect(shop, 'nonsense'))
  const couriers = await authority.token(authority.courier)
  for (const [what, peer, expected] of [
    ['API of the audience', authority.api, true],
    ['client with jotd:introspect', authority.auditor, true],
    ['other client', authority.neighbour, false],
  ]) {
    report.equal(`${name}, token of a courier, ${what}`, expected, await authority.isActive(peer, couriers))
  }
}

async function checkRevocation(name) {
  const { shop, neighbour, auditor } = authority
  let other
  for (const [method, authentication] of Object.entries(SECRET_METHODS)) {
    const peer = { ...shop, authentication: authentication(shop.secret) }
    const token = await authority.token(peer)
    other = await authority.token(peer)
    for (const time of ['first', 'second']) {
      report.equal(`${name}, ${method}, ${time} time`, undefined, await authority.revoke(peer, token))
      report.equal(`${name}, ${method}, after the ${time} time`, false, await authority.isActive(peer, token))
    }
    report.equal(`${name}, ${method}, another token`, true, await authority.isActive(peer, other))
  }
  report.equal(`${name}, no token at all`, undefined, await authority.revoke(shop, 'nonsense'))
  const refused = await refusal(authority.revoke(neighbour, other))
  report.equal(`${name}, token of another client`, [400, 'unauthorized_client'], refused)
  report.equal(`${name}, token of another client, after that`, true, await authority.isActive(shop, other))
  await authority.revoke(auditor, other)
  report.equal(`${name}, with jotd:revoke`, false, await authority.isActive(shop, other))
}

async function checkResourceServer(name) {
  const token = await authority.token(authority.shop)
  const otherAudience = authority.verified(token, { audience: INVOICES })
  await report.rejects(`${name}, jose, other audience`, 'ERR_JWT_CLAIM_VALIDATION_FAILED', otherAudience)
  const accepted = authority.accept(token, INVOICES)
  await report.rejects(`${name}, oauth4webapi, other audience`, oauth.JWT_CLAIM_COMPARISON, accepted)
  for (const [what, change] of Object.entries(CHANGES)) {
    const changed = change(token)
    const code = 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'
    await report.rejects(`${name}, jose, changed ${what}`, code, authority.verified(changed))
    // The code is one for all kinds of unusable tokens.
    const message = await authority.accept(changed).then(() => 'no error', (error) => error.message)
    report.equal(`${name}, oauth4webapi, changed ${what}`, 'JWT signature verification failed', message)
  }
}

/** jotd's own interface as a protected resource. */
async function checkProtectedResource(name) {
  const { jotd, as } = authority
  const keys = new URL('/v1/keys', jotd.url)
  const get = (token) => oauth.protectedResourceRequest(token, 'GET', keys, undefined, undefined, INSECURE)
  const response = await get(jotd.token('jotd:keys'))
  report.equal(`${name}, status`, 200, response.status)
  const challenged = (promise) => promise.then(() => 'no error', ({ status, cause }) => {
    const [{ scheme, parameters }] = cause
    return [status, scheme, parameters.error]
  })
  const foreign = await challenged(get(await authority.token(authority.shop)))
  report.equal(`${name}, token for others`, [401, 'bearer', 'invalid_token'], foreign)

  const introspection = new URL(as.introspection_endpoint)
  const body = new URLSearchParams({ token: 'nonsense' })
  const post = (token) => oauth.protectedResourceRequest(token, 'POST', introspection, undefined, body, INSECURE)
  const answer = await post(jotd.token('jotd:introspect'))
  report.equal(`${name}, introspection`, { active: false }, await answer.json())
  const lacking = await challenged(post(jotd.token('jotd:keys')))
  report.equal(`${name}, lacking scope`, [403, 'bearer', 'insufficient_scope'], lacking)
}

/** A key of another algorithm, which signs for those clients that ask for it. */
async function checkAlgorithm(name, alg) {
  const { jotd } = authority
  jotd.output('keys', 'new', '--alg', alg)
  const headers = { authorization: `Bearer ${jotd.token('jotd:keys')}` }
  const key = await until(`a key for ${alg} is active`, async () => {
    const { items } = await (await fetch(new URL('/v1/keys', jotd.url), { headers })).json()
    return items.find(({ algorithm, state }) => algorithm === alg && state === 'active')
  })
  const peer = authority.addClient(`shop-${alg}`, '--audience', ORDERS, '--scope', SCOPE, '--alg', alg)
  const token = await authority.token(peer)
  report.equal(`${name}, header`, { typ: 'at+jwt', alg, kid: key.id }, jose.decodeProtectedHeader(token))
  const claims = await authority.verified(token, { alg })
  report.equal(`${name}, client`, peer.client.client_id, claims.client_id)
  report.equal(`${name}, resource server`, claims, await authority.accept(token))
  report.equal(`${name}, introspection`, true, await authority.isActive(peer, token))
  for (const [what, change] of Object.entries(CHANGES)) {
    const code = 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'
    await report.rejects(`${name}, changed ${what}`, code, authority.verified(change(token), { alg }))
  }
}

/** Whoever caches the JWK Set for as long as it allows has every key in time, and keeps the old one. */
async function checkRotation(name) {
  const { jotd, shop } = authority
  const caching = authority.remoteKeys({ cacheMaxAge: 2000, cooldownDuration: Infinity })
  const old = await authority.token(shop)
  await authority.verified(old, { keys: caching })
  const { kid } = jose.decodeProtectedHeader(old)
  jotd.output('keys', 'rotate')
  const problems = []
  const current = await until('the new key signs', async () => {
    const token = await authority.token(shop)
    await authority.verified(token, { keys: caching }).catch((error) => problems.push(String(error)))
    return jose.decodeProtectedHeader(token).kid === kid ? undefined : token
  })
  report.equal(`${name}, tokens that could not be verified on the way`, [], problems)
  for (const [what, token] of [['old', old], ['new', current]]) {
    for (const [cached, keys] of [['cached', caching], ['fresh', authority.remoteKeys()]]) {
      const { sub } = await authority.verified(token, { keys })
      report.equal(`${name}, ${what} token, ${cached} keys`, shop.client.client_id, sub)
    }
    const { sub } = await authority.accept(token)
    report.equal(`${name}, ${what} token, resource server`, shop.client.client_id, sub)
    report.equal(`${name}, ${what} token, introspection`, true, await authority.isActive(shop, token))
  }
}

async function checkRefusedSecrets(name) {
  const { shop } = authority
  const client = { client_id: 'nobody' }
  for (const [method, authentication] of Object.entries(SECRET_METHODS)) {
    const wrong = { ...shop, authentication: authentication('wrong') }
    report.equal(`${name}, ${method}, wrong secret`, INVALID_CLIENT, await refusal(authority.grant(wrong)))
    const unknown = { client, authentication: authentication(shop.secret) }
    report.equal(`${name}, ${method}, unknown client`, INVALID_CLIENT, await refusal(authority.grant(unknown)))
  }
  const none = { ...shop, authentication: oauth.None() }
  report.equal(`${name}, no authentication`, INVALID_CLIENT, await refusal(authority.grant(none)))
  const wrong = { ...shop, authentication: oauth.ClientSecretBasic('wrong') }
  report.equal(`${name}, introspection`, INVALID_CLIENT, await refusal(authority.introspect(wrong, 'nonsense')))
  report.equal(`${name}, revocation`, INVALID_CLIENT, await refusal(authority.revoke(wrong, 'nonsense')))
}

async function checkRefusedAssertions(name) {
  const [key, foreign] = await Promise.all([newKey('ES256'), newKey('ES256')])
  const registered = authority.addKeyedClient('keyed', key.publicJwk)
  const now = Math.floor(Date.now() / 1000)
  const signing = (changes, { privateKey } = key) => {
    const modify = (header, payload) => { Object.assign(payload, changes) }
    return { ...registered, authentication: oauth.PrivateKeyJwt(privateKey, { [oauth.modifyAssertion]: modify }) }
  }
  const once = signing({ jti: 'once' })
  const { sub } = await authority.accept(await authority.token(once))
  report.equal(`${name}, at first`, registered.client.client_id, sub)
  for (const [what, peer] of [
    ['the same jti again', once],
    ['key of nobody', signing({}, foreign)],
    ['other audience', signing({ aud: 'https://elsewhere.example' })],
    ['other subject', signing({ sub: authority.shop.client.client_id })],
    ['in the past', signing({ iat: now - 120, nbf: now - 120, exp: now - 60 })],
    ['in the future', signing({ nbf: now + 600, exp: now + 660 })],
    ['for two hours', signing({ exp: now + 7200 })],
    ['without exp', signing({ exp: undefined })],
    ['without jti', signing({ jti: undefined })],
  ]) {
    report.equal(`${name}, ${what}`, INVALID_CLIENT, await refusal(authority.grant(peer)))
  }
}

async function checkRestart(name) {
  const { jotd, shop } = authority
  const [kept, revoked] = [await authority.token(shop), await authority.token(shop)]
  await authority.revoke(shop, revoked)
  const metadata = await authority.discover('oauth2')
  report.equal(`${name}, exit code`, 0, await jotd.stop())
  await jotd.start()
  report.equal(`${name}, metadata`, metadata, await authority.discover('oauth2'))
  report.equal(`${name}, revoked token`, { active: false }, await authority.introspect(shop, revoked))
  report.equal(`${name}, kept token`, true, await authority.isActive(shop, kept))
  report.equal(`${name}, kept token, resource server`, shop.client.client_id, (await authority.accept(kept)).sub)
  const { kid } = jose.decodeProtectedHeader(await authority.token(shop))
  report.equal(`${name}, key that signs`, jose.decodeProtectedHeader(kept).kid, kid)
}

async function main(jotd) {
  await authority.open(jotd)
  for (const algorithm of ['oauth2', 'oidc']) {
    await report.run(`discovery, ${algorithm}`, checkMetadata, algorithm)
  }
  for (const [method, authentication] of Object.entries(SECRET_METHODS)) {
    await report.run(method, checkGrant, { ...authority.shop, authentication: authentication(authority.shop.secret) })
  }
  await report.run('parameters', checkParameters)
  for (const alg of ASSERTION_ALGORITHMS) {
    await report.run(`PrivateKeyJwt, ${alg}`, checkAssertion, alg)
  }
  await report.run('introspection', checkIntrospection)
  await report.run('revocation', checkRevocation)
  await report.run('resource server', checkResourceServer)
  await report.run('protected resource', checkProtectedResource)
  for (const alg of ['EdDSA', 'RS256']) {
    await report.run(`key for ${alg}`, checkAlgorithm, alg)
  }
  await report.run('rotation', checkRotation)
  // Late, because they add up to what may make jotd suspicious of this address.
  await report.run('refused assertions', checkRefusedAssertions)
  await report.run('refused secrets', checkRefusedSecrets)
  await report.run('restart', checkRestart)
}

if (process.argv.length === 3) {
  await inFolder(async (folder) => {
    const jotd = new Server(process.argv[2], folder)
    try {
      await jotd.start()
      await report.run('OAuth', () => main(jotd))
    } finally {
      await jotd.stop('SIGKILL')
    }
  })
  report.end()
} else {
  console.error('usage: node oauth.mjs PATH_TO_JOTD')
  process.exitCode = 1
}
