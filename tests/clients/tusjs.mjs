// One tus-js-client upload, as asked for by the JSON in the first argument. Prints one line of JSON about how it went.
//   endpoint, file, token        where to, what, and as whom
//   options                      passed to tus.Upload as they are
//   stream                       true: read the file as a stream of unknown length
//   store                        a path: remember uploads there, and go on with one that is remembered
//   abortAt                      bytes accepted or sent after which it is aborted; the script then ends
//   terminate                    true: the abort also deletes the upload
import { createReadStream } from 'node:fs'
import { PassThrough } from 'node:stream'
import { FileUrlStorage, Upload } from 'tus-js-client'

const asked = JSON.parse(process.argv[2])
const requests = []
const source = createReadStream(asked.file)

function report(result, extra = {}) {
  console.log(JSON.stringify({ result, url: upload.url, requests, ...extra }))
  process.exit(result === 'error' ? 1 : 0)
}

async function abort() {
  try {
    await upload.abort(asked.terminate === true)
    report('aborted')
  } catch (error) {
    report('error', { error: String(error) })
  }
}

const upload = new Upload(asked.stream ? source.pipe(new PassThrough()) : source, {
  endpoint: asked.endpoint,
  headers: asked.token ? { Authorization: `Bearer ${asked.token}` } : {},
  metadata: { filename: 'data.bin', filetype: 'application/octet-stream' },
  retryDelays: [0, 100, 300, 1000, 3000],
  ...(asked.store ? { urlStorage: new FileUrlStorage(asked.store) } : {}),
  ...asked.options,
  onAfterResponse(request, response) {
    const override = request.getHeader('X-HTTP-Method-Override')
    const method = override ? `${request.getMethod()}=${override}` : request.getMethod()
    const offset = request.getHeader('Upload-Offset')
    requests.push([method, response.getStatus(), offset === undefined ? null : Number(offset)])
  },
  onProgress(sent) {
    if (asked.abortAt !== undefined && sent >= asked.abortAt) {
      asked.abortAt = undefined
      void abort()
    }
  },
  onError(error) {
    report('error', { error: String(error) })
  },
  onSuccess() {
    report('done')
  },
})

if (asked.store) {
  const [previous] = await upload.findPreviousUploads()
  if (previous) upload.resumeFromPreviousUpload(previous)
}
upload.start()
