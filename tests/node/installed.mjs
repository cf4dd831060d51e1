// Is node_modules what package-lock.json says? Then `npm ci`, and with it the network, is not needed.
import { readFileSync } from 'node:fs'

function packages(path) {
  const { packages: all } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
  delete all['']        // the project itself, which npm leaves out of its own list
  return JSON.stringify(all)
}

let same = false
try { same = packages('package-lock.json') === packages('node_modules/.package-lock.json') } catch { /* nothing is installed */ }
process.exitCode = same ? 0 : 1
