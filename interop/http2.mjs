// Node's own HTTP/2 and HTTP/1.1 clients against jotd, and batches line by line over both: node http2.mjs PATH_TO_JOTD

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { report } from './checks.mjs'
import { Server, inFolder } from './serving.mjs'

const JSON_TYPE = { 'content-type': 'application/json' }
const LINES = { 'content-type': 'application/x-ndjson' }
const CLAIMS = { claims: { sub: 'user-42', aud: 'https://orders.example' } }

/** Sends a request and reads its whole answer. */
async function ask(session, method, path, headers = {}, body = '') {
  const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === '' })
  if (body !== '') stream.end(body)
  const [answered] = await once(stream, 'response')
  const pieces = []
  for await (const piece of stream) pieces.push(piece)
  return { status: answered[':status'], headers: answered, body: Buffer.concat(pieces).toString() }
}

async function checkRequests(name, session, server) {
  const minted = await ask(session, 'POST', '/generateToken', JSON_TYPE, '{"user_data":"this is test"}')
  report.equal(`${name}, minted`, [200, 'application/json', 'no-store'],
    [minted.status, minted.headers['content-type'], minted.headers['cache-control']])
  const question = JSON.stringify({ Token: JSON.parse(minted.body)['JWT Token'], Signing_key: readFileSync(join(server.folder, 'data', 'signing.key'), 'utf8').trim() })
  for (const method of ['GET', 'POST']) {
    const verified = await ask(session, method, '/verifyToken', JSON_TYPE, question)
    report.equal(`${name}, verified by ${method}`, true, JSON.parse(verified.body)['Signature Verification'])
  }
  const missing = await ask(session, 'POST', '/verifyToken', JSON_TYPE, '{"Token":"x"}')
  report.equal(`${name}, without a key`, [204, '', 'Missing signing key in GET request body'],
    [missing.status, missing.body, missing.headers['x-error-description']])
  const head = await ask(session, 'HEAD', '/.well-known/jwks.json')
  report.equal(`${name}, HEAD`, [200, ''], [head.status, head.body])
  report.equal(`${name}, nothing there`, 404, (await ask(session, 'GET', '/nowhere')).status)
}

async function checkMany(name, session) {
  const asked = Array.from({ length: 500 }, async (_, number) => {
    const answer = await ask(session, 'POST', '/generateToken', JSON_TYPE, JSON.stringify({ user_data: `${number}` }))
    const [, payload] = JSON.parse(answer.body)['JWT Token'].split('.')
    return JSON.parse(Buffer.from(payload, 'base64url')).payload.data
  })
  report.equal(`${name}, each answer belongs to its request`, asked.map((_, number) => `${number}`), await Promise.all(asked))
}

/** Sends a line only when the one before was answered. */
async function checkLines(name, stream, answer) {
  const lines = createInterface({ input: answer })[Symbol.asyncIterator]()
  const next = async (line) => {
    stream.write(line)
    return JSON.parse((await lines.next()).value)
  }
  const first = await next(`${JSON.stringify(CLAIMS)}\n`)
  report.equal(`${name}, first line`, 3, first.token.split('.').length)
  report.equal(`${name}, a wrong line`, 'json_syntax', (await next('{nonsense}\n')).problem.code)
  report.equal(`${name}, the next`, 'string', typeof (await next(`${JSON.stringify(CLAIMS)}\n`)).token_id)
  stream.end(JSON.stringify(CLAIMS))
  report.equal(`${name}, the last without an end`, 'string', typeof JSON.parse((await lines.next()).value).token)
  report.equal(`${name}, the end`, true, (await lines.next()).done)
}

async function check(server) {
  const authorization = `Bearer ${server.token('jotd:*')}`
  const session = http2.connect(server.url)
  await report.run('HTTP/2', checkRequests, session, server)
  await report.run('HTTP/2, 500 at once', checkMany, session)
  await report.run('HTTP/2, lines', async (name) => {
    const headers = { ':method': 'POST', ':path': '/v1/tokens/mint-batch', ...LINES, authorization }
    const stream = session.request(headers)
    await checkLines(name, stream, stream)
  })
  session.close()
  await report.run('HTTP/1.1, lines', async (name) => {
    const request = http.request(`${server.url}/v1/tokens/mint-batch`, { method: 'POST', headers: { ...LINES, authorization } })
    request.flushHeaders()
    const [answer] = await once(request, 'response')
    await checkLines(name, request, answer)
  })
  await report.run('an array', async (name) => {
    const tokens = await (await fetch(`${server.url}/v1/tokens/mint-batch`, {
      method: 'POST', headers: { ...JSON_TYPE, authorization }, body: JSON.stringify([CLAIMS, {}, CLAIMS]),
    })).json()
    report.equal(`${name}, minted`, [true, false, true], tokens.map((answer) => 'token' in answer))
    const verdicts = await (await fetch(`${server.url}/v1/tokens/verify-batch`, {
      method: 'POST', headers: { ...JSON_TYPE, authorization },
      body: JSON.stringify([{ token: tokens[0].token }, { token: 'x' }, { token: tokens[2].token, audience: 'other' }]),
    })).json()
    report.equal(`${name}, verified`, [true, false, false], verdicts.map((verdict) => verdict.accepted))
  })
}

if (process.argv.length === 3) {
  await inFolder(async (folder) => {
    const server = new Server(process.argv[2], folder)
    try {
      await server.start()
      await report.run('everything', () => check(server))
    } finally {
      await server.stop('SIGKILL')
    }
  })
  report.end()
} else {
  console.error('usage: node http2.mjs PATH_TO_JOTD')
  process.exitCode = 1
}
