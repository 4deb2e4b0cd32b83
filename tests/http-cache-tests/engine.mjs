// What the suite's client and server of today can do and those of the npm package cannot, as edits of their text.
import fs from 'node:fs'
import path from 'node:path'

// Replaces the one place in `file` that reads `before`.
function edit (directory, file, before, after) {
  const name = path.join(directory, file)
  const parts = fs.readFileSync(name, 'utf8').split(before)
  if (parts.length !== 2) throw new Error(`${file}: expected one place with:\n${before}\nfound ${parts.length - 1}`)
  fs.writeFileSync(name, parts.join(after))
}

// The package's server listens on every interface.
export function editPackage (directory) {
  edit(directory, 'server/server.mjs', 'server.listen(port)', "server.listen(port, '127.0.0.1')")
}

export function editEngine (directory) {
  const change = (file, before, after) => edit(directory, file, before, after)
  sameFieldsInAllRequests(change)
  anyStatus(change)
  interimResponsesAtTheClient(change)
  interimResponsesAtTheServer(change)
  slowResponses(change)
  fieldsOfA304(directory)
}

// `Pragma: foo` and `Cache-Control: nothing-to-see-here` go with requests that have fields of their own, too.
function sameFieldsInAllRequests (change) {
  change('client/fetching.mjs', 'init.headers = reqConfig.request_headers', 'init.headers.push(...reqConfig.request_headers)')
}

// `expected_status: null`: any will do.
function anyStatus (change) {
  change('client/test.mjs', "if ('expected_status' in reqConfig) {", `if (reqConfig.expected_status === null) {
    // Any status will do.
  } else if ('expected_status' in reqConfig) {`)
}

// `expected_interim_responses: [[status, [[name, value], ...]], ...]`. node-fetch shows none, so node itself is asked.
function interimResponsesAtTheClient (change) {
  change('client/test.mjs', 'const assert = utils.assert\n', `import channels from 'node:diagnostics_channel'
const assert = utils.assert

const interimsByRequest = new Map()
channels.subscribe('http.client.request.start', ({ request }) => {
  const interims = []
  interimsByRequest.set(request.path + ' ' + request.getHeader('req-num'), interims)
  request.on('information', interim => interims.push([interim.statusCode, interim.headers]))
})

function interimsOf (url, reqNum) {
  const { pathname, search } = new URL(url)
  return interimsByRequest.get(pathname + search + ' ' + reqNum) || []
}

function checkInterims (wanted, got) {
  wanted.forEach(([status, headers = []], index) => {
    assert(false, got[index] !== undefined, \`Interim response \${index + 1} not received\`)
    assert(false, got[index][0] === status, \`Interim response \${index + 1} is \${got[index][0]}, not \${status}\`)
    headers.forEach(([name]) => {
      assert(false, name in got[index][1], \`Interim response \${index + 1} \${name} header not present\`)
    })
  })
  assert(false, got.length <= wanted.length, \`\${got.length - wanted.length} unexpected interim responses\`)
}
`)
  change('client/test.mjs', 'responses.push(response)\n', `responses.push(response)
              response.interims = interimsOf(url, reqNum)
`)
  change('client/test.mjs', '  return response.text().then(makeCheckResponseBody(', `  if ('expected_interim_responses' in reqConfig) {
    checkInterims(reqConfig.expected_interim_responses, response.interims)
  }
  return response.text().then(makeCheckResponseBody(`)
}

// `interim_responses`, as above.
function interimResponsesAtTheServer (change) {
  change('server/handle-test.mjs', '  // Determine what the response status should be\n', `  for (const [status, headers = []] of reqConfig.interim_responses || []) {
    if (status === 102) response.writeProcessing()
    else response.writeEarlyHints(Object.fromEntries(headers))
  }

  // Determine what the response status should be
`)
  change('server/handle-test.mjs', 'response.statusPhrase =', 'response.statusMessage =')
}

// `response_pause`: seconds before the server answers.
function slowResponses (change) {
  change('server/handle-test.mjs', 'export default function handleTest (pathSegs, request, response) {', `
export default function handleTest (pathSegs, request, response) {
  const reqNum = parseInt(request.headers['req-num']) || 1
  const seconds = configs.get(pathSegs[0])?.[reqNum - 1]?.response_pause || 0
  if (seconds) setTimeout(answer, seconds * 1000, pathSegs, request, response)
  else answer(pathSegs, request, response)
}

function answer (pathSegs, request, response) {`)
}

// Fields that a 304 may update now (RFC 9111, 3.2). The tests of these fields are made from this list.
function fieldsOfA304 (directory) {
  const name = path.join(directory, 'tests/header-list.mjs')
  let text = fs.readFileSync(name, 'utf8')
  for (const field of ['Content-Encoding', 'Content-MD5', 'Content-Range', 'ETag']) {
    const start = text.indexOf(`name: '${field}'`)
    const end = text.indexOf('}', start)
    text = text.slice(0, start) + text.slice(start, end).replace(/,\n\s*noUpdate: true/, '') + text.slice(end)
  }
  fs.writeFileSync(name, text)
}
