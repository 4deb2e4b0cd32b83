// Vary: what is kept is fresh by Cache-Control instead of Expires, and all tests build on the simplest.

export default function vary (suites) {
  for (const test of ['vary', 'vary-parse'].flatMap(id => suites.suite(id).tests)) {
    for (const request of test.requests.filter(request => request.response_headers)) {
      request.response_headers = request.response_headers.map(header => {
        return header[0] === 'Expires' ? ['Cache-Control', 'max-age=5000'] : [...header]
      })
    }
    if (!['vary-match', 'vary-star'].includes(test.id)) test.depends_on = ['vary-match']
  }
  suites.depend(['vary-match'], 'freshness-max-age')
  suites.depend(['vary-2-no-match', 'vary-2-match-omit', 'vary-3-match'], 'vary-2-match')
  suites.depend(['vary-3-no-match', 'vary-3-order', 'vary-3-omit'], 'vary-3-match')

  const ask = (id, index, headers) => { suites.test(id).requests[index].request_headers = headers }
  ask('vary-2-match-omit', 0, [['Foo', '1'], ['Bar', 'abc']])
  ask('vary-3-order', 0, [['Foo', '1'], ['Bar', 'abc'], ['Baz', '789']])
  ask('vary-3-order', 1, [['Foo', '1'], ['Baz', '789'], ['Bar', 'abcde']])
}
