// Directives and statuses of responses.
import { freshHeaders } from './suites.mjs'

export default function responses (suites) {
  for (const [id, directives] of [['new', 'no-store'], ['max-age', 'no-store, max-age=0']]) {
    suites.add('cc-response', {
      name: `A fresh response is still used after a later one with ${directives}`,
      id: `cc-resp-no-store-old-${id}`,
      depends_on: ['cc-resp-no-store'],
      requests: [
        {
          response_headers: [['Cache-Control', 'max-age=10000'], ['Expires', 10000], ['Date', 0], ['A', '1']],
          setup: true,
          pause_after: true
        },
        { response_headers: [['Cache-Control', directives], ['Date', 0], ['A', '2']], setup: true, pause_after: true },
        { expected_type: 'cached', expected_response_headers: [['a', '1']] }
      ]
    })
  }
  suites.depend(suites.ids(/^headers-omit-headers-listed-in-Cache-Control/), 'cc-resp-no-cache-revalidate')
  statuses(suites)
}

function statuses (suites) {
  const fresh = suites.ids(/^status-\d+-fresh$/)
  suites.depend(fresh, 'freshness-max-age')
  for (const id of fresh) Object.assign(suites.test(id).requests[0], { response_headers: freshHeaders(), pause_after: true })
  const understood = () => [['Cache-Control', 'max-age=3600, no-store, must-understand']]
  suites.answer('status-599-must-understand', understood())
  suites.add('status', {
    name: 'A 200 with must-understand is reused in spite of no-store',
    id: 'status-200-must-understand',
    kind: 'optimal',
    depends_on: ['status-200-fresh', 'cc-resp-no-store-fresh'],
    requests: [
      { response_status: [200, 'OK'], response_headers: understood(), setup: true },
      { expected_type: 'cached' }
    ]
  })
}
