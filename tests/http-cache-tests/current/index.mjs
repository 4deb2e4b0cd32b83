// Brings the tests of the npm package (0.4.5, of 2021) to what the suite expects today, after RFC 9111.
import { Suites } from './suites.mjs'
import freshness from './freshness.mjs'
import dates from './dates.mjs'
import responses from './responses.mjs'
import stale from './stale.mjs'
import vary from './vary.mjs'
import conditional from './conditional.mjs'
import headers from './headers.mjs'
import invalidation from './invalidation.mjs'
import other from './other.mjs'
import interim from './interim.mjs'

export default function current (list) {
  const suites = new Suites(list)
  for (const change of [freshness, dates, responses, stale, vary, conditional, headers, invalidation, other, interim]) {
    change(suites)
  }
  return suites.list
}
