// Runs the JavaScript that the API's description shows under "Usage Examples", to the letter (spec/*.js), in Node.
// What a browser page would bring is added around it: a base URL and a login for fetch, a WebSocket that nobody
// answers, and `getChunkData`, which the description leaves to the reader. Arguments, as JSON:
//   base, token, file            where to, as whom, and what
//   resume                       a task to go on with, instead of a new upload
// Prints one line of JSON: the task, and the file or the error it ended in.
import { readFileSync } from 'node:fs'

const asked = JSON.parse(process.argv[2])
const text = (name) => readFileSync(new URL(`spec/${name}`, import.meta.url), 'utf8')
const own = globalThis.fetch

const fetch = (path, options = {}) =>
  own(asked.base + path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${asked.token}` } })

class WebSocket {
  addEventListener() {}
  send() {}
}

// resumeUpload is shown as a method without its class: it goes in before the class's last brace.
const whole = text('upload-manager.js').replace(/\}\s*$/, `${text('resume-upload.js')}}\n`)
const UploadManager = new Function('fetch', 'WebSocket', `${whole}; return UploadManager`)(fetch, WebSocket)

class Client extends UploadManager {
  task = asked.resume ?? null
  sent = []

  async uploadChunk(taskId, index, data) {
    this.task = taskId
    await super.uploadChunk(taskId, index, data)
    this.sent.push(index)
  }

  getChunkData(index) {
    return this.splitFileIntoChunks(file, 5 * 1024 * 1024)[index]
  }
}

const file = new File([readFileSync(asked.file)], 'data.bin', { type: 'application/octet-stream' })
const client = new Client()
const report = { file: null, error: null }
try {
  report.file = (await (asked.resume ? client.resumeUpload(asked.resume) : client.uploadFile(file))) ?? null
} catch (error) {
  report.error = String(error)
}
console.log(JSON.stringify({ ...report, task: client.task, sent: client.sent }))
process.exit(0)
