// Expires: a cache may read any form that RFC 9110, 5.6.7 allows, and takes every other for a date in the past.

export default function dates (suites) {
  suites.answer('freshness-expires-32bit', expires('Tue, 19 Jan 2038 14:14:08 GMT'))
  suites.answer('freshness-expires-far-future', expires('Sun, 21 Nov 2286 04:46:39 GMT'))
  for (const test of suites.suite('expires-parse').tests) {
    if (test.id.includes('-invalid-')) {
      test.kind = 'required'
      suites.expect(test.id, 'not_cached')
    } else {
      test.kind = 'optimal'
    }
  }
}

function expires (date) {
  return [['Expires', date, false], ['Date', 0]]
}
