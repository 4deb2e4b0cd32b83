// node run.mjs SUITE BASE [TEST]: runs the suite in the directory SUITE through the cache at BASE, and prints what each
// test came to: { required: { ID: [OUTCOME, MESSAGE] }, optional: ..., checks: ... }. With TEST, shows that one in full.
import path from 'node:path'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { scores } from './score.mjs'

// A test whose response takes longer has failed. The longest is held back for 5 s by the origin.
const TIMEOUT_MS = 15000

const [directory, base, only] = process.argv.slice(2)
const module = file => import(pathToFileURL(path.join(directory, file)))
const fetch = createRequire(path.resolve(directory, 'package.json'))('node-fetch')

const { runTests, getResults } = await module('client/runner.mjs')
const { default: suites } = await module('tests/index.mjs')
const wanted = only ? suites.map(suite => ({ ...suite, tests: suite.tests.filter(test => test.id === only) })) : suites
if (only) wanted.forEach(suite => suite.tests.forEach(test => { test.dump = true }))

await runTests(wanted, (url, init) => fetch(url, { timeout: TIMEOUT_MS, ...init }), false, base)
const results = getResults()
console.log(JSON.stringify(only ? results : scores(suites, results)))
// Connections that are kept open would hold the process.
process.exit(0)
