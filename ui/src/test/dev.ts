/** The interface over a campus in memory: `npm run dev`, then `/dev.html?scene=…`. Not part of the built interface. */
import '@fontsource-variable/inter/wght.css';
import '../styles/base.css';
import { mount } from 'svelte';
import App from '../App.svelte';
import { serve } from '../lib/api';
import { view } from '../state/view.svelte';
import { Memory } from './memory';

const scene = new URLSearchParams(location.search).get('scene');
const now = Date.now();
const memory = new Memory(now);
if (scene === 'muted') memory.circle = { ...memory.circle, muted: true };
if (scene === 'first-run') memory.campus = null;
if (scene === 'gap') {
  memory.held = memory.held.filter((m) => (m.seq ?? 0) < 66 || (m.seq ?? 0) > 73);
  memory.circle = { ...memory.circle, missing: 8 };
}
if (scene === 'offline' && memory.campus) {
  const since = now - 20 * 60_000;
  memory.campus.connection = { state: 'offline', since, problem: 'unreachable', retry_at: now + 4_000 };
  memory.waiting = [
    'The train is stuck, I am late.',
    'Start without me, the slides are in the shared folder.',
    'Thanks!',
  ].map((text) => memory.message(null, 'Mira Okafor', text, now));
  memory.circle = { ...memory.circle, unsent: 3, read_seq: 80, unread: 0 };
}
if (scene === 'failed') {
  const failed = memory.message(
    null,
    'Mira Okafor',
    'See `std::process::Command` and **do not** shell out:\n```rust\nlet out = Command::new("lsof").output()?;\n```',
    now,
  );
  failed.delivery = {
    state: 'failed',
    what: 'post',
    reason: 'You are not a member of this circle any more.',
    text: null,
  };
  memory.waiting = [failed];
  memory.circle = { ...memory.circle, failed: 1, read_seq: 80, unread: 0 };
}
serve(memory);
view.loadTheme();
mount(App, { target: document.getElementById('app') ?? document.body });
