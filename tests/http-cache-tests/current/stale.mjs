// Stale responses: when they must not be used, and stale-while-revalidate (RFC 5861).

export default function stale (suites) {
  suites.depend(['stale-close', 'stale-503', 'stale-sie-close', 'stale-sie-503'], 'freshness-max-age-stale')
  // The npm package waits for the answer of an origin that has closed the connection.
  for (const id of suites.ids(/^stale-close-/)) {
    suites.test(id).requests[1] = {
      disconnect: true,
      expected_status: null,
      check_body: false,
      expected_response_headers_missing: ['server-request-count']
    }
  }
  suites.add('stale', {
    name: 'A stale response is used within stale-while-revalidate',
    id: 'stale-while-revalidate',
    kind: 'optimal',
    depends_on: ['freshness-max-age-stale'],
    requests: [first('max-age=1, stale-while-revalidate=3600'), { expected_type: 'cached' }]
  }, {
    name: 'No stale response is used after stale-while-revalidate',
    id: 'stale-while-revalidate-window',
    depends_on: ['stale-while-revalidate'],
    requests: [
      first('max-age=1, stale-while-revalidate=4'),
      {
        setup: true,
        pause_after: true,
        response_headers: [['Cache-Control', 'no-cache', false], ['ETag', '"def"', false]],
        expected_type: 'cached'
      },
      { expected_response_headers: [['client-request-count', '3']] }
    ]
  })
}

function first (directives) {
  return { setup: true, pause_after: true, response_headers: [['Cache-Control', directives], ['ETag', '"abc"']] }
}
