// The tests of the suite, found by their names, and the requests that many of them begin with.

export class Suites {
  constructor (list) {
    this.list = list
  }

  suite (id) {
    return found(this.list.find(suite => suite.id === id), id)
  }

  test (id) {
    return found(this.list.flatMap(suite => suite.tests).find(test => test.id === id), id)
  }

  // The names that match.
  ids (pattern) {
    return this.list.flatMap(suite => suite.tests).map(test => test.id).filter(id => pattern.test(id))
  }

  add (suite, ...tests) {
    this.suite(suite).tests.push(...tests)
  }

  set (id, members) {
    return Object.assign(this.test(id), members)
  }

  // These tests say something only if that one passes.
  depend (ids, on) {
    ids.forEach(id => this.set(id, { depends_on: [on] }))
  }

  // What the origin answers to the first request.
  answer (id, headers) {
    this.test(id).requests[0].response_headers = headers
  }

  // `cached` or `not_cached`, of the second request.
  expect (id, type) {
    this.test(id).requests[1].expected_type = type
  }
}

function found (thing, id) {
  if (thing === undefined) throw new Error(`the npm package has no ${id}`)
  return thing
}

const FRESH = [['Cache-Control', 'max-age=100000'], ['Date', 0]]
const BECOMES_STALE = [['Cache-Control', 'max-age=2'], ['Date', 0], ['Template-A', '1']]

// A first request whose response is fresh for a day.
export function fresh (members = {}) {
  return first(FRESH, members)
}

// A first request whose response is stale before the second.
export function becomesStale (members = {}) {
  return first(BECOMES_STALE, members)
}

function first (headers, members) {
  const all = [...headers, ...(members.response_headers || [])].map(header => [...header])
  return { setup: true, pause_after: true, ...members, response_headers: all }
}

export function freshHeaders () {
  return FRESH.map(header => [...header])
}
