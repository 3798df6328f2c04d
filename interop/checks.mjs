// What the checks in this folder share: how they are counted, and tokens with something changed.

import { isDeepStrictEqual } from 'node:util'
import * as jose from 'jose'

/** Counts checks, and prints those that failed. */
export const report = {
  passed: 0,
  failed: 0,

  equal(name, expected, found) {
    if (isDeepStrictEqual(expected, found)) this.passed += 1
    else this.fail(name, `expected ${shown(differing(expected, found))}, found ${shown(differing(found, expected))}`)
  },

  /** Only the error that is meant counts: anything else may hide that the signature was never looked at. */
  async rejects(name, code, promise) {
    const found = await promise.then(() => 'no error', (error) => error.code ?? String(error))
    this.equal(name, code, found)
  },

  /** Checks that cannot even go on are one failure, and do not keep others from running. */
  async run(name, checks, ...args) {
    try {
      await checks(name, ...args)
    } catch (error) {
      this.fail(name, `stopped by ${shown(String(error))}`)
    }
  },

  fail(name, what) {
    this.failed += 1
    console.log(`FAILED ${name}: ${what}`)
  },

  /** Gives the totals, and says how the program ends. */
  end() {
    console.log(`${this.passed} passed, ${this.failed} failed`)
    process.exitCode = this.failed > 0 || this.passed === 0 ? 1 : 0
  },
}

/** Of two objects the members that differ, because keys are long. */
function differing(value, other) {
  const isObject = (it) => typeof it === 'object' && it !== null && !Array.isArray(it)
  if (!isObject(value) || !isObject(other)) return value
  return Object.fromEntries(Object.entries(value).filter(([name, member]) => !isDeepStrictEqual(member, other[name])))
}

/** One line of bounded length. */
export function shown(value) {
  const text = JSON.stringify(value) ?? String(value)
  return text.length <= 300 ? text : `${text.slice(0, 300)}…`
}

/** One character in the middle of the signature, because the last one may hold bits that do not count. */
function changedSignature(token) {
  const [header, payload, signature] = token.split('.')
  const middle = signature.length >> 1
  const other = signature[middle] === 'A' ? 'B' : 'A'
  return `${header}.${payload}.${signature.slice(0, middle)}${other}${signature.slice(middle + 1)}`
}

function changedClaims(token) {
  const [header, , signature] = token.split('.')
  return `${header}.${jose.base64url.encode(JSON.stringify({ ...jose.decodeJwt(token), sub: '43' }))}.${signature}`
}

export const CHANGES = { signature: changedSignature, claims: changedClaims }
