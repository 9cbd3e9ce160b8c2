// Reads a stream with the npm package `eventsource`: prints each change's position, and ends after `count` of them.
// Usage: node eventsource.mjs URL TOKEN COUNT
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../ui/package.json', import.meta.url));
const { EventSource } = require('eventsource');
const [url, token, count] = process.argv.slice(2);
const fetchWithToken = (input, init) =>
  fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });
const source = new EventSource(url, { fetch: fetchWithToken });
let seen = 0;
source.addEventListener('change', (event) => {
  // Events of a chunk that had come before the close are still told.
  if (seen === Number(count)) return;
  console.log(JSON.parse(event.data).pos);
  seen += 1;
  if (seen === Number(count)) source.close();
});
