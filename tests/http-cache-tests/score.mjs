// What the result of each test counts as, by the suite's own rules (`determineTestResult` of its lib/display.mjs).

// Tests for a shared cache that is no CDN: those that only browsers or CDNs have to pass are left out.
export function scores (suites, results) {
  const tests = suites.flatMap(suite => suite.tests)
  const byId = new Map(tests.map(test => [test.id, test]))
  const of = { required: {}, optional: {}, checks: {} }
  for (const test of tests.filter(test => !test.browser_only && !test.cdn_only)) {
    const kind = { required: 'required', optimal: 'optional', check: 'checks' }[test.kind || 'required']
    const result = results[test.id]
    of[kind][test.id] = [outcome(test, byId, results), Array.isArray(result) ? result[1] : '']
  }
  return of
}

// `pass`; `fail`; `setup`, if what the test builds on was not there; `retry`, if the cache asked twice; `dependency`, if a
// test that it depends on did not pass; `harness`, if the suite itself failed; `untested`.
function outcome (test, byId, results) {
  const result = results[test.id]
  if (result === undefined) return 'untested'
  const hasPassed = id => outcome(byId.get(id), byId, results) === 'pass'
  if (!(test.depends_on || []).every(hasPassed)) return 'dependency'
  if (result === true) return 'pass'
  const [kind, message] = result
  if (kind === 'Setup') return message === 'retry' ? 'retry' : 'setup'
  return kind === 'Assertion' ? 'fail' : 'harness'
}
