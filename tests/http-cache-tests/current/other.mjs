// Parts of responses, Pragma, Authorization, Age, Date, cookies and queries.
import { httpContent } from '../../lib/utils.mjs'
import { fresh } from './suites.mjs'

const MONTH_S = 30 * 24 * 60 * 60
const ON_MAX_AGE = [
  'other-authorization', 'other-age-gen', 'other-age-update-max-age', 'other-date-update', 'query-args-different',
  'query-args-same', 'other-fresh-content-disposition-attachment', 'other-set-cookie', 'other-cookie'
]
const AUTHORIZATION = [['Authorization', 'FOO']]

export default function other (suites) {
  suites.depend([...ON_MAX_AGE, ...suites.ids(/^partial-store/)], 'freshness-max-age')
  suites.depend(['other-age-update-expires'], 'freshness-expires-future')
  const onHeuristics = ['other-heuristic-content-disposition-attachment', 'pragma-response-no-cache-heuristic']
  suites.depend(onHeuristics, 'heuristic-200-cached')
  suites.set('partial-use-stored-headers', { kind: 'required' })
  suites.test('pragma-response-no-cache-heuristic').requests[0].response_headers.unshift(['Date', 0])

  const begin = (id, members) => { suites.test(id).requests[0] = fresh(members) }
  ;['other-age-gen', 'other-date-update', 'other-cookie'].forEach(id => begin(id))
  begin('other-authorization', { request_headers: AUTHORIZATION, expected_request_headers: AUTHORIZATION })
  begin('other-age-update-max-age', { response_headers: [['Age', '30']] })
  begin('other-set-cookie', { response_headers: [['Set-Cookie', 'a=b']] })
  begin('other-fresh-content-disposition-attachment', {
    response_headers: [['Content-Disposition', 'attachment; filename=example.txt']]
  })
  begin('query-args-different', { query_arg: `test=${httpContent('query-args-different-1')}` })
  begin('query-args-same', { query_arg: `test=${httpContent('query-args-same')}` })
  addDates(suites)
}

function addDates (suites) {
  const month = header => [
    { response_headers: [['Expires', MONTH_S], ['Date', 0]], pause_after: true, setup: true },
    { expected_type: 'cached', expected_response_headers: [header] }
  ]
  suites.add('other', {
    name: 'A response that took time to come has an Age',
    id: 'other-age-delay',
    kind: 'check',
    requests: [{
      response_headers: [['Cache-Control', 'max-age=3600'], ['Date', 0]],
      response_pause: 5,
      expected_response_headers: [['age', '>', 0]]
    }]
  }, {
    name: 'The Date of a response that is fresh by Expires stays',
    id: 'other-date-update-expires',
    depends_on: ['freshness-expires-future'],
    requests: month(['Date', 0])
  }, {
    name: 'The Expires of a kept response stays',
    id: 'other-date-update-expires-update',
    kind: 'check',
    depends_on: ['freshness-expires-future'],
    requests: month(['Expires', MONTH_S])
  })
}
