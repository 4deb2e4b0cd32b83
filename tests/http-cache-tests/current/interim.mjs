// Interim responses (1xx) are passed on, and are no part of what is kept.
import { freshHeaders } from './suites.mjs'

const LINK = ['link', '</styles.css>; rel=preload; as=style']
const OWN = ['x-my-header', 'test']
const WITHOUT_OWN = { expected_response_headers_missing: ['x-my-header'] }

export default function interim (suites) {
  suites.list.push({
    name: 'Interim Response Handling',
    id: 'interim',
    tests: [
      test('interim-102', 'optimal', [[102]]),
      test('interim-103', 'optimal', [[103, [LINK, OWN]]]),
      test('interim-not-cached', 'required', [[103, [LINK]]], {}, { expected_interim_responses: [] }),
      test('interim-no-header-reuse', 'optimal', [[103, [LINK, OWN]]], WITHOUT_OWN, WITHOUT_OWN)
    ]
  })
}

function test (id, kind, interims, first = {}, second = {}) {
  const request = {
    interim_responses: interims,
    expected_interim_responses: interims,
    response_headers: freshHeaders(),
    pause_after: true,
    ...first
  }
  return { name: id, id, kind, browser_skip: true, requests: [request, { expected_type: 'cached', ...second }] }
}
