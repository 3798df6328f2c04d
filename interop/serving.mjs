// The binary under test: its command line, and a server of it on the loopback interface.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

/** Longer than anything that is waited for on purpose, in milliseconds. */
const PATIENCE = 60_000

// A rotation that takes seconds: what verifiers may cache, what clocks may differ, and how long tokens may last.
const SETTINGS = { JOTD_JWKS_MAX_AGE: '2s', JOTD_CLOCK_LEEWAY: '3s', JOTD_MAX_TOKEN_LIFETIME: '1h' }

/** The binary under test, and the folder with the files that it reads. */
export class Jotd {
  constructor(path, folder, env) {
    Object.assign(this, { path, folder, env })
  }

  run(args, input = '') {
    const done = spawnSync(this.path, args, { input, env: this.env, encoding: 'utf8', timeout: PATIENCE })
    if (done.error) throw done.error
    return done
  }

  output(...args) {
    const done = this.run(args)
    if (done.status !== 0) throw new Error(`exit code ${done.status} of ${args.join(' ')}: ${done.stderr}`)
    return done.stdout
  }

  file(name, content) {
    const path = join(this.folder, name)
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
    return path
  }
}

/** A server, and the command line on the same data, with nothing of the tester's environment. */
export class Server extends Jotd {
  address = '127.0.0.1:0'

  constructor(path, folder) {
    super(path, folder, { HOME: folder, JOTD_DATA_DIR: join(folder, 'data'), ...SETTINGS })
  }

  get url() {
    return `http://${this.address}`
  }

  /** On a free port the first time, and on the same one after that, because it is part of the issuer's name. */
  async start() {
    const log = join(this.folder, 'log')
    const stderr = openSync(log, 'w')
    this.process = spawn(this.path, ['serve', '--listen', this.address], {
      env: this.env, stdio: ['ignore', 'ignore', stderr],
    })
    closeSync(stderr)
    this.ended = once(this.process, 'exit')
    const line = await until('jotd serve listens', () => {
      const text = readFileSync(log, 'utf8')
      if (this.process.exitCode !== null) throw new Error(`jotd serve ended: ${text}`)
      return text.split('\n').slice(0, -1).find((line) => line.includes('"listening on'))
    })
    this.address = JSON.parse(line).address
  }

  /** The exit code after SIGTERM. */
  async stop(signal = 'SIGTERM') {
    this.process?.kill(signal)
    const [exitCode] = await this.ended
    return exitCode
  }

  addClient(name, ...options) {
    return JSON.parse(this.output('clients', 'add', name, ...options))
  }

  /** An access token for jotd itself, made on the command line. */
  token(scope) {
    return this.output('token', '--scope', scope).trim()
  }
}

/** Waits for the first result that counts as true. */
export async function until(what, attempt) {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const result = await attempt()
    if (result) return result
    if (Date.now() > deadline) throw new Error(`${what} within ${PATIENCE / 1000} s`)
    await setTimeout(100)
  }
}

/** A folder that is there for as long as the action takes. */
export async function inFolder(action) {
  const folder = mkdtempSync(join(tmpdir(), 'jotd-interop-'))
  try {
    await action(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
