// @tus/server as its README starts it, over @tus/file-store with its default settings (metadata in a file beside the
// bytes, locks in memory). NODE_ENV=production and no DEBUG come from the caller.
//
//   node tus_node_server.mjs FOLDER_WITH_NODE_MODULES DATA_DIRECTORY
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, directory] = process.argv.slice(2)
const require = createRequire(path.join(modules, 'package.json'))
const load = (name) => import(pathToFileURL(require.resolve(name)).href)
const { Server } = await load('@tus/server')
const { FileStore } = await load('@tus/file-store')

const server = new Server({ path: '/files', datastore: new FileStore({ directory }) })
const listening = server.listen({ host: '127.0.0.1', port: 0 }, () => {
  console.log(`tus endpoint: http://127.0.0.1:${listening.address().port}/files`)
})
process.on('SIGTERM', () => process.exit(0))
