// Which fields are kept, and which a 304 or a HEAD updates.
import { becomesStale } from './suites.mjs'

const UPDATE = '304-etag-update-response-'
// Of the fields that a 304 updates, these are required; a cache that processes content may leave others.
const REQUIRED = ['Test-Header', 'X-Test-Header', 'Content-Foo', 'X-Content-Foo', 'Cache-Control', 'Content-Length']

export default function headers (suites) {
  suites.answer('headers-omit-headers-listed-in-Connection', [
    ['Cache-Control', 'max-age=100000'],
    ['Date', 0],
    ['Connection', 'a, b', false],
    ['a', '1', false],
    ['b', '2', false],
    ['c', '3', false]
  ])
  suites.depend(suites.ids(/^headers-(store-|omit-headers-listed-in-Connection)/), 'freshness-max-age')
  for (const id of suites.ids(/^304-etag-update-response-/)) {
    suites.set(id, { kind: REQUIRED.includes(id.replace(UPDATE, '')) ? 'required' : 'check' })
  }
  suites.depend(['head-writethrough'], 'freshness-max-age-stale')
  suites.depend(['head-200-update', 'head-410-update'], 'head-200-freshness-update')
  for (const test of suites.suite('updateHEAD').tests) test.requests[0] = becomesStale()
}
