// Tokens and keys of jotd against those of the package jose: node interop.mjs PATH_TO_JOTD

import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import * as jose from 'jose'
import { CHANGES, report } from './checks.mjs'
import { Jotd, inFolder } from './serving.mjs'

const ISSUER = 'https://issuer.example'
const SUBJECT = '42'
const AUDIENCE = 'api'
const ACCEPTED = 0
const REJECTED = 1

// Every algorithm of jotd. Those that a version of Node or jose may lack are left out there; a lack of others fails.
const EVERYWHERE = [
  'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA',
]
const NOT_EVERYWHERE = ['Ed25519', 'ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87']

const isSymmetric = (alg) => alg.startsWith('HS')
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'))

/** What the command line does with keys and tokens. */
class Keys extends Jotd {
  newKey(alg) {
    return JSON.parse(this.output('jwk', 'new', '--alg', alg))
  }

  /** What a verifier gets: of a secret the secret itself, which has no public part. */
  public(alg, file) {
    return isSymmetric(alg) ? readJson(file) : JSON.parse(this.output('jwk', 'public', file))
  }

  sign(file, ...options) {
    const claims = ['--iss', ISSUER, '--sub', SUBJECT, '--aud', AUDIENCE, '--ttl', '15m']
    return this.output('sign', '--jwk', file, ...options, ...claims).trim()
  }

  /** The exit code, whether the token is accepted, and its claims or else why not. */
  verify(token, file, ...options) {
    const done = this.run(['verify', '--jwk', file, '--iss', ISSUER, '--aud', AUDIENCE, ...options], token)
    if (![ACCEPTED, REJECTED].includes(done.status)) return [done.status, done.stderr]
    const result = JSON.parse(done.stdout)
    return [done.status, result.accepted, result.claims ?? result.code]
  }
}

const jotd = new Keys(process.argv[2])

/** A token of jotd, and a key of jose, or a function that finds it, that must verify it. */
async function checkSignedByJotd(name, alg, key, token) {
  const options = {
    algorithms: [alg], issuer: ISSUER, subject: SUBJECT, audience: AUDIENCE, typ: 'JWT', requiredClaims: ['exp', 'iat'],
  }
  const { payload: { iat, exp, ...claims } } = await jose.jwtVerify(token, key, options)
  report.equal(`${name}, claims`, { iss: ISSUER, sub: SUBJECT, aud: AUDIENCE }, claims)
  report.equal(`${name}, lifetime`, 15 * 60, exp - iat)
  for (const [what, change] of Object.entries(CHANGES)) {
    const verified = jose.jwtVerify(change(token), key, options)
    await report.rejects(`${name}, changed ${what}`, 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED', verified)
  }
}

/** A key of jose, and the files in which jotd gets it, each with the options that go with it. */
async function checkSignedByJose(name, alg, key, kid, files) {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: ISSUER, sub: SUBJECT, aud: [AUDIENCE, 'other'], iat: now, exp: now + 900, name: 'Zoë ✓',
    nested: { list: [1, -2.5, null, true], empty: {} },
  }
  const token = await new jose.SignJWT(claims).setProtectedHeader({ alg, kid }).sign(key)
  for (const [file, ...options] of files) {
    const where = `${name}, ${basename(file)}`
    report.equal(where, [ACCEPTED, true, claims], jotd.verify(token, file, ...options))
    for (const [what, change] of Object.entries(CHANGES)) {
      const found = jotd.verify(change(token), file, ...options)
      report.equal(`${where}, changed ${what}`, [REJECTED, false, 'bad_signature'], found)
    }
  }
}

async function checkKeyOfJotd(name, alg) {
  const jwk = jotd.newKey(alg)
  const privateFile = jotd.file('private.jwk', jwk)
  const publicJwk = jotd.public(alg, privateFile)
  const publicFile = jotd.file('public.jwk', publicJwk)
  const token = jotd.sign(privateFile)

  await checkSignedByJotd(`${name}, importJWK`, alg, await jose.importJWK(publicJwk), token)
  await checkSignedByJose(`${name}, signed by jose`, alg, await jose.importJWK(jwk), jwk.kid, [[publicFile]])
  const thumbprint = await jose.calculateJwkThumbprint(publicJwk)
  for (const file of [privateFile, publicFile]) {
    const found = JSON.parse(jotd.output('jwk', 'thumbprint', file)).thumbprint
    report.equal(`${name}, thumbprint of ${basename(file)}`, thumbprint, found)
  }
  if (isSymmetric(alg)) return

  // With a second key of the same kind in the set, jose must find the right one by its kid.
  const set = { keys: [await anotherPublicJwk(alg), publicJwk] }
  await checkSignedByJotd(`${name}, createLocalJWKSet`, alg, jose.createLocalJWKSet(set), token)

  const pem = jotd.output('jwk', 'to-pem', privateFile)
  const publicPem = jotd.output('jwk', 'to-pem', '--public', privateFile)
  const key = await jose.importPKCS8(pem, alg, { extractable: true })
  const publicKey = await jose.importSPKI(publicPem, alg, { extractable: true })
  await checkSignedByJotd(`${name}, importSPKI`, alg, publicKey, token)
  await checkSignedByJose(`${name}, importPKCS8`, alg, key, jwk.kid, [[publicFile]])
  report.equal(`${name}, numbers of importPKCS8`, keyMembers(jwk), keyMembers(await jose.exportJWK(key)))
  report.equal(`${name}, numbers of importSPKI`, keyMembers(publicJwk), keyMembers(await jose.exportJWK(publicKey)))
}

async function checkKeyOfJose(name, alg) {
  const { key, publicKey } = await newKey(alg)
  const jwk = await jose.exportJWK(key)
  const publicJwk = await jose.exportJWK(publicKey)
  const kid = await jose.calculateJwkThumbprint(publicJwk)
  // jotd takes the algorithm from the key; one without it is for any algorithm that fits its type.
  const privateFiles = [[jotd.file('private.jwk', jwk), '--alg', alg]]
  const publicFiles = [
    [jotd.file('public.jwk', publicJwk)],
    [jotd.file('named.jwk', { ...publicJwk, alg, use: 'sig', kid })],
  ]
  if (!isSymmetric(alg)) {
    const pem = await jose.exportPKCS8(key)
    const publicPem = await jose.exportSPKI(publicKey)
    privateFiles.push([jotd.file('private.pem', pem), '--alg', alg])
    publicFiles.push([jotd.file('public.pem', publicPem), '--alg', alg])
    const set = { keys: [await anotherPublicJwk(alg), { ...publicJwk, alg, kid }] }
    publicFiles.push([jotd.file('public.jwks', set)])

    for (const [file, expected] of [['private.pem', jwk], ['public.pem', publicJwk]]) {
      const found = JSON.parse(jotd.output('jwk', 'from-pem', '--alg', alg, join(jotd.folder, file)))
      report.equal(`${name}, numbers of ${file}`, keyMembers(expected), keyMembers(found))
    }
  }
  await checkSignedByJose(`${name}, signed by jose`, alg, key, kid, publicFiles)
  for (const [file, ...options] of privateFiles) {
    const token = jotd.sign(file, ...options)
    await checkSignedByJotd(`${name}, signed by jotd, ${basename(file)}`, alg, publicKey, token)
  }
}

/** A key of jose that can be exported; a secret is both parts of it. */
async function newKey(alg) {
  if (isSymmetric(alg)) {
    const key = await jose.generateSecret(alg, { extractable: true })
    return { key, publicKey: key }
  }
  const { privateKey, publicKey } = await jose.generateKeyPair(alg, { extractable: true })
  return { key: privateKey, publicKey }
}

async function anotherPublicJwk(alg) {
  return { ...await jose.exportJWK((await newKey(alg)).publicKey), alg, kid: 'another' }
}

/** A JWK without what says how it is to be used; alg is part of the key for the type AKP alone. */
function keyMembers({ kid, use, key_ops, ext, alg, ...members }) {
  return members.kty === 'AKP' ? { ...members, alg } : members
}

async function isAvailable(alg) {
  try {
    await newKey(alg)
    return true
  } catch (error) {
    if (error.code === 'ERR_JOSE_NOT_SUPPORTED' || error.name === 'NotSupportedError') return false
    throw error
  }
}

async function main() {
  const leftOut = []
  for (const alg of [...EVERYWHERE, ...NOT_EVERYWHERE]) {
    if (NOT_EVERYWHERE.includes(alg) && !await isAvailable(alg)) {
      leftOut.push(alg)
      continue
    }
    await report.run(`jose, ${alg}, key of jotd`, checkKeyOfJotd, alg)
    await report.run(`jose, ${alg}, key of jose`, checkKeyOfJose, alg)
  }
  const lacking = leftOut.length > 0 ? [`jose on Node ${process.versions.node} has no ${leftOut.join(', ')}`] : []
  console.log(`left out: ${[...lacking, 'createLocalJWKSet is for public keys, so not for HS*'].join('; ')}`)
  report.end()
}

if (process.argv.length === 3) {
  await inFolder(async (folder) => {
    jotd.folder = folder
    await main()
  })
} else {
  console.error('usage: node interop.mjs PATH_TO_JOTD')
  process.exitCode = 1
}
