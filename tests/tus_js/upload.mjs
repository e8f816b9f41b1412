// node upload.mjs ENDPOINT FILE OPTIONS: upload a file with tus-js-client. OPTIONS is JSON, and `abortAt` in it a number of
// pieces after which the upload is aborted, and then begun again from its URL by an upload of its own, `pause` milliseconds
// before each request.
// Prints one JSON object a line: {url}, {offset} after each piece, and at last {done, url, job} or {error, status}.
import { createReadStream, readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import * as tus from "tus-js-client";

const [endpoint, path, given] = process.argv.slice(2);
const { abortAt, pause, stream, ...options } = JSON.parse(given);
const say = (told) => console.log(JSON.stringify(told));
const statuses = [];

function source() {
  // Not the file's own stream: of that the client knows the size, and announces whole pieces to the last.
  return stream ? createReadStream(path).pipe(new PassThrough()) : readFileSync(path);
}

function begin(more, pieces) {
  const upload = new tus.Upload(source(), {
    endpoint,
    retryDelays: [100, 300, 1000, 1000, 1000, 1000, 2000, 2000],
    ...options,
    ...more,
    onUploadUrlAvailable: () => say({ url: upload.url }),
    onBeforeRequest: () => new Promise((go) => setTimeout(go, pause ?? 0)),
    onAfterResponse: (request, response) => statuses.push(`${request.getMethod()} ${response.getStatus()}`),
    onChunkComplete: (size, offset) => {
      say({ offset });
      pieces -= 1;
      if (pieces === 0) upload.abort().then(() => begin({ uploadUrl: upload.url }, Infinity));
    },
    onSuccess: ({ lastResponse }) =>
      say({ done: true, url: upload.url, job: lastResponse.getHeader("Steno-Job-Id"), statuses }),
    onError: (error) => {
      const answer = error.originalResponse;
      say({ error: String(error.message), status: answer ? answer.getStatus() : 0, body: answer ? answer.getBody() : "" });
      process.exitCode = 1;
    },
  });
  upload.start();
}

begin({}, abortAt ?? Infinity);
