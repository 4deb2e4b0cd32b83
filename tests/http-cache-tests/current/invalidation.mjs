// Unsafe methods: that the URLs in Location and Content-Location are invalidated too is a MAY now (RFC 9111, 4.4).
import { fresh } from './suites.mjs'

export default function invalidation (suites) {
  for (const method of ['POST', 'PUT', 'DELETE', 'M-SEARCH']) {
    const id = `invalidate-${method}`
    suites.depend([id], 'freshness-max-age')
    for (const each of [id, `${id}-failed`]) suites.test(each).requests[0] = fresh()
    for (const target of ['location', 'cl']) {
      const test = suites.set(`${id}-${target}`, { kind: 'check', depends_on: [id] })
      test.requests[1].request_method = method
      for (const index of [0, 2]) {
        test.requests[index].response_headers = [['Cache-Control', 'max-age=100000'], ['Last-Modified', 0], ['Date', 0]]
      }
    }
  }
}
