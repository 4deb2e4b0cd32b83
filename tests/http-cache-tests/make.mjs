// node make.mjs PACKAGE DIRECTORY: makes the suite of today in DIRECTORY from the npm package of 2021 in PACKAGE.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { editEngine, editPackage } from './engine.mjs'

const [source, target] = process.argv.slice(2)
const here = path.dirname(fileURLToPath(import.meta.url))

fs.rmSync(target, { recursive: true, force: true })
for (const part of ['client', 'server', 'lib', 'tests']) {
  fs.cpSync(path.join(source, part), path.join(target, part), { recursive: true })
}
fs.renameSync(path.join(target, 'tests/index.mjs'), path.join(target, 'tests/npm.mjs'))
fs.cpSync(path.join(here, 'current'), path.join(target, 'tests/current'), { recursive: true })
fs.writeFileSync(path.join(target, 'tests/index.mjs'), `
import suites from './npm.mjs'
import current from './current/index.mjs'
export default current(suites)
`)
editPackage(target)
editEngine(target)
