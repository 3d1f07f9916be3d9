// @tus/server over a folder of files, started like tusdrive and printing the same lines, so that whatever runs
// against tusdrive runs against it too: TUSDRIVE_COMMAND="node .../peer.mjs" pytest tests/clients
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const { values } = parseArgs({
  allowPositionals: true,
  strict: false, // it has no use for most of tusdrive's flags
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    data: { type: 'string' },
    auth: { type: 'string' },
  },
})
mkdirSync(values.data, { recursive: true })
const tus = new Server({ path: '/files', datastore: new FileStore({ directory: values.data }) })
const server = createServer((request, response) => tus.handle(request, response))
server.requestTimeout = 0
server.listen(Number(values.port), values.host, () => {
  const origin = `http://${values.host}:${server.address().port}`
  console.log(`tus endpoint:  ${origin}/files\nREST base:     ${origin}/api\ntoken:         eyJub25l.eyJub25l.bm9uZQ`)
})
process.on('SIGTERM', () => process.exit(0))
process.on('uncaughtException', (error) => console.error(error)) // it throws where nobody can catch when clients hang up
