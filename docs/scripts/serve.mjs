// Serves the built site: `npm run serve -- [--port 3000]`. Prints the address when it listens.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { parseArgs } from 'node:util';

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
};

/** Return the file of the export in `folder` that a web server sends for the path of a URL, or undefined. */
export function findFile(folder, pathname) {
  const place = path.join(folder, path.normalize(decode(pathname)));
  if (place !== folder && !place.startsWith(folder + path.sep)) return undefined;
  const file = pathname.endsWith('/') ? path.join(place, 'index.html') : place;
  return existsSync(file) && statSync(file).isFile() ? file : undefined;
}

function decode(pathname) {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}

/** Return a server of the export in `folder`, which does not listen yet. */
export function serveFolder(folder) {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const file = findFile(folder, pathname);
    if (!file && findFile(folder, `${pathname}/`)) {
      response.writeHead(308, { location: `${pathname}/` }).end();
      return;
    }
    const sent = file ?? path.join(folder, '404.html');
    response.writeHead(file ? 200 : 404, { 'content-type': TYPES[path.extname(sent)] ?? 'application/octet-stream' });
    createReadStream(sent).pipe(response);
  });
}

function main() {
  const folder = path.resolve(import.meta.dirname, '../out');
  const { values } = parseArgs({ options: { port: { type: 'string', default: '3000' } } });
  if (!existsSync(folder)) {
    console.error('serve: there is no out/, run `npm run build` first');
    process.exit(1);
  }
  const server = serveFolder(folder).listen(Number(values.port), '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${server.address().port}/`);
  });
}

if (import.meta.filename === process.argv[1]) main();
