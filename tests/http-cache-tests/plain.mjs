// node plain.mjs PACKAGE DIRECTORY: copies the npm package as it is, but for the address that its server listens on.
import fs from 'node:fs'
import { editPackage } from './engine.mjs'

const [source, target] = process.argv.slice(2)

fs.rmSync(target, { recursive: true, force: true })
fs.cpSync(source, target, { recursive: true })
editPackage(target)
