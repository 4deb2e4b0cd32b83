// Conditional requests by ETag.
import { becomesStale, fresh } from './suites.mjs'

export default function conditional (suites) {
  for (const test of suites.suite('conditional-inm').tests) {
    const request = test.requests[0]
    const headers = request.response_headers || []
    if (headers.some(([name, value]) => name === 'Expires' && value === 100000)) {
      const others = headers.filter(([name]) => !['Expires', 'Date'].includes(name))
      test.requests[0] = fresh({ ...request, response_headers: others })
    } else if (test.id.includes('-generate')) {
      test.requests[0] = becomesStale({ response_headers: headers.filter(([name]) => name === 'ETag') })
    }
  }
  suites.depend(['conditional-etag-strong-respond', 'conditional-etag-weak-respond'], 'freshness-max-age')
  const asks = ['conditional-etag-strong-generate', 'conditional-etag-weak-generate-weak']
  suites.depend(asks, 'freshness-max-age-stale')

  const mismatch = suites.set('conditional-etag-vary-headers-mismatch', {
    kind: 'check',
    depends_on: ['conditional-etag-vary-headers', 'vary-no-match']
  })
  mismatch.requests[0].response_headers[0] = ['Expires', 10000]
  mismatch.requests[1] = {
    request_headers: [['Abc', '456']],
    expected_request_headers: [['If-None-Match', '"abcdef"']]
  }
}
