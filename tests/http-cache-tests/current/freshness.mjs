// Cache-Control and Age. An invalid Age is ignored, and of several the first counts (RFC 9111, 5.1).
import { becomesStale } from './suites.mjs'

const GONE = [
  'freshness-max-age-ignore-quoted-all', 'freshness-max-age-ignore-quoted-all-rev',
  'freshness-max-age-multiple-line', 'freshness-max-age-multiple-directive'
]
const IGNORED = ['nonnumeric', 'negative', 'float', 'prefix', 'prefix-twoline', 'dup-0', 'dup-0-twoline', 'dup-old']
const LARGE = { 'large-minus-one': '2147483647', large: '2147483648', larger: '2147483649' }

export default function freshness (suites) {
  suites.add('cc-freshness', {
    name: 'A response is not reused once it is older than max-age',
    id: 'freshness-max-age-stale',
    depends_on: ['freshness-max-age'],
    requests: [becomesStale(), { expected_type: 'not_cached' }]
  })
  const parsing = suites.suite('cc-parse')
  parsing.tests = parsing.tests.filter(test => !GONE.includes(test.id))
  age(suites)
}

function age (suites) {
  IGNORED.forEach(id => suites.expect(`age-parse-${id}`, 'cached'))
  suites.answer('age-parse-suffix', aged(3600, '7200, 0'))
  suites.answer('age-parse-prefix', aged(3600, '0, 7200'))
  suites.answer('age-parse-dup-old', aged(10000, '3600', '3600'))
  for (const id of ['parameter', 'numeric-parameter']) suites.set(`age-parse-${id}`, { kind: 'check' })
  for (const [id, value] of Object.entries(LARGE)) {
    suites.add('age-parse', {
      name: `A response is stale when its Age is ${value}`,
      id: `age-parse-${id}`,
      depends_on: ['freshness-max-age-age'],
      requests: [{ response_headers: aged(3600, value), setup: true, pause_after: true }, { expected_type: 'not_cached' }]
    })
  }
}

function aged (maxAge, ...ages) {
  return [['Date', 0], ['Cache-Control', `max-age=${maxAge}`], ...ages.map(value => ['Age', value, false])]
}
